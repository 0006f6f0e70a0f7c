"""The state of an expansion: what a definition's text sees, and where errors are collected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from genolang.diagnostics import Diagnostic, GenoError, Label, Span, fail
from genolang.lang.limits import limit, limit_note
from genolang.lang.syntax import Expr, Name
from genolang.records import record
from genolang.semantics.builder import Builder, Scope
from genolang.semantics.modules import Module
from genolang.semantics.plugs import Plugs
from genolang.semantics.program import Block, CellSpace, ChoiceSet, Option, Place
from genolang.semantics.values import ChoiceOp, MapValue, Op


@record(frozen=True)
class Use:
    """One step of the way from the user's text into definitions: who was called, and where."""

    definition: str
    span: Span


@dataclass(slots=True, eq=False)
class Frame:
    """One definition being expanded."""

    definition: str
    module: Module
    builder: Builder
    scope: Scope
    names: dict[str, Any]
    uses: tuple[Use, ...]
    main: MapValue | None = None
    edge: tuple[str, str] | None = None

    def under(self, word: str, edge: tuple[str, str] | None = None) -> Frame:
        """The same frame, its weights named under a word, perhaps on another edge."""
        return Frame(self.definition, self.module, self.builder, self.scope.child(word), self.names,
                     self.uses, self.main, edge or self.edge)  # fmt: skip


class Poisoned(Exception):
    """A value that an error already reported made unusable."""


POISON = object()


@record
class _OpenSet:
    key: str
    name: str
    syntax: tuple[Expr, ...]
    options: tuple[Option, ...]
    rows: dict[object, int] = field(default_factory=dict)
    places: list[Place] = field(default_factory=list)
    plug: bool = False


@record
class Budget:
    """The steps that are left for working out a file, so that every program ends soon."""

    left: int = field(default_factory=lambda: limit("steps"))

    def spend(self, steps: int, frame: Frame, span: Span) -> None:
        self.left -= steps
        if self.left < 0:
            raise problem(
                frame, "G507", "working this out takes too many steps", span,
                help="repeat less, and let definitions that only differ in unused arguments be one",
                notes=(limit_note("steps"),),
            )  # fmt: skip


class Expansion:
    """What one network's expansion shares: memo, open choices, diagnostics."""

    def __init__(
        self, *, searching: bool, closed: dict[object, Block] | None = None, budget: Budget | None = None
    ) -> None:
        self.searching = searching
        self.budget = Budget() if budget is None else budget
        # The innermost definition reached so far, to name where a program is nested too deeply.
        self.deepest: Frame | None = None
        self.memo: dict[object, Block] = {}
        # Blocks without open decisions, which the networks of a file may share.
        self.closed = {} if closed is None else closed
        # What operations came to at one shape, by the operation's identity, where nothing is plugged in.
        self.called: dict[object, tuple[Op, Block]] = {}
        self.options: dict[object, tuple[Op, ...]] = {}
        self.diagnostics: list[Diagnostic] = []
        self.said: set[object] = set()
        self.sets: dict[str, _OpenSet] = {}
        self.cells: dict[str, CellSpace] = {}
        self.plugs = Plugs()

    def report(self, error: GenoError) -> None:
        for diagnostic in error.diagnostics:
            key = diagnostic.code, diagnostic.span, diagnostic.message
            if key not in self.said:
                self.said.add(key)
                self.diagnostics.append(diagnostic)

    def too_deep(self, span: Span) -> GenoError:
        """What is said when the definitions in use are nested beyond what can be worked on."""
        message, help = "the definitions in use are nested too deeply", "use fewer levels"
        deepest = self.deepest
        if deepest is None or not deepest.uses:
            return fail("G007", message, span, help=help)
        return problem(deepest, "G007", message, deepest.uses[-1].span, help=help)

    def row(self, op: ChoiceOp, zeros: tuple[bool, ...]) -> tuple[str, int]:
        """The choice set and row of a decision: one row per place in the text (and edge)."""
        key = f"{op.definition}.{op.name}"
        number = 1
        # Two choices written in place with different alternatives are two sets.
        while key in self.sets and self.sets[key].syntax != op.syntax:
            number += 1
            key = f"{op.definition}.{op.name}_{number}"
        if key not in self.sets:
            options = tuple(Option(s, z) for s, z in zip(op.syntax, zeros, strict=True))
            self.sets[key] = _OpenSet(key, op.name, op.syntax, options)
        found = self.sets[key]
        place = (op.edge, op.start, id(op.span.source))
        if place not in found.rows:
            found.rows[place] = len(found.rows)
            found.places.append(Place(op.definition, op.span, op.edge, op.syntax, op.added))
        return key, found.rows[place]

    def plug_row(self, key: str, slot: str, index: int, network: str, span: Span) -> int:
        """The row of a slot whose module a search may switch off."""
        if key not in self.sets:
            words = Name(span, "off"), Name(span, "on")
            options = Option(words[0], False), Option(words[1], False)
            self.sets[key] = _OpenSet(key, slot, words, options, plug=True)
        found = self.sets[key]
        found.rows[index] = index
        found.places.append(Place(network, span, None, found.syntax, ()))
        return index

    def choices(self) -> dict[str, ChoiceSet]:
        return {
            key: ChoiceSet(key, s.name, s.options, tuple(s.places), s.plug)
            for key, s in self.sets.items()
        }


def problem(
    frame: Frame, code: str, message: str, span: Span, *, help: str | None = None,
    labels: Iterable[Label] = (), notes: Iterable[str] = (),
) -> GenoError:  # fmt: skip
    """An error at a place; one inside a library definition points at the user's call first."""
    labels = list(labels)
    if span.source.library:
        user = next((u for u in reversed(frame.uses) if not u.span.source.library), None)
        if user is not None:
            labels.insert(0, Label(span, f"in `{user.definition}`, which comes with genolang"))
            span = user.span
    elif frame.uses and frame.uses[-1].span.source is span.source:
        use = frame.uses[-1]
        if not use.span.source.library and use.definition != frame.definition:
            labels.append(Label(use.span, f"`{use.definition}` is used here"))
    return GenoError(Diagnostic(code, message, span, tuple(labels), help, tuple(notes)))


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
