"""Kernels in the place of the layers whose pattern they are."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from torch import Tensor

from genolang.compiler.ir.matched import Matched
from genolang.compiler.torch.answering import Quick
from genolang.compiler.torch.functions import make_function
from genolang.kernels import dispatch, found_by_pattern
from genolang.kernels.cpu.inference import takes
from genolang.primitives import MapType


class Recognised(Quick):
    """A kernel's call; the layers that it stands for where the kernel does not take the maps: a network's
    image may have another size than the one that patterns were looked for in."""

    def __init__(self, made: Matched) -> None:
        kernel = found_by_pattern()[made.kernel]
        assert kernel.run is not None, "a kernel that is found has a function"
        self.run, self.answer = kernel.run, kernel.answer
        self.takes, self.fewest = kernel.takes, kernel.fewest
        self.arguments = dict(made.arguments)
        self.steps = [(make_function(s.layer, s.attrs, []), s.places) for s in made.steps]
        self.quick = self.__call__ if self.answer is None else self.answered
        self.shapes: tuple[torch.Size, ...] = ()

    def answered(self, *maps: Tensor) -> Tensor:
        """Without gradients the kernel's CPU path is worth it for any size."""
        assert self.answer is not None
        shapes = tuple([m.shape for m in maps])
        if shapes != self.shapes:
            if not self.takes(maps):
                return self.plain(maps)
            self.shapes = shapes
        return self.answer(*maps, **self.arguments)

    def __call__(self, *maps: Tensor) -> Tensor:
        if not torch.compiler.is_compiling() and dispatch.VARIABLE not in os.environ:
            if self.answer is not None and not torch.is_grad_enabled() and takes(maps[0]):
                return self.answered(*maps)
            if self.small(maps[0]):
                return self.plain(maps)
        if self.takes(maps):
            return self.run(*maps, **self.arguments)
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
    kernel = found_by_pattern()[made.kernel]
    plain = dispatch.choose(kernel, maps) == dispatch.REFERENCE
    return dispatch.why(kernel, maps) if plain else ""
