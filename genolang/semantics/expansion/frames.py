"""A frame: a definition being expanded, in which its text is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from genolang.diagnostics import GenoError, Span
from genolang.lang import syntax as s
from genolang.lang.limits import limit, limit_note
from genolang.semantics.expansion.arithmetic import whole
from genolang.semantics.expansion.builder import Builder, MapValue, Scope
from genolang.semantics.expansion.errors import Poisoned, Use, problem
from genolang.semantics.expansion.state import Expansion
from genolang.semantics.expansion.values import Op, describe, size_of
from genolang.semantics.modules import DefinitionRef, Module
from genolang.semantics.program import Spot, Way

T = TypeVar("T")
V = TypeVar("V")

# Expressions that put values together.
_MAKERS = frozenset((s.Sequence, s.Infix, s.Pipeline, s.For, s.Call, s.Alternatives))


class Within(NamedTuple):
    """What is evaluated stands in for other words: those of `definition` at the end of the way, in
    which `option` is the alternative that is being looked at, if it is one."""

    definition: str
    way: Way
    option: int


@dataclass(slots=True, eq=False)
class Frame:
    """What a definition's text sees. `defaults` has the parameters that were not given and have choices
    for default, each with the frame in which its default stands."""

    expansion: Expansion
    definition: str
    module: Module
    builder: Builder
    scope: Scope
    names: dict[str, Any]
    uses: tuple[Use, ...] = ()
    main: MapValue | None = None
    edge: tuple[str, str] | None = None
    within: Within | None = None
    defaults: dict[str, tuple[DefinitionRef, s.Expr, Frame]] | None = None

    def evaluate(self, expr: s.Expr) -> Any:
        """The value of an expression here."""
        budget = self.expansion.budget
        budget.left -= 1
        if budget.left < 0:
            budget.spend(0, self, expr.span)
        kind = type(expr)
        value = self.expansion.evaluate[kind](expr, self)
        if kind in _MAKERS and isinstance(value, (tuple, Op)):
            self.measure(value, expr.span)
        return value

    def each(self, values: Iterable[T], of: Callable[[T], V]) -> list[V]:
        """Something of each value. Where several are wrong all that is wrong is said, the last of it as the error."""
        found: list[V] = []
        errors: list[GenoError] = []
        poisoned = False
        for value in values:
            try:
                found.append(of(value))
            except GenoError as error:
                errors.append(error)
            except Poisoned:
                poisoned = True
        for wrong in errors[:-1]:
            self.expansion.report(wrong)
        if errors:
            raise errors[-1]
        if poisoned:
            raise Poisoned
        return found

    def measure(self, value: Any, span: Span) -> None:
        """Pay for a value made of others; one that doubles again and again is refused."""
        size = size_of(value)
        self.expansion.budget.spend(size // 8, self, span)
        if size > limit("parts"):
            raise problem(
                self,
                "G507",
                f"a value of more than {limit('parts'):,} parts",
                span,
                help="repeat less, or split it into definitions",
                notes=(limit_note("parts"),),
            )

    def condition(self, expr: s.Expr) -> bool:
        value = self.evaluate(expr)
        if not isinstance(value, bool):
            raise problem(
                self,
                "G211",
                f"a condition is true or false, not {describe(value)}",
                expr.span,
                help="compare it: `levels == 0`",
            )
        return value

    def operation(self, expr: s.Expr, wanted: str) -> Op:
        """An operation. Error: G205, which begins with what is wanted, for anything else."""
        value = self.evaluate(expr)
        if not isinstance(value, Op):
            raise problem(self, "G205", f"{wanted}, not {describe(value)}", expr.span)
        return value

    def whole(self, expr: s.Expr, *, minimum: int = 1) -> int:
        """A whole number. Errors: G205, G206, G207."""
        return whole(self.evaluate(expr), expr.span, self, minimum=minimum)

    def apply(self, op: Op, value: MapValue) -> MapValue:
        """What an operation comes to at a map, built into the frame's block."""
        self.expansion.budget.spend(2, self, op.span)
        return self.expansion.apply[type(op)](op, value, self)

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

    def inside(self, span: Span) -> Within:
        """The place of what stands in for these words."""
        return Within(self.home, self.way(span), -1)

    def under(self, word: str, edge: tuple[str, str] | None = None) -> Frame:
        """The same frame, its weights named under a word, perhaps on another edge."""
        return self.but(scope=self.scope.child(word), edge=edge)

    def but(
        self,
        *,
        scope: Scope | None = None,
        edge: tuple[str, str] | None = None,
        within: Within | None = None,
        names: dict[str, Any] | None = None,
    ) -> Frame:
        """The same frame in what is not given here. A name that is given is no parameter's default."""
        defaults = self.defaults
        if names is not None and defaults is not None:
            defaults = {name: bound for name, bound in defaults.items() if name not in names}
        return Frame(
            self.expansion,
            self.definition,
            self.module,
            self.builder,
            scope or self.scope,
            self.names if names is None else self.names | names,
            self.uses,
            self.main,
            edge or self.edge,
            within or self.within,
            defaults,
        )
