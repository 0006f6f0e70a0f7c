"""Where an error points: the user's own words, and the way from there into definitions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from genolang.diagnostics import Diagnostic, GenoError, Label, Span
from genolang.records import record
from genolang.semantics.expansion.builder import MapValue


@record(frozen=True)
class Use:
    """One step of the way from the user's text into definitions: who was called, and where."""

    definition: str
    span: Span


class Site(Protocol):
    """The definition whose text is being read, and the uses that lead there."""

    definition: str
    uses: tuple[Use, ...]


class Poisoned(Exception):
    """A value that an error already reported made unusable."""


POISON = object()


def problem(
    site: Site,
    code: str,
    message: str,
    span: Span,
    *,
    help: str | None = None,
    labels: Iterable[Label] = (),
    notes: Iterable[str] = (),
) -> GenoError:
    """An error at a place; one inside a library definition points at the user's call first."""
    labels = list(labels)
    if span.source.library:
        user = next((u for u in reversed(site.uses) if not u.span.source.library), None)
        if user is not None:
            labels.insert(0, Label(span, f"in `{user.definition}`, which comes with genolang"))
            span = user.span
    elif site.uses and site.uses[-1].span.source is span.source:
        use = site.uses[-1]
        if not use.span.source.library and use.definition != site.definition:
            labels.append(Label(use.span, f"`{use.definition}` is used here"))
    return GenoError(Diagnostic(code, message, span, tuple(labels), help, tuple(notes)))


def at_place(site: Site, error: GenoError, span: Span) -> GenoError:
    """An error of the block under construction, said at the words that led to it."""
    first = error.diagnostics[0]
    return problem(site, first.code, first.message, span, help=first.help, notes=first.notes)


def history(value: MapValue) -> Label:
    """Where a map comes from: the way to its shape, step by step along its first inputs."""
    nodes = value.builder.nodes
    index = value.index
    steps: list[str] = []
    while len(steps) < 6:
        node = nodes[index]
        word = {"input": "the input", "mix": "a choice"}.get(node.kind, node.layer)
        steps.append(f"{word} {node.type}")
        if not node.inputs:
            break
        index = node.inputs[0]
    if nodes[index].inputs:
        steps.append("...")
    return Label(nodes[value.index].span, "this is " + " <- ".join(steps))
