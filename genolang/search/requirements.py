"""What a searched network demands of its answer: `require searching or params < 1M`.

While a search runs such a condition is true; it speaks of the network that is written back. So it is looked
at before the search, held by what the search answers, and by the answers that it is compared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import log
from typing import Any

from genolang.diagnostics import Diagnostic, GenoError
from genolang.lang import syntax as s
from genolang.search.space import Genotype, Logits, derive, softmax
from genolang.search.writeback import discrete_program
from genolang.semantics.check import Checked, find_network
from genolang.semantics.program import Decision, Program
from genolang.semantics.reach import reach, walk
from genolang.semantics.space import selected_macs, selected_params, usable

# From hardly any weight of the costs to so much that nothing else counts.
PENALTIES = tuple(10.0**power for power in range(-2, 6))
ROUNDS = 6
# What may be counted, in the order of `costs`.
COUNTS = ("params", "macs")

Costs = dict[Decision, list[float]]


@dataclass
class Requirements:
    """The requirements of one network's answers; `broken` and `strongest` read the answer's own text."""

    checked: Checked
    program: Program
    given: Mapping[str, Any]
    statements: tuple[s.Require, ...] = ()
    known: dict[Genotype, tuple[Diagnostic, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ref = find_network(self.checked.module, self.program.name)
        networks = (found.syntax for found in reach(ref) if found.kind == "network")
        self.statements = tuple(n for net in networks for n in walk(net) if isinstance(n, s.Require))

    def broken(self, genotype: Genotype) -> tuple[Diagnostic, ...]:
        """What an answer breaks, said at the user's own words; nothing for one that may be written."""
        if not self.statements:
            return ()
        if genotype not in self.known:
            try:
                discrete_program(self.checked, self.program, genotype, self.given)
                self.known[genotype] = ()
            except GenoError as error:
                if any(d.code != "G212" for d in error.diagnostics):
                    raise
                self.known[genotype] = tuple(map(self._placed, error.diagnostics))
        return self.known[genotype]

    def _placed(self, diagnostic: Diagnostic) -> Diagnostic:
        """A diagnostic of the answer's text at the same words of the text that is searched."""
        assert diagnostic.span is not None
        text = diagnostic.span.text
        here = (st.span for st in self.statements if st.span.text == text)
        return replace(diagnostic, span=next(here, self.statements[0].span), labels=())

    def check(self) -> None:
        """Raises G212 where a requirement bounds a count that even the smallest answer exceeds, or even the
        largest falls short of. What bounds both counts, or from both sides, shows in the search alone."""
        found = []
        for statement in self.statements:
            measure, least = _bound(statement.condition)
            if measure is None:
                continue
            answer = self._extreme(self.costs[measure], 1 if least else -1)
            which = "largest" if least else "smallest"
            note = f"this is said of the {which} answer, so that no search could find one that keeps to it"
            broken = [d for d in self.broken(answer) if d.span == statement.span]
            found += [replace(d, notes=(*d.notes, note)) for d in broken]
        if found:
            raise GenoError(found)

    def strongest(self, logits: Logits) -> Genotype:
        """The strongest answer that keeps to the requirements: `derive`, with costs weighed against the
        logits as little as will do, and every decision that can be afforded taken back after that."""
        free = derive(self.program, logits)
        if not self.broken(free):
            return free
        weights = {d: [log(max(w, 1e-300)) for w in softmax(logits[d.key][d.row])] for d in self.program.decisions}
        ways = [way for costs in self.costs for way in (costs, _turned(costs))]
        found = [best for way in ways if (best := self._weighed(weights, way)) is not None]
        if not found:
            found = [best for way in ways if (best := self._between(weights, way)) is not None]
        if not found:
            extremes = [self._extreme(costs, sign) for costs in self.costs for sign in (-1, 1)]
            return min(extremes, key=lambda genotype: len(self.broken(genotype)))
        return max(found, key=lambda genotype: sum(weights[d][o] for d, o in genotype.options.items()))

    def _weighed(self, weights: Costs, costs: Costs) -> Genotype | None:
        """The strongest answer found under some multiple of these costs."""
        low, high = 0.0, next((p for p in PENALTIES if not self.broken(self._under(weights, costs, p))), None)
        if high is None:
            return None
        for _ in range(ROUNDS):
            middle = (low + high) / 2
            if self.broken(self._under(weights, costs, middle)):
                low = middle
            else:
                high = middle
        logits = self._less(weights, costs, high)
        best = derive(self.program, self._table(logits))
        # What a decision would gain by another alternative, the largest gain first.
        wishes = sorted(
            (
                (weights[d][option] - weights[d][taken], d, option)
                for d, taken in best.options.items()
                for option in usable(self.program, d.key)
            ),
            key=lambda wish: -wish[0],
        )
        done: set[Decision] = set()
        for gain, decision, option in wishes:
            if gain > 0 and decision not in done:
                row = [0.0 if other == option else -1e3 for other in range(len(weights[decision]))]
                changed = derive(self.program, self._table(logits | {decision: row}))
                if not self.broken(changed):
                    logits, best = logits | {decision: row}, changed
                    done.add(decision)
        return best

    def _between(self, weights: Costs, costs: Costs) -> Genotype | None:
        """An answer on the way from the cheapest to the strongest, one decision after the other: bounds from
        both sides may hold nowhere but there."""
        logits = self._less({d: [0.0] * len(row) for d, row in weights.items()}, costs, PENALTIES[-1])
        for decision in sorted(weights, key=lambda d: -max(weights[d])):
            for option in sorted(usable(self.program, decision.key), key=lambda o: weights[decision][o]):
                row = [0.0 if other == option else -1e9 for other in range(len(weights[decision]))]
                changed = logits | {decision: row}
                answer = derive(self.program, self._table(changed))
                if not self.broken(answer):
                    return answer
            logits = changed
        return None

    def _under(self, weights: Costs, costs: Costs, penalty: float) -> Genotype:
        return derive(self.program, self._table(self._less(weights, costs, penalty)))

    def _less(self, weights: Costs, costs: Costs, penalty: float) -> Costs:
        return {
            d: [weight - penalty * cost for weight, cost in zip(row, costs[d], strict=True)]
            for d, row in weights.items()
        }

    def _table(self, logits: Costs) -> dict[str, list[list[float]]]:
        found: dict[str, list[list[float]]] = {key: [] for key in self.program.choices}
        for decision in self.program.decisions:
            found[decision.key].append(logits[decision])
        return found

    def _extreme(self, costs: Costs, sign: int) -> Genotype:
        """The cheapest answer, or with `sign` 1 the dearest one."""
        nothing = {decision: [0.0] * len(row) for decision, row in costs.items()}
        return self._under(nothing, costs, -sign * PENALTIES[-1])

    @cached_property
    def costs(self) -> tuple[Costs, ...]:
        """Of every alternative of every decision its share of the parameters, and of the
        multiply-accumulates, from 0 to 1; all other decisions at their first."""
        return tuple(self._costs_by(measure) for measure in (selected_params, selected_macs))

    def _costs_by(self, measure: Any) -> Costs:
        base = {key: [usable(self.program, key)[0]] * len(c.rows) for key, c in self.program.choices.items()}
        found: Costs = {}
        for key, row in self.program.decisions:
            each = []
            for option in range(len(self.program.choices[key].options)):
                rows = [*base[key][:row], option, *base[key][row + 1 :]]
                each.append(float(measure(self.program, base | {key: rows})))
            found[Decision(key, row)] = each
        most = max((max(row) - min(row) for row in found.values()), default=0.0) or 1.0
        return {d: [(cost - min(row)) / most for cost in row] for d, row in found.items()}


def _turned(costs: Costs) -> Costs:
    """Costs for which the dearest is the cheapest."""
    return {decision: [1.0 - cost for cost in row] for decision, row in costs.items()}


def _bound(condition: s.Expr) -> tuple[int | None, bool]:
    """Which of the counts a condition bounds, by number, and whether from below; none if it says more."""
    if isinstance(condition, s.Infix) and condition.operator == "or":
        # `searching or ...` says when, not what.
        rest = [o for o in condition.operands if not (isinstance(o, s.Name) and o.id == "searching")]
        condition = rest[0] if len(rest) == 1 else condition
    if isinstance(condition, s.Infix) and condition.operator in ("<", "<=", ">", ">="):
        for side, operand in enumerate(condition.operands):
            if isinstance(operand, s.Name) and operand.id in COUNTS:
                return COUNTS.index(operand.id), (condition.operator[0] == ">") == (side == 0)
    return None, False
