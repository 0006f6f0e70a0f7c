"""Something to be timed in several forms: compared with the plain one first, then run in turn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from genolang.bench.clock import Clock, Mark
from genolang.bench.floors import Ceilings, Work, floors
from genolang.bench.forms import Form
from genolang.bench.interleaved import Timed, interleave
from genolang.bench.peak import peak_bytes, release
from genolang.bench.rows import Measured, Row, timed_row

T = TypeVar("T")
EAGER, FUSED = "eager", "fused"
EXACT = 1e-9
# A form is run this often in a row, as far as that takes no longer than this (seconds).
MOST_CALLS, LONG = 50, 0.005


class Checked(NamedTuple):
    """Forms that compute what eager does, why others are left out, by how much each differs from eager, and
    the seconds that making each form and running it once takes."""

    forms: dict[str, Form]
    failed: dict[str, str]
    distances: dict[str, float]
    first: dict[str, float]


@dataclass(frozen=True, slots=True)
class Subject:
    """A thing in the forms `eager` and `fused`, and whatever else it is compared with.

    `tolerance` bounds the relative distance from eager, by norms, of the output and of all gradients
    together. In a deep network rounding moves a maximum to the next pixel, and a gradient with it, so
    `exact` has the two in float64, which have to agree to `EXACT`. A form that cannot be made or run, or
    computes something else, is left out, with the reason, and if it is one of the two, nothing is timed.
    `work` is what has to be done at least, where that is known.
    """

    name: str
    shape: str
    dtype: torch.dtype
    device: torch.device
    forms: Mapping[str, Callable[[], Form]]
    tolerance: float
    training: bool = True
    why: str = ""
    work: Work | None = None
    exact: Mapping[str, Callable[[], Form]] | None = None

    def measure(self, rounds: int, ceilings: Ceilings | None = None) -> list[Row]:
        """A row for each pass; a single one that says why where nothing was timed."""
        base = Row(self.name, self.shape, str(self.dtype).removeprefix("torch."), "both", why=self.why)
        forms, failed, distances, first = self.checked()
        base = replace(base, failed=failed, distance=distances.get(FUSED))
        if EAGER in failed or FUSED in failed:
            name = EAGER if EAGER in failed else FUSED
            return [replace(base, refused=f"{name}: {failed[name]}")]
        calls = self._calls(forms[EAGER])
        peaks = {name: peak_bytes(form.work, self.device) for name, form in forms.items()}
        times = interleave({name: self._timed(form, calls) for name, form in forms.items()}, rounds)
        least = {} if self.work is None or ceilings is None else floors(self.work, ceilings)
        phases = ("forward", "backward", "both") if self.training else ("inference",)
        rows = []
        for phase in phases:
            whole = phase in ("both", "inference")
            measured = {
                name: Measured(
                    times[name][phase],
                    times[name].get(f"{phase} processor"),
                    peaks[name] if whole else None,
                    first[name] if whole else None,
                )
                for name in forms
            }
            rows.append(timed_row(replace(base, pass_=phase), measured, least.get(phase)))
        return rows

    def distances(self) -> dict[str, float]:
        """How far each form's results are from eager's; infinite where it cannot be run."""
        _, failed, found, _ = self.checked()
        return {name: found.get(name, math.inf) for name in {**found, **failed}}

    def checked(self) -> Checked:
        """The forms, made, and compared with eager."""
        if any(name.startswith("compiled") for name in self.forms):
            # What was compiled for other shapes of the same function would count against its limit.
            torch.compiler.reset()
        release(self.device)
        forms: dict[str, Form] = {}
        failed: dict[str, str] = {}
        found: dict[str, float] = {}
        first: dict[str, float] = {}
        clock, right = Clock(self.device), None
        for name, make in self.forms.items():
            try:
                marks = [clock.mark()]
                form = make()
                form.prepare()
                results = self.results(form)
                marks.append(clock.mark())
                first[name] = clock.between(marks)[0][0]
            # Whatever a library says of a form is an answer about that form, not the end of the run.
            except Exception as error:
                failed[name] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
                continue
            right = results if right is None else right
            found[name] = apart(results, right)
            if found[name] <= self.tolerance:
                forms[name] = form
            else:
                failed[name] = f"differs from eager by {found[name]:.2g}, more than {self.tolerance:.2g}"
        if self.exact is not None and EAGER in forms and FUSED in forms:
            mine, theirs = (self.results(self.exact[name]()) for name in (FUSED, EAGER))
            if not (exactly := apart(mine, theirs)) <= EXACT:
                failed[FUSED] = f"differs from eager by {exactly:.2g} in float64, more than {EXACT:.2g}"
        return Checked(forms, failed, found, first)

    def results(self, form: Form) -> list[Tensor]:
        """The output and every gradient; zeros where there is none."""
        output, gradients = form.work()
        leaves = form.sets[0] if self.training else ()
        return [
            output.clone(),
            *(torch.zeros_like(leaf) if g is None else g.clone() for leaf, g in zip(leaves, gradients, strict=True)),
        ]

    def _calls(self, form: Form) -> int:
        """How often a form runs in a row."""
        clock = Clock(self.device)
        marks = [clock.mark()]
        form.work()
        marks.append(clock.mark())
        return max(1, min(MOST_CALLS, int(LONG / max(clock.between(marks)[0][0], 1e-9))))

    def _timed(self, form: Form, calls: int) -> Timed:
        clock, turns = Clock(self.device), itertools.cycle(range(len(form.sets)))
        names = ("forward", "backward") if self.training else ("inference",)

        def once() -> Mapping[str, float]:
            marks: list[Mark] = []
            for turn in itertools.islice(turns, calls):
                marks.append(clock.mark())
                output = form.forward(turn)
                marks.append(clock.mark())
                if self.training:
                    gradients = form.backward(turn, output)
                    marks.append(clock.mark())
                    del gradients
                del output
            spans = list(_every(clock.between(marks), len(names) + 1))
            found: dict[str, float] = {}
            for number, name in enumerate(names):
                walls, busy = zip(*(call[number] for call in spans), strict=True)
                found[name] = sum(walls) / calls
                if None not in busy:
                    found[f"{name} processor"] = sum(busy) / calls
            if self.training:
                for kind in ("", " processor"):
                    if f"forward{kind}" in found:
                        found[f"both{kind}"] = found[f"forward{kind}"] + found[f"backward{kind}"]
            return found

        return once


def _every(spans: list[T], period: int) -> Iterable[list[T]]:
    """The spans of each call: between the last mark of one and the first of the next nothing counts."""
    for start in range(0, len(spans), period):
        yield spans[start : start + period - 1]


def apart(found: list[Tensor], right: list[Tensor]) -> float:
    """The larger relative distance of the outputs and of all gradients together; infinite for no numbers."""
    worst = 0.0
    # A gradient that is zero but for rounding has no magnitude of its own: all are taken together.
    for part in (slice(0, 1), slice(1, None)):
        mine, theirs = (
            torch.cat([t.flatten().double() for t in one[part]] or [torch.zeros(1)]) for one in (found, right)
        )
        if not torch.isfinite(mine).all():
            return math.inf
        distance = float((mine - theirs).norm())
        worst = max(worst, distance / max(float(theirs.norm()), 1e-30) if distance else 0.0)
    return worst
