"""Something to be timed: inputs, a loss, and the gradients that it leaves, in several forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from genolang.bench.interleaved import Timed, interleave, now
from genolang.bench.peak import peak_bytes
from genolang.bench.rows import Row, timed_row

Forward = Callable[[], Tensor]


@dataclass(frozen=True, slots=True)
class Variant:
    """One form: `forward` computes the output from `leaves`, whose gradients backward fills."""

    forward: Forward
    leaves: Sequence[Tensor]


@dataclass(frozen=True, slots=True)
class Subject:
    """A thing in the forms `eager` and `fused`, and `compiled` or `graphs` where asked for.

    `tolerance` bounds the relative distance, by norms, of the outputs and of all gradients
    together; `rounds` is how often each form runs.
    """

    name: str
    shape: str
    dtype: torch.dtype
    device: torch.device
    variants: Mapping[str, Variant]
    tolerance: float
    training: bool = True
    why: str = ""

    def measure(self, rounds: int) -> list[Row]:
        """Checks, then times; a form that computes something else is refused, not timed."""
        base = Row(self.name, self.shape, str(self.dtype).removeprefix("torch."), "both", why=self.why)
        distance = self.distance()
        if not distance <= self.tolerance:
            message = f"fused and eager differ by {distance:.2g}, more than {self.tolerance:.2g}"
            return [replace(base, distance=distance, refused=message)]
        peaks = {name: peak_bytes(lambda v=v: self.work(v), self.device)  # type: ignore[misc]
                 for name, v in self.variants.items() if name in ("eager", "fused")}  # fmt: skip
        seconds = interleave({name: self.timed(v) for name, v in self.variants.items()}, rounds)
        phases = ("forward", "backward", "both") if self.training else ("inference",)
        rows = []
        for phase in phases:
            peak = phase in ("both", "inference")
            rows.append(replace(
                base, pass_=phase, distance=distance, **timed_row(base, seconds, phase),
                peak_bytes=peaks["fused"] if peak else None,
                eager_peak_bytes=peaks["eager"] if peak else None,
            ))  # fmt: skip
        return rows

    def distance(self) -> float:
        found = {name: self.results(self.variants[name]) for name in ("eager", "fused")}
        worst = 0.0
        # A gradient that is zero but for rounding has no magnitude of its own: all are taken together.
        for part in (slice(0, 1), slice(1, None)):
            mine, theirs = (torch.cat([t.flatten().double() for t in found[name][part]] or [torch.zeros(1)])
                            for name in ("fused", "eager"))  # fmt: skip
            apart = float((mine - theirs).norm())
            worst = max(worst, apart / max(float(theirs.norm()), 1e-30) if apart else 0.0)
            worst = worst if torch.isfinite(mine).all() else float("inf")
        return worst

    def results(self, variant: Variant) -> list[Tensor]:
        """The output and every gradient."""
        output = self.work(variant)
        grads = [torch.zeros_like(t) if t.grad is None else t.grad for t in variant.leaves]
        return [output.detach().clone(), *(g.clone() for g in grads)] if self.training else [output]

    def work(self, variant: Variant) -> Tensor:
        for leaf in variant.leaves:
            leaf.grad = None
        if not self.training:
            with torch.no_grad():
                return variant.forward()
        output = variant.forward()
        torch.autograd.backward(output, self.weights(output))
        return output.detach()

    def weights(self, output: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(output.numel())
        return torch.randn(output.shape, generator=generator).to(output)

    def timed(self, variant: Variant) -> Timed:
        weights = self.weights(variant.forward().detach())

        def once() -> Mapping[str, float]:
            for leaf in variant.leaves:
                leaf.grad = None
            if not self.training:
                with torch.no_grad():
                    begun = now(self.device)
                    variant.forward()
                    return {"inference": now(self.device) - begun}
            begun = now(self.device)
            output = variant.forward()
            middle = now(self.device)
            torch.autograd.backward(output, weights)
            end = now(self.device)
            return {"forward": middle - begun, "backward": end - middle, "both": end - begun}

        return once


