"""What is to be timed, as `genoc bench` and `pytest benches` are asked for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from genolang.api import load
from genolang.bench import kernels, networks, thresholds
from genolang.bench.subject import Subject


@dataclass(frozen=True, slots=True)
class Asked:
    """`what`: kernels, thresholds, passes, supernet, discrete, or a spec and perhaps its `network` with other
    `values` of its parameters. `extra` are the competitors of `with_competitors`; `small` takes tiny shapes;
    `only` keeps kernels and passes with one of these words. Without `batches` and `dtypes` the usual ones."""

    what: str
    device: torch.device
    network: str | None = None
    batches: Sequence[int] = ()
    extra: Sequence[str] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    small: bool = False
    dtypes: Sequence[str] = ()
    only: Sequence[str] = ()

    @property
    def types(self) -> list[torch.dtype]:
        """The dtypes that are timed: of kernels on a GPU two, of all else float32."""
        many = ("float32", "bfloat16") if self.device.type == "cuda" else ("float32",)
        names = (self.dtypes or many) if self.what == "kernels" else ("float32",)
        return [getattr(torch, name) for name in names]

    def makers(self) -> list[tuple[str, Callable[[], Subject]]]:
        """Every subject by a name that no other has, and how it is made: kernels have large maps."""
        if self.what != "kernels":
            return [(_name(one), partial(_itself, one)) for one in self.subjects()]
        cases = kernels.kernel_cases(self.device, self.extra, small=self.small, only=self.only)
        return [
            (
                f"{case.name} {case.shape} {_word(dtype)}",
                partial(kernels.case_subject, case, self.device, dtype, self.extra),
            )
            for dtype in self.types
            for case in cases
        ]

    def subjects(self) -> Iterable[Subject]:
        """One after the other, made when its turn comes where it is large. Errors: those of a spec."""
        sizes: dict[str, Any] = {"channels": 4, "depth": 2} if self.small else {}
        usual = 2 if self.small else 64 if self.device.type == "cuda" else 8
        batches = self.batches or ((usual,) if self.what in ("passes", "supernet") else (1, 32))
        match self.what:
            case "kernels":
                return (make() for _, make in self.makers())
            case "thresholds":
                return thresholds.threshold_subjects(self.device, small=self.small)
            case "passes":
                return networks.pass_subjects(batches, self.device, sizes | dict(self.values), self.only)
            case "supernet":
                return networks.supernet_subjects(batches, self.device, self.extra, sizes | dict(self.values))
            case "discrete":
                return networks.discrete_subjects(batches, self.device, self.extra, small=self.small)
        network = load(self.what).network(self.network, **self.values)
        return networks.network_subjects(network, batches, self.device, self.extra)


def _itself(subject: Subject) -> Subject:
    return subject


def _name(subject: Subject) -> str:
    how = "training" if subject.training else "inference"
    return f"{subject.name} {subject.shape} {_word(subject.dtype)} {how}"


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
