"""Runs whose pages are looked at, and the pages as they are read."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from genolang.search.strategy import ChoiceSummary, SearchEpoch
from genolang.train.run_folder import RunFolder

SPEC = """geno 1
# <script>alert("in a comment")</script> & more
import std.ops

choice operation = skip | sep_conv(3)

cell normal(prev, channels=4) {
  nodes n1, n2
  edges earlier -> each : operation
  keep  1 edges per node by operation
  return n1 + n2
}

network small(channels=4) {
  input image(1, 8, 8)
  stem  conv(3, channels)
  cells 2 of normal
  head  global_avg_pool -> linear(10)
}

search { epochs 3 }
"""
FOUND = SPEC.replace(
    "edges earlier -> each : operation\n  keep  1 edges per node by operation",
    "edges prev -> n1 : sep_conv(3)\n  edges prev -> n2 : skip",
)
VOID = {"meta", "path", "circle", "rect", "polygon", "br"}


class Page(HTMLParser):
    """The page's parts, with a check that every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID or (tag in ("circle", "path") and not self.get_starttag_text().endswith("/>")):  # type: ignore[union-attr]
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def epoch(number: int, **values: Any) -> dict[str, Any]:
    """A line of a search's journal."""
    weights = (("skip", 0.5 - 0.1 * number), ("sep_conv(3)", 0.5 + 0.1 * number))
    record = SearchEpoch(
        number,
        2.0 / (number + 1),
        0.3 * (number + 1),
        1.5,
        0.25,
        0.05,
        1.0,
        None,
        (ChoiceSummary("normal.operation", 0.6, weights),),
    )
    return {**record.to_json(), "logits": {"normal.operation": [[0.0, 1.0]]}, **values}


def finish(run: RunFolder) -> None:
    for seed, score in (("4", 0.81), ("5", 0.64)):
        for number in range(3):
            run.append(f"search-{seed}", epoch(number))
        run.append("results", {"of": f"search-{seed}", "genotype": {}, "val_accuracy": 0.5})
        run.append(f"score-{seed}", {"epoch": 0, "train_loss": 1.0, "val_loss": 0.9, "val_accuracy": score, "lr": 0.1})
        run.append("results", {"of": f"score-{seed}", "score": score})
    for number, score in enumerate((0.2, 0.85, 0.3)):
        run.append(f"score-random-{number}", {"epoch": 0, "val_accuracy": score, "val_loss": 1.0})
        run.append("results", {"of": f"score-random-{number}", "score": score})
    (run.path / "found.geno").write_text(FOUND)
    run.append("score-reference-dearest", {"epoch": 0, "val_accuracy": 0.6, "val_loss": 1.0})
    run.append("results", {"of": "score-reference-dearest", "score": 0.6})
    run.write_metrics(
        {
            "score": 0.81,
            "baseline_random": 0.45,
            "seconds": 1234.5,
            "seed": 4,
            "run": "x",
            "references": [{"name": "dearest", "text": "every slot <connected>", "score": 0.6}],
            "verdicts": [{"name": "dearest", "sentence": "The answer beats <it>."}],
        }
    )
