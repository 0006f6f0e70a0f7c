"""The state of an expansion: what a definition's text sees, and where errors are collected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from genolang.diagnostics import Diagnostic, GenoError, Label, Span, fail
from genolang.lang.limits import limit, limit_note
from genolang.lang.syntax import Expr, Name
from genolang.records import record
from genolang.semantics.builder import Builder, Scope
from genolang.semantics.modules import Module
from genolang.semantics.plugs import Plugs
from genolang.semantics.program import Block, CellSpace, ChoiceSet, Decision, Option, Place, Spot, Way
from genolang.semantics.values import ChoiceOp, DefinitionRef, MapValue, Op


@record(frozen=True)
class Use:
    """One step of the way from the user's text into definitions: who was called, and where."""

    definition: str
    span: Span


class Within(NamedTuple):
    """What is evaluated stands in for other words: those of `definition` at the end of the way, in
    which `option` is the alternative that is being looked at, if it is one."""

    definition: str
    way: Way
    option: int


@dataclass(slots=True, eq=False)
class Frame:
    """One definition being expanded. `defaults` has the parameters that were not given and have choices
    for default, each with the frame in which its default stands."""

    definition: str
    module: Module
    builder: Builder
    scope: Scope
    names: dict[str, Any]
    uses: tuple[Use, ...]
    main: MapValue | None = None
    edge: tuple[str, str] | None = None
    within: Within | None = None
    defaults: dict[str, tuple[DefinitionRef, Expr, Frame]] | None = None

    def way(self, span: Span) -> Way:
        """The way to words of this text."""
        spot = id(span.source), span.start, span.end
        if self.within is None:
            return (Spot(*spot),)
        return (*self.within.way, Spot(*spot, self.within.option))

    @property
    def home(self) -> str:
        """The definition in whose text it is written what this frame evaluates."""
        return self.definition if self.within is None else self.within.definition

    def inside(self, span: Span, option: int = -1) -> Frame:
        """The same frame, for what stands in for these words."""
        return self.standing_in(Within(self.home, self.way(span), option))

    def standing_in(self, within: Within) -> Frame:
        return Frame(self.definition, self.module, self.builder, self.scope, self.names, self.uses, self.main,
                     self.edge, within, self.defaults)  # fmt: skip

    def named(self, scope: Scope) -> Frame:
        """The same frame, its weights named under a scope."""
        return Frame(self.definition, self.module, self.builder, scope, self.names, self.uses, self.main,
                     self.edge, self.within, self.defaults)  # fmt: skip

    def under(self, word: str, edge: tuple[str, str] | None = None) -> Frame:
        """The same frame, its weights named under a word, perhaps on another edge."""
        return Frame(self.definition, self.module, self.builder, self.scope.child(word), self.names,
                     self.uses, self.main, edge or self.edge, self.within, self.defaults)  # fmt: skip


class Poisoned(Exception):
    """A value that an error already reported made unusable."""


POISON = object()


@record
class _OpenSet:
    key: str
    name: str
    syntax: tuple[Expr, ...]
    zeros: tuple[bool, ...]
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
        self.cells: dict[DefinitionRef, CellSpace] = {}
        # Parameters with choices on edges: those that stand for their default there, those given.
        self.spread: dict[tuple[DefinitionRef, str], Span] = {}
        self.given: dict[tuple[DefinitionRef, str], Span] = {}
        # The texts of `if` that were looked at for choices under `searching`.
        self.conditions: set[int] = set()
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

    def decision(self, op: ChoiceOp, zeros: tuple[bool, ...]) -> Decision:
        """The decision that a choice is: one for each way to its words, and on each edge.

        `zeros` says which alternatives compute zeros here.
        """
        identity = (op.edge, op.way)
        key = f"{op.definition}.{op.name}"
        number = 1
        # Two choices written in place with different alternatives are two sets.
        while key in self.sets and self.sets[key].syntax != op.syntax:
            number += 1
            key = f"{op.definition}.{op.name}_{number}"
        if key not in self.sets:
            self.sets[key] = _OpenSet(key, op.name, op.syntax, zeros)
        found = self.sets[key]
        # What is zeros in one place alone, since its map or its size is another one there, is no `none`.
        if found.zeros != zeros:
            found.zeros = tuple([a and b for a, b in zip(found.zeros, zeros, strict=True)])
        row = found.rows.setdefault(identity, len(found.rows))
        if row == len(found.places):
            found.places.append(Place(op.definition, op.span, op.edge, op.way, op.written, op.added))
        return Decision(key, row)

    def plug_row(self, key: str, slot: str, index: int, network: str, span: Span) -> int:
        """The row of a slot whose module a search may switch off."""
        if key not in self.sets:
            words = Name(span, "off"), Name(span, "on")
            self.sets[key] = _OpenSet(key, slot, words, (False, False), plug=True)
        found = self.sets[key]
        found.rows[index] = index
        way = (Spot(id(span.source), span.start, span.end, index),)
        found.places.append(Place(network, span, None, way, found.syntax, ()))
        return index

    def choices(self) -> dict[str, ChoiceSet]:
        return {
            key: ChoiceSet(key, s.name, tuple(map(Option, s.syntax, s.zeros)), tuple(s.places), s.plug)
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
