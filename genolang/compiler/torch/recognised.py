"""Kernels in the place of the layers whose pattern they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from genolang.compiler.ir.matched import Matched
from genolang.compiler.torch.answering import Quick
from genolang.compiler.torch.functions import make_function
from genolang.kernels import dispatch, masking
from genolang.kernels.cpu.inference import takes
from genolang.kernels.masking.cpu import recalibrated_forward
from genolang.kernels.masking.gate import CHANNEL, SPATIAL
from genolang.primitives import MapType


class _Call(NamedTuple):
    """A kernel's function, and whether it takes these maps: a network's image may have another size than
    the one that patterns were looked for in."""

    run: Callable[..., Tensor]
    takes: Callable[[Sequence[Tensor]], bool]


def _alike(maps: Sequence[Tensor]) -> bool:
    return all(m.shape == maps[0].shape for m in maps)


def _recalibrates(maps: Sequence[Tensor]) -> bool:
    x, f, m = maps
    batch, channels, *size = x.shape
    shapes = ((batch, channels, *size), (batch, channels, 1, 1), (batch, 1, *size))
    return x.shape == f.shape and tuple(m.shape) in shapes


_CALLS: Mapping[str, _Call] = {
    "residual_mask": _Call(masking.masked, _alike),
    "naive_mask": _Call(partial(masking.masked, residual=False), _alike),
    "spatial_mask": _Call(partial(masking.masked, gate=SPATIAL), _alike),
    "channel_mask": _Call(partial(masking.masked, gate=CHANNEL), _alike),
    "recalibration": _Call(masking.recalibrated, _recalibrates),
}


class Recognised(Quick):
    """A kernel's call; the layers that it stands for where the kernel does not take the maps."""

    def __init__(self, made: Matched) -> None:
        self.fewest = masking.KERNELS[made.kernel].fewest
        self.kernel, self.arguments = _CALLS[made.kernel], dict(made.arguments)
        self.steps = [(make_function(s.layer, s.attrs, []), s.places) for s in made.steps]
        self.relu = bool(self.arguments.get("relu"))
        self.recalibrates = made.kernel == "recalibration"
        self.quick = self.answered if self.recalibrates else self.__call__
        self.shapes: tuple[torch.Size, ...] = ()

    def answered(self, x: Tensor, f: Tensor, m: Tensor) -> Tensor:
        """Without gradients the kernel's CPU path is worth it for any size."""
        shapes = x.shape, f.shape, m.shape
        if shapes != self.shapes:
            if not _recalibrates((x, f, m)):
                return self.plain((x, f, m))
            self.shapes = shapes
        return recalibrated_forward(x, f, m, self.relu)[0]

    def __call__(self, *maps: Tensor) -> Tensor:
        if not torch.compiler.is_compiling() and dispatch.VARIABLE not in os.environ:
            if self.recalibrates and not torch.is_grad_enabled() and takes(maps[0]):
                return self.answered(*maps)
            if self.small(maps[0]):
                return self.plain(maps)
        if self.kernel.takes(maps):
            return self.kernel.run(*maps, **self.arguments)
        return self.plain(maps)

    def small(self, x: Tensor) -> bool:
        """To ask the dispatch costs a CPU more than the operations on a small map; a plan stands for one."""
        return (x.is_cpu or x.is_meta) and x.numel() < self.fewest

    def plain(self, maps: tuple[Tensor, ...]) -> Tensor:
        """The layers one by one."""
        values = [*maps]
        for function, places in self.steps:
            values.append(function(*[values[p] for p in places]))
        return values[-1]


def why_plain(made: Matched, types: Sequence[MapType], batch: int) -> str:
    """Why plain operations run in a kernel's place on a CPU for so many images in float32, if they do."""
    # Nothing is written, so no memory is taken.
    maps = [torch.empty(batch, *type) for type in types]
    kernel = masking.KERNELS[made.kernel]
    plain = dispatch.choose(kernel, maps) == dispatch.REFERENCE
    return dispatch.why(kernel, maps) if plain else ""
