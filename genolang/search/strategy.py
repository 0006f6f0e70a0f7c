"""What every search strategy is given, and what it answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from genolang.search.space import Genotype, Logits
from genolang.semantics.program import Program
from genolang.semantics.settings import SearchSettings
from genolang.train.datasets import Dataset
from genolang.train.phase import Phase
from genolang.train.reporter import EpochRecord

if TYPE_CHECKING:
    from genolang.compiler.driver import NetworkModule

Derives = Callable[[Logits], Genotype]


@dataclass(frozen=True, slots=True)
class ChoiceSummary:
    """How decided a choice set is: weights are softmax weights, averaged over its decisions.

    `entropy` is in nats, averaged too, from 0 (decided) to `log(number of options)` (open).
    """

    key: str
    entropy: float
    weights: tuple[tuple[str, float], ...]

    def __str__(self) -> str:
        strongest = sorted(self.weights, key=lambda option: -option[1])[:3]
        listed = ", ".join(f"{text} {weight:.3f}" for text, weight in strongest)
        return f"{self.key}: {listed} (entropy {self.entropy:.3f})"


@dataclass(frozen=True, slots=True)
class SearchEpoch(EpochRecord):
    """An epoch of a search: the training pair is of the weights' half, the validation pair of the
    other; `choices_loss` is the mean validation loss of the choices' steps, None without any."""

    choices_loss: float | None
    choices: tuple[ChoiceSummary, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> SearchEpoch:
        choices = tuple(
            ChoiceSummary(c["key"], c["entropy"], tuple((t, w) for t, w in c["weights"])) for c in data["choices"]
        )
        return SearchEpoch(**{**data, "choices": choices})


@dataclass(frozen=True, slots=True)
class Searched:
    """The end of one search: the last epoch's logits, the supernet's validation accuracy then.

    Of a sampled search they are the answer's, and `history` is the supernet's training; `seconds` is
    the time spent beyond it, `evaluations` how many schemes were asked for, `schemes` how many
    different ones. `entropy` is how open the choices are at the end, by choice set or as one number of a
    controller, as a share of the most that there can be; `stopped` why the search ended early.
    """

    logits: Logits
    val_accuracy: float
    history: tuple[SearchEpoch, ...]
    seconds: float = 0.0
    evaluations: int = 0
    schemes: int = 0
    entropy: Mapping[str, float] = field(default_factory=dict)
    stopped: str | None = None


class Strategy(Protocol):
    """One search under one seed, by one method.

    It moves the module to the phase's device, and goes on from the phase's checkpoint to the same answer,
    bit for bit. `program` is the one that the module was built from; with `trained` the supernet's weights
    are ready. `derives` says which answer logits come to; `space.derive`, without it.
    """

    def __call__(
        self,
        module: NetworkModule,
        settings: SearchSettings,
        data: Dataset,
        phase: Phase,
        program: Program,
        *,
        trained: bool = False,
        derives: Derives | None = None,
    ) -> Searched: ...


def openness(choices: Sequence[ChoiceSummary]) -> dict[str, float]:
    """The entropy of each choice set as a share of the most that it can be."""
    return {one.key: one.entropy / math.log(len(one.weights)) for one in choices if len(one.weights) > 1}


def logits_of_choices(choices: Mapping[str, Tensor]) -> dict[str, list[list[float]]]:
    """The logits as plain numbers, exactly."""
    return {key: tensor.detach().cpu().tolist() for key, tensor in choices.items()}


def summarise(module: NetworkModule) -> tuple[ChoiceSummary, ...]:
    """How decided each choice set of a supernet is."""
    found = []
    for key, tensor in module.choices.items():
        weights = torch.softmax(tensor.detach().cpu().double(), -1)
        entropy = float(torch.special.entr(weights).sum(-1).mean())
        texts = [option.text for option in module.choices.sets[key].options]
        means = weights.mean(0).tolist()
        found.append(ChoiceSummary(key, entropy, tuple(zip(texts, means, strict=True))))
    return tuple(found)
