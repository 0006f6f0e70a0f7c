"""Networks with slots to search, for the tests of sampled search: six slots in two stages."""

from __future__ import annotations

from dataclasses import replace

from search.tiny_space import SETTINGS

from genolang.semantics.methods import (
    EAN_TEXT,
    EanSettings,
    EnasSettings,
    EvolutionSettings,
    GeneticSettings,
    HeuristicSettings,
    RandomSettings,
    Sampling,
)
from genolang.semantics.settings import SearchSettings

SLOTS = """geno 1
import std.ops, std.attention

op unit(out) {
  y = x -> conv(3, out) -> batch_norm
  return relu((y -> slot residual) + (if C == out then x else x -> conv(1, out)))
}

network plain(classes=3) {
  input  image(1, 8, 8)
  stem   conv(3, 4) -> batch_norm -> relu
  stages for out in [4, 6] : unit(out) -> repeat(2, unit(out))
  head   global_avg_pool -> linear(classes)
}

network slots = plain with se(r=2) at residual shared per stage where search

search { method ean }
"""

# No slot at all: a mask and two operations to choose.
CHOICES = """geno 1
import std.ops, std.attention

network choices(classes=3) {
  input  image(1, 8, 8)
  stem   conv(3, 4) -> batch_norm -> relu
  body   (conv(3) | conv(5) | identity) -> (identity | se(r=2)) -> (conv(1) | identity)
  head   global_avg_pool -> linear(classes)
}

search { method ean }
"""

# Every method told to measure twelve schemes.
TWELVE: dict[str, Sampling] = {
    "ean": EanSettings(steps=4, replay_from=1, buffer=2),
    "ean-text": replace(EAN_TEXT, steps=12, replay_from=1),
    "enas": EnasSettings(steps=4),
    "genetic": GeneticSettings(evaluations=12, population=5),
    "evolution": EvolutionSettings(evaluations=12, population=5, sample=2),
    "random": RandomSettings(evaluations=12),
}
METHODS = {**TWELVE, "heuristic": HeuristicSettings(every=3, offset=1)}


def settings_for(name: str, **changes: object) -> SearchSettings:
    return replace(
        SETTINGS,
        method=name.partition("-")[0],
        sampling=METHODS[name],
        seeds=1,
        random=1,
        epochs=1,
        score_epochs=1,
        **changes,
    )
