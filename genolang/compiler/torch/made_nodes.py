"""What the nodes that passes made compute in torch, each in three ways.

On a CPU by the formulations of `genolang.kernels.cpu`; anywhere else, for other dtypes and under a
compiler by the layers they stand for; on the meta device not at all, only what backward would need.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Size, Tensor, nn

from genolang.compiler.ir.made import (
    Answering,
    Depthwise,
    Fused,
    Layout,
    MixedSum,
    Normalised,
    NormConv,
    Part,
    Pointwise,
    WholeWindow,
)
from genolang.compiler.ir.matched import Matched
from genolang.compiler.torch.answering import AnsweringLayer
from genolang.compiler.torch.grouped import FEWEST, Centred, as_one, depthwise_convs, norm_convs
from genolang.compiler.torch.layers import BatchNorm, DropPath
from genolang.compiler.torch.planned import broadcast_shape, planned
from genolang.compiler.torch.recognised import Recognised
from genolang.kernels.cpu.depthwise import alike, depthwise
from genolang.kernels.cpu.maps import are_slices, slices
from genolang.kernels.cpu.masking import masked
from genolang.kernels.cpu.mixing import mixed
from genolang.kernels.cpu.moments import Statistics, norm_conv
from genolang.kernels.cpu.normalised import normalised
from genolang.kernels.cpu.pointwise import pointwise
from genolang.kernels.cpu.windows import Window, whole_window
from genolang.kernels.mixed_sum import mixed_sum
from genolang.semantics.program import Path

Layers = Callable[[Path], nn.Module]


def taken_means(inputs: Sequence[Centred]) -> list[Tensor]:
    """The means that were taken off, none where they were not."""
    return [x.mean for x in inputs if x.mean is not None]


def formulated(x: Tensor) -> bool:
    """Whether the formulations for CPUs take this map here and now."""
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.float64)
        and type(x) is Tensor
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        and x.numel() > 0
    )


def by_batch(norms: Sequence[BatchNorm]) -> bool:
    """Whether all batch norms are in training."""
    return all(norm.training for norm in norms)


class LayOut:
    """The order of a map in memory."""

    def __init__(self, made: Layout) -> None:
        self.channels_last = made.channels_last

    def __call__(self, x: Tensor) -> Tensor:
        if not self.channels_last:
            return x.contiguous()
        return x.contiguous(memory_format=torch.channels_last) if x.device.type == "cpu" else x


class TakePart:
    """One of several results."""

    def __init__(self, made: Part) -> None:
        self.index = made.index

    def __call__(self, results: tuple[Any, ...]) -> Any:
        return results[self.index]


class DepthwiseConvs:
    """Depthwise convolutions, with their channels' means apart where batch norms follow."""

    def __init__(self, made: Depthwise, layers: Layers) -> None:
        self.convs: list[Any] = [layers(path) for path in made.convs]
        self.norms: list[Any] = [layers(path) for path in made.norms]
        self.windows = tuple(Window(c.kernel_size[0], c.stride[0], c.dilation[0]) for c in self.convs)

    def __call__(self, *maps: Tensor) -> Any:
        first = maps[0]
        results: list[Any]
        if first.is_meta:
            results = self.planned(maps)
        elif formulated(first):
            centre = bool(self.norms) and by_batch(self.norms)
            found, means = depthwise(maps, self.windows, [c.weight for c in self.convs], centre=centre)
            results = [*map(Centred, found, means or [None] * len(found))] if self.norms else [*found]
        else:
            if as_one(first):
                each = depthwise_convs(maps, self.convs)
            else:
                each = [Centred(c(x)) for c, x in zip(self.convs, self.each(maps), strict=True)]
            results = each if self.norms else [y.alone() for y in each]
        return results[0] if len(results) == 1 else tuple(results)

    def each(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return maps if len(maps) > 1 else maps * len(self.convs)

    def planned(self, maps: tuple[Tensor, ...]) -> list[Any]:
        """Those with equal windows are slices of one map, which stays while one of them is kept."""
        results: list[Any] = [None] * len(self.convs)
        each = self.each(maps)
        for members in alike(self.windows).values():
            some, x = [self.convs[m] for m in members], each[members[0]]
            shape = Size((x.shape[0], len(some) * x.shape[1], *some[0].size(x)))
            inputs = [each[m] for m in members] if len(maps) > 1 else [x]
            y = planned(shape, *inputs, some[0].weight, saved=tuple(inputs), last=True)
            for member, part in zip(members, slices(y, len(some)), strict=True):
                results[member] = part
        centre = bool(self.norms) and by_batch(self.norms)
        means = maps[0].new_empty(maps[0].shape[1]) if centre else None
        return [Centred(y, means) for y in results] if self.norms else results


class WholeWindows:
    """A depthwise convolution by a window as large as the map."""

    def __init__(self, made: WholeWindow, layers: Layers) -> None:
        self.conv: Any = layers(made.conv)

    def __call__(self, x: Tensor) -> Tensor:
        # An image may be larger than the one that the network was made for.
        if formulated(x) and x.shape[2:] == self.conv.kernel_size:
            return whole_window(x, self.conv.weight)
        result: Tensor = self.conv(x)
        return result


class PointwiseConv:
    """A 1x1 convolution."""

    def __init__(self, made: Pointwise, layers: Layers) -> None:
        self.conv: Any = layers(made.conv)

    def __call__(self, x: Tensor) -> Tensor:
        conv = self.conv
        if formulated(x):
            return pointwise(x, conv.weight, conv.bias)
        result: Tensor = conv(x)
        return result


class NormConvs:
    """1x1 convolutions with batch norms behind them, and perhaps ReLUs."""

    def __init__(self, made: NormConv, layers: Layers) -> None:
        self.convs: list[Any] = [layers(path) for path in made.convs]
        self.norms: list[Any] = [layers(path) for path in made.norms]
        self.relu = made.relu

    def __call__(self, *inputs: Centred) -> Any:
        maps, means = [x.map for x in inputs], taken_means(inputs)
        if len(means) < len(maps) and len(maps) >= FEWEST and as_one(maps[0]) and self.alike():
            results = [*norm_convs(maps, self.convs, self.norms, relu=self.relu)]
        elif len(means) < len(maps):
            each = [x.alone() for x in inputs]
            results = [n(c(x)) for c, n, x in zip(self.convs, self.norms, each, strict=True)]
            results = [torch.relu(y) for y in results] if self.relu else results
        elif maps[0].is_meta:
            results = self.planned(maps)
        else:
            _check_count(maps[0])
            affine = [(n.weight, n.bias) for n in self.norms if n.affine]
            results = [
                *norm_conv(
                    maps, means, [c.weight for c in self.convs], affine, [*map(statistics, self.norms)], relu=self.relu
                )
            ]
        return results[0] if len(results) == 1 else tuple(results)

    def alike(self) -> bool:
        """Whether all batch norms are in one mode."""
        return all(norm.training == self.norms[0].training for norm in self.norms)

    def planned(self, maps: list[Tensor]) -> list[Tensor]:
        """All go in as one map, a copy where they are no slices of one, and come out as slices of one."""
        B, C, H, W = maps[0].shape
        count, out = len(maps), self.convs[0].out_channels
        copied = 0 if count == 1 or are_slices(maps) else count * maps[0].numel()
        y = planned(
            Size((B, count * out, H, W)),
            *maps,
            self.convs[0].weight,
            saved=() if copied else tuple(maps),
            extra=copied + count * (out * C + 2 * out),
            save_result=self.relu,
            last=True,
        )
        return [*slices(y, count)]


class NormalisedOnce:
    """A map as several batch norms see it in training; each keeps its own running statistics."""

    def __init__(self, made: Normalised, layers: Layers) -> None:
        self.norms: list[Any] = [layers(path) for path in made.norms]

    def __call__(self, x: Tensor) -> Tensor:
        if not by_batch(self.norms):
            return x
        _check_count(x)
        first = self.norms[0]
        if x.is_meta:
            return planned(x.shape, x, extra=x.shape[1], save_result=True)
        if formulated(x):
            return normalised(x, [*map(statistics, self.norms)])
        result: Tensor = first(x)
        with torch.no_grad():
            variances, means = torch.var_mean(x, (0, 2, 3))
            for norm in self.norms[1:]:
                norm.running_mean.lerp_(means.to(norm.running_mean.dtype), norm.momentum)
                norm.running_var.lerp_(variances.to(norm.running_var.dtype), norm.momentum)
        return result


class MixedSums:
    """All candidates of all edges into a node, normalised, weighted and added.

    The first arguments are the weights of the choice sets in `keys`, then comes one map a term.
    """

    def __init__(self, made: MixedSum, layers: Layers, places: Sequence[int]) -> None:
        self.terms = made.terms
        self.factors = made.factors
        self.count = len(made.keys)
        self.sets = [made.keys.index(term.mix.key) for term in made.terms]
        self.places = tuple(places)
        self.convs: list[Any] = [layers(t.conv) if t.conv else None for t in made.terms]
        self.norms: list[Any] = [layers(t.norm) if t.norm else None for t in made.terms]
        self.drops = [DropPath() if drop else None for drop in made.drops]

    def __call__(self, *arguments: Any) -> Tensor:
        weights, maps = arguments[: self.count], arguments[self.count :]
        shares = [weights[key][place] for key, place in zip(self.sets, self.places, strict=True)]
        every = range(len(self.terms))
        if not any(drop is not None and drop.training and drop.p > 0 for drop in self.drops):
            return self.mixed(maps, shares, every)
        total: Tensor | None = None
        for edge, drop in enumerate(self.drops):
            mixed = self.mixed(maps, shares, [t for t in every if self.terms[t].edge == edge])
            mixed = mixed if drop is None else drop(mixed)
            total = mixed if total is None else total + mixed
        assert total is not None
        return total

    def mixed(self, maps: Sequence[Any], shares: Sequence[Tensor], which: Sequence[int]) -> Tensor:
        """The sum of some terms."""
        alike: dict[Any, list[int]] = {None: []}
        others: list[int] = []
        products: dict[int, list[int]] = {}
        for t in which:
            x, factor = maps[t], self.terms[t].factor
            if factor is not None and (x.is_meta or formulated(x)):
                products.setdefault(factor, []).append(t)
            elif isinstance(x, Centred) and x.mean is not None:
                alike.setdefault(self.convs[t].weight.shape, []).append(t)
            elif self.is_plain(t) and (x.is_meta or formulated(x)):
                alike[None].append(t)
            else:
                others.append(t)
        plain = alike.pop(None)
        first, *rest = list(alike.values()) or [[]]
        parts = [self.folded(maps, shares, first, plain)] if first or plain else []
        parts += [self.folded(maps, shares, some, []) for some in rest]
        if others:
            parts.append(self.added(maps, shares, others))
        total = parts[0] if parts else None
        for part in parts[1:]:
            assert total is not None
            total = planned(part.shape, total, part) if part.is_meta else total + part
        for factor, ts in products.items():
            total = self.multiplied(maps, shares, ts, maps[len(self.terms) + factor], total)
        assert total is not None
        return total

    def multiplied(
        self, maps: Sequence[Any], shares: Sequence[Tensor], which: Sequence[int], factor: Tensor, total: Tensor | None
    ) -> Tensor:
        """One map under several masks, added to a sum that nobody else has."""
        masks = [None if maps[t] is factor else maps[t] for t in which]
        if not factor.is_meta:
            return masked(factor, masks, torch.stack([shares[t] for t in which]), total)
        given = [mask for mask in masks if mask is not None]
        shape = broadcast_shape(*given) if given else Size((1, 1, 1, 1))
        inputs = (factor, *given, shares[0], *([] if total is None else [total]))
        extra = shape.numel() + len(which)
        return planned(factor.shape, *inputs, saved=(factor, *given), extra=extra)

    def is_plain(self, term: int) -> bool:
        """Whether a term's map is weighted as it is."""
        norm = self.norms[term]
        factored = self.terms[term].factor is not None
        seen = norm is None or (self.terms[term].seen and norm.training)
        return self.convs[term] is None and not factored and seen

    def folded(
        self, maps: Sequence[Any], shares: Sequence[Tensor], which: Sequence[int], plain: Sequence[int]
    ) -> Tensor:
        """Terms behind a 1x1 convolution and a batch norm in training, and terms that are just maps."""
        chosen, others = [maps[t].map for t in which], [maps[t] for t in plain]
        first = (chosen or others)[0]
        if first.is_meta:
            B, C, H, W = first.shape
            out = self.convs[which[0]].out_channels if which else C
            extra = len(which) * (out * C + out) + len(which) + len(plain)
            saved = (*chosen, *others)
            return planned(Size((B, out, H, W)), *saved, shares[0], saved=saved, extra=extra)
        if which:
            _check_count(first)
        return mixed(
            torch.stack([shares[t] for t in (*which, *plain)]),
            chosen,
            others,
            taken_means([maps[t] for t in which]),
            [self.convs[t].weight for t in which],
            [statistics(self.norms[t]) for t in which],
        )

    def added(self, maps: Sequence[Any], shares: Sequence[Tensor], which: Sequence[int]) -> Tensor:
        """The other terms, by the kernel for mixed sums."""
        found = []
        norms = []
        for t in which:
            x, factor = maps[t].alone() if isinstance(maps[t], Centred) else maps[t], self.terms[t].factor
            if factor is not None:
                whole = maps[len(self.terms) + factor]
                x = whole if x is whole else whole * x
            found.append(x if self.convs[t] is None else self.convs[t](x))
            norm = self.norms[t]
            norms.append(None if self.terms[t].seen and norm.training else norm)
        kept = [norm for norm in norms if norm is not None]
        alike = {(n.training, n.momentum, n.eps) for n in kept}
        if len(alike) > 1:
            found = [x if n is None else n(x) for x, n in zip(found, norms, strict=True)]
            norms, kept = [None] * len(norms), []
        training, momentum, eps = alike.pop() if kept else (False, 0.1, 1e-5)
        if found[0].is_meta:
            # The weights, and a mean and a deviation of each term, be it normalised or not.
            extra = len(which) * (1 + 2 * found[0].shape[1])
            return planned(found[0].shape, *found, shares[0], saved=tuple(found), extra=extra)
        return mixed_sum(
            found,
            torch.stack([shares[t] for t in which]),
            [None if n is None else n.running_mean for n in norms],
            [None if n is None else n.running_var for n in norms],
            training=training,
            momentum=momentum,
            eps=eps,
        )


def statistics(norm: Any) -> Statistics:
    return Statistics(norm.running_mean, norm.running_var, norm.momentum, norm.eps)


def _check_count(x: Tensor) -> None:
    if x.numel() == x.shape[1]:
        raise ValueError("batch norm cannot train on a single value per channel: use a batch of two or more")


def make_fused(made: Fused, layers: Layers, places: Sequence[int]) -> Callable[..., Any]:
    """The operation of a fused node; `layers` finds the modules of its paths, `places` says where the
    weights of a mixed sum's terms stand in those of their sets."""
    if isinstance(made, MixedSum):
        return MixedSums(made, layers, places)
    if type(made) in _OF_LAYERS:
        return _OF_LAYERS[type(made)](made, layers)
    return _ALONE[type(made)](made)


_ALONE: dict[type[Fused], Callable[..., Callable[..., Any]]] = {Layout: LayOut, Part: TakePart, Matched: Recognised}
_OF_LAYERS: dict[type[Fused], Callable[..., Callable[..., Any]]] = {
    Depthwise: DepthwiseConvs,
    WholeWindow: WholeWindows,
    Pointwise: PointwiseConv,
    Answering: AnsweringLayer,
    NormConv: NormConvs,
    Normalised: NormalisedOnce,
}
