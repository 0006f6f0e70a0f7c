"""What a searched network demands of its answer: `require searching or params < 1M`.

While a search runs such a condition is true; it speaks of the network that is written back. So it is looked
at before the search, held by what the search answers, and by the answers that it is compared with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
        """Raises G212 where even the smallest answers break a requirement, so that none can be found."""
        smallest = list(self._smallest()) if self.statements else []
        if not smallest or any(not self.broken(genotype) for genotype in smallest):
            return
        note = "this is said of the smallest answer, so that no search could find one that keeps to it"
        raise GenoError([replace(d, notes=(*d.notes, note)) for d in self.broken(smallest[0])])

    def strongest(self, logits: Logits) -> Genotype:
        """The strongest answer that keeps to the requirements: `derive`, with costs weighed against the
        logits as little as will do, and every decision that can be afforded taken back after that."""
        free = derive(self.program, logits)
        if not self.broken(free):
            return free
        weights = {
            d: [log(max(w, 1e-300)) for w in softmax(logits[d.key][d.row])] for d in self.program.decisions
        }
        found = [best for costs in self.costs if (best := self._weighed(weights, costs)) is not None]
        if not found:
            return min(self._smallest(), key=lambda genotype: len(self.broken(genotype)))
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
            ((weights[d][option] - weights[d][taken], d, option)
             for d, taken in best.options.items() for option in usable(self.program, d.key)),
            key=lambda wish: -wish[0],
        )  # fmt: skip
        done: set[Decision] = set()
        for gain, decision, option in wishes:
            if gain > 0 and decision not in done:
                row = [0.0 if other == option else -1e3 for other in range(len(weights[decision]))]
                changed = derive(self.program, self._table(logits | {decision: row}))
                if not self.broken(changed):
                    logits, best = logits | {decision: row}, changed
                    done.add(decision)
        return best

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

    def _smallest(self) -> Iterator[Genotype]:
        """The answer of the fewest parameters and that of the fewest multiply-accumulates."""
        for costs in self.costs:
            nothing = {decision: [0.0] * len(row) for decision, row in costs.items()}
            yield self._under(nothing, costs, PENALTIES[-1])

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
