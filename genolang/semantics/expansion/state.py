"""What one network's expansion shares: what is made already, what is left to a search, what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from genolang.diagnostics import Diagnostic, GenoError, Span, fail
from genolang.lang.limits import limit, limit_note
from genolang.semantics.expansion.builder import MapValue
from genolang.semantics.expansion.decisions import Decisions
from genolang.semantics.expansion.errors import Poisoned, Site, problem
from genolang.semantics.expansion.plugs import Plugs
from genolang.semantics.expansion.values import Op
from genolang.semantics.modules import DefinitionRef
from genolang.semantics.program import Block, CellSpace

# What gives the value of an expression in a frame, and what puts an operation to a map there, by class.
Evaluate = Mapping[type, Callable[..., Any]]
Apply = Mapping[type, Callable[..., MapValue]]


class Budget:
    """The steps that are left for working out a file, so that every program ends soon."""

    def __init__(self) -> None:
        self.left = limit("steps")

    def spend(self, steps: int, site: Site, span: Span) -> None:
        self.left -= steps
        if self.left < 0:
            raise problem(
                site,
                "G507",
                "working this out takes too many steps",
                span,
                help="repeat less, and let definitions that only differ in unused arguments be one",
                notes=(limit_note("steps"),),
            )


class Expansion:
    """Memo, decisions, plug-ins and diagnostics of one network."""

    def __init__(
        self,
        evaluate: Evaluate,
        apply: Apply,
        *,
        searching: bool,
        closed: dict[object, Block] | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.evaluate = evaluate
        self.apply = apply
        self.searching = searching
        # What weights of the network begin as, where a layer says nothing of its own.
        self.initialiser: str | float | None = None
        self.budget = Budget() if budget is None else budget
        # The innermost definition reached so far, to name where a program is nested too deeply.
        self.deepest: Site | None = None
        self.memo: dict[object, Block] = {}
        # Blocks without open decisions, which the networks of a file may share.
        self.closed = {} if closed is None else closed
        # What operations came to at one shape, by the operation's identity, where nothing is plugged in.
        self.called: dict[object, tuple[Op, Block]] = {}
        self.options: dict[object, tuple[Op, ...]] = {}
        self.diagnostics: list[Diagnostic] = []
        self.said: set[object] = set()
        self.decisions = Decisions()
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

    @contextmanager
    def reporting(self, span: Span) -> Iterator[None]:
        """Report what ends an expansion. Error: G007 for definitions nested beyond what can be worked on."""
        try:
            yield
        except GenoError as error:
            self.report(error)
        except Poisoned:
            pass
        except RecursionError:
            message, help = "the definitions in use are nested too deeply", "use fewer levels"
            deepest = self.deepest
            if deepest is None or not deepest.uses:
                self.report(fail("G007", message, span, help=help))
            else:
                self.report(problem(deepest, "G007", message, deepest.uses[-1].span, help=help))
