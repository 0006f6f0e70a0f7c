"""Whether a search found anything: signs that it did not, each with what to change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from genolang.search.space import Genotype
from genolang.semantics.branches import Branch, branches
from genolang.semantics.program import CellSpace, Decision, Program, SpaceEdge
from genolang.semantics.settings import SearchSettings

UNMOVED = 0.99
"""A share of the entropy of choices that are all alike, from which on they have not moved."""
FILLED = 0.75
"""A share of a cell's edges from which on an operation fills it."""


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign that a search found nothing: `unmoved`, `chance` or `collapse`."""

    kind: str
    text: str


def signs(
    program: Program,
    settings: SearchSettings,
    genotype: Genotype,
    entropy: Mapping[str, float],
    score: float,
    val_accuracy: float,
    labels: Tensor,
) -> tuple[Sign, ...]:
    """Everything that speaks against an answer; `labels` are those of the images that measured it."""
    return (
        *unmoved(settings, entropy),
        *at_chance(settings, score, val_accuracy, labels),
        *collapsed(program, genotype),
    )


def unmoved(settings: SearchSettings, entropy: Mapping[str, float]) -> list[Sign]:
    """Choices that are as open as they were; `entropy` is a share of the most that there can be."""
    if settings.method == "darts":
        what, change = (
            "the choices of `{}`",
            (
                "raise the rate of `choices`, search for more `epochs`, or let the choices move earlier"
                " (`choices_start`)"
            ),
        )
    else:
        what, change = "the {}", "give the method more `steps`, a higher `lr` or a lower `temperature`"
    return [
        Sign(
            "unmoved",
            f"{what.format(name)} did not move: their entropy is {share:.1%} of that of chance,"
            f" and the answer is drawn more than found; {change}",
        )
        for name, share in entropy.items()
        if share >= UNMOVED
    ]


def at_chance(settings: SearchSettings, score: float, val_accuracy: float, labels: Tensor) -> list[Sign]:
    """Accuracies that always naming the most frequent class would have, but for two deviations."""
    guessed = float(labels.bincount().max()) / len(labels)
    limit = guessed + 2 * (guessed * (1 - guessed) / len(labels)) ** 0.5
    found = []
    if val_accuracy <= limit:
        fresh = "" if settings.statistics else ", or measure with `statistics fresh(batches=4)`"
        found.append(
            Sign(
                "chance",
                f"the supernet is right in {val_accuracy:.4f}, and guessing in"
                f" {guessed:.4f}: what it says of answers is chance; train it longer"
                f" (`epochs`), with another rate of `weights`{fresh}",
            )
        )
    if score <= limit:
        found.append(
            Sign(
                "chance",
                f"the score is {score:.4f}, and guessing gives {guessed:.4f}: no answer"
                " can be told from another; train them longer (`score_epochs`) or with"
                " another rate of `score`",
            )
        )
    return found


def collapsed(program: Program, genotype: Genotype) -> list[Sign]:
    """Cells of which one alternative without weights takes nearly all edges, where others have weights."""
    found = []
    known = branches(program)
    for cell, chosen in zip(program.cells, decided(program, genotype), strict=True):
        if len(chosen) < 2 or cell.rank_by is None:
            continue
        option, count = Counter(option for _, option in chosen).most_common(1)[0]
        here = [known[decision] for decision, taken in chosen if taken == option]
        bare = all(each[option].params == 0 for each in here)
        if bare and count >= FILLED * len(chosen) and any(branch.params for each in here for branch in each):
            text = program.choices[cell.rank_by].options[option].text
            found.append(
                Sign(
                    "collapse",
                    f"`{text}`, which has no weights, fills {count} of the {len(chosen)} edges of"
                    f" `{cell.definition}`: the search has collapsed; let the choices move later"
                    " (`choices_start`), or search with `collapse stop` or `collapse regularise`",
                )
            )
    return found


def skips(program: Program, genotype: Genotype, known: Mapping[Decision, Sequence[Branch]]) -> dict[str, int]:
    """How many edges of an answer hand on their input as it is, by cell.

    Cells that halve their maps are left out, as in DARTS+: where an edge of the space strides, its skip
    has weights.
    """
    found = {}
    for cell, chosen in zip(program.cells, decided(program, genotype), strict=True):
        every = [known[decision] for edge in cell.edges if (decision := ranked(cell, edge)) is not None]
        if all(any(branch.skip for branch in each) for each in every):
            found[cell.definition] = sum(known[decision][option].skip for decision, option in chosen)
    return found


def ranked(cell: CellSpace, edge: SpaceEdge) -> Decision | None:
    """The decision by which an edge is ranked, where it has one; the first of several."""
    return next(iter(edge.of(cell.rank_by)), None)


def decided(program: Program, genotype: Genotype) -> list[list[tuple[Decision, int]]]:
    """The ranked decision of every edge that stays, and its option, cell by cell."""
    found = []
    for cell, (_, edges) in zip(program.cells, genotype.cells, strict=True):
        pairs = [(ranked(cell, cell.edges[one.edge]), dict(one.options)) for one in edges]
        found.append([(at, options[at]) for at, options in pairs if at in options])
    return found
