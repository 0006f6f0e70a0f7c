"""Stand-ins on the meta device that save for backward what the real layers save.

A plan runs a network's forward on tensors without data. For these layers torch would take the real
operation apart in Python, at a hundred times the cost of a call; the tests hold plans against real
runs for every layer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Size, Tensor


class _Planned(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        shape: Size,
        saved: tuple[Tensor | None, ...],
        extra: int,
        save_result: bool,
        last: bool,
        first: Tensor,
        *rest: Tensor | None,
    ) -> Tensor:
        # Not `new_empty`, which torch computes in Python there.
        empty = partial(torch.empty, dtype=first.dtype, device="meta")
        result = empty(shape, memory_format=torch.channels_last) if last else empty(shape)
        kept = [*saved, empty(extra)] if extra else [*saved]
        ctx.save_for_backward(*kept, *([result] if save_result else []))
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        raise AssertionError("a plan has no backward")


def planned(
    shape: Size,
    *inputs: Tensor | None,
    saved: tuple[Tensor | None, ...] = (),
    extra: int = 0,
    save_result: bool = False,
    last: bool = False,
) -> Tensor:
    """A result of a shape on the meta device; backward would need `saved`, `extra` numbers more and,
    where `save_result` says so, the result. An image has no gradient: weights are among the inputs.
    Whether the channels are `last` in memory counts where results are slices of one map."""
    found: Tensor = _Planned.apply(shape, saved, extra, save_result, last, *inputs)  # type: ignore[no-untyped-call]
    return found


def broadcast_shape(*maps: Tensor) -> Size:
    return Size(max(sizes) for sizes in zip(*(m.shape for m in maps), strict=True))


def planned_product(shape: Size, a: Tensor, b: Tensor) -> Tensor:
    """A factor is saved for the gradient of the other one."""
    saved = tuple(x for x, other in ((a, b), (b, a)) if other.requires_grad)
    return planned(shape, a, b, saved=saved)


def planned_result(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A function of single values, or the softmax, whose gradient needs its result alone."""
    return lambda x: planned(x.shape, x, save_result=True) if x.is_meta else function(x)


def planned_largest(shape: Size, x: Tensor) -> Tensor:
    """The largest numbers of a map are saved by their places, of eight bytes each."""
    return planned(shape, x, saved=(x,), extra=2 * shape.numel())


def planned_pooled(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """A mean over some axes, which stay with size 1, needs nothing but its input's shape."""
    shape = Size(1 if axis in dims else size for axis, size in enumerate(x.shape))
    return planned(shape, x)


def planned_concat(maps: tuple[Tensor, ...]) -> Tensor:
    first = maps[0].shape
    return planned(Size((first[0], sum(m.shape[1] for m in maps), *first[2:])), *maps)
