"""What each primitive with weights is in torch: a module of maps (B, C, H, W)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Size, Tensor, nn
from torch.nn import functional as F

from genolang.compiler.torch.attention import make_attention
from genolang.compiler.torch.initialised import initialised
from genolang.compiler.torch.planned import planned
from genolang.kernels.cpu import norms
from genolang.primitives import initialiser, padding, pair, transposed_padding
from genolang.semantics.program import Leaf

Attrs = Mapping[str, Any]


class BatchNorm(nn.BatchNorm2d):
    """Batch norm without a batch counter: momentum is fixed here, and the counter costs a kernel.

    State dicts that do have `num_batches_tracked` load all the same.
    """

    def __init__(self, channels: int, attrs: Attrs, *, plain: bool = False) -> None:
        super().__init__(channels, attrs["eps"], attrs["momentum"], attrs["affine"])
        self.num_batches_tracked: Tensor | None = None
        self.plain = plain

    def forward(self, input: Tensor) -> Tensor:
        if input.is_meta and self.training:
            # Saved: the input, the scale, and the batch's mean and inverse deviation.
            extra = 2 * input.shape[1]
            return planned(input.shape, input, self.weight, saved=(input, self.weight), extra=extra)
        if self.training and input.numel() == input.shape[1]:
            raise ValueError("batch norm cannot train on a single value per channel: use a batch of two or more")
        if self.training and not self.plain and norms.takes(input):
            assert self.running_mean is not None and self.running_var is not None
            kept = self.running_mean, self.running_var
            return norms.batch_norm(input, self.weight, self.bias, kept, self.momentum or 0.0, self.eps)
        # Of one image torch 2.13 reads the gradient as laid out like the map, whatever its strides are; of
        # rows of pixels it does not.
        alone = input.shape[0] == 1 and torch.is_grad_enabled() and not torch.compiler.is_exporting()
        y = torch.batch_norm(
            input.flatten(2) if alone else input,
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            self.training,
            self.momentum or 0.0,
            self.eps,
            torch.backends.cudnn.enabled,
        )
        return y.view_as(input) if alone else y

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # A variance may not fit into half precision where its map does.
        def kept(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            half = moved.dtype in (torch.float16, torch.bfloat16) and tensor.dtype == torch.float32
            return tensor.to(moved.device) if half else moved

        super()._apply(kept, recurse)  # type: ignore[no-untyped-call]
        return self

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        state_dict.pop(prefix + "num_batches_tracked", None)
        nn.Module._load_from_state_dict(self, state_dict, prefix, *rest)


class Conv2d(nn.Conv2d):
    """torch's convolution, which on the meta device has nothing to initialise."""

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            super().reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        if x.is_meta:
            return self.planned(x)
        rows, columns = self.stride
        strided = self.kernel_size == (1, 1) and rows * columns > 1 and self.padding == (0, 0)
        if strided and not x.is_contiguous():
            # With the channels last, torch 2.13's gradient of this on a CPU writes out of bounds.
            return F.conv2d(x[:, :, ::rows, ::columns], self.weight, self.bias, groups=self.groups)
        return super().forward(x)

    def planned(self, x: Tensor) -> Tensor:
        shape = Size((x.shape[0], self.out_channels, *self.size(x)))
        return planned(shape, x, self.weight, saved=(x, self.weight))

    def size(self, x: Tensor) -> list[int]:
        """Height and width of the result."""
        assert not isinstance(self.padding, str)
        reach = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel_size, strict=True)]
        return [
            (n + 2 * p - r) // s + 1 for n, p, r, s in zip(x.shape[2:], self.padding, reach, self.stride, strict=True)
        ]


class StandardizedConv(Conv2d):
    """A convolution by standardised weights, as weight standardisation has them (Qiao et al., 2019).

    The variance is over the count, and `eps` is added to it, as in BiT (Kolesnikov et al., 2020).
    """

    eps = 1e-6

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        if not x.is_meta:
            weight = standardized(weight, self.eps).to(x.dtype)
            return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
        shape = Size((x.shape[0], self.out_channels, *self.size(x)))
        weight = planned(weight.shape, weight, extra=2 * weight.shape[0])
        return planned(shape, x, weight, saved=(x, weight))


def standardized(weight: Tensor, eps: float) -> Tensor:
    """Weights (out, in, rows, columns) of mean 0 and deviation 1 for each output, in single precision at least."""
    rows = weight.flatten(1)[None].to(torch.promote_types(weight.dtype, torch.float32))
    return torch.batch_norm(rows, None, None, None, None, True, 0.0, eps, False).view_as(weight)


class TransposedConv(nn.ConvTranspose2d):
    """torch's transposed convolution, which on the meta device has nothing to initialise or compute."""

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            super().reset_parameters()

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if not x.is_meta:
            return super().forward(x)
        given = (x.shape[2:], self.kernel_size, self.stride, self.padding, self.dilation, self.output_padding)
        size = [(n - 1) * s - 2 * int(p) + d * (k - 1) + 1 + e for n, k, s, p, d, e in zip(*given, strict=True)]
        return planned(Size((x.shape[0], self.out_channels, *size)), x, self.weight, saved=(x, self.weight))


class Linear(nn.Linear):
    """A dense layer on (B, C, 1, 1)."""

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            super().reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        flat = input.flatten(1)
        if input.is_meta:
            shape = Size((flat.shape[0], self.out_features, 1, 1))
            return planned(shape, flat, self.weight, saved=(flat, self.weight))
        return F.linear(flat, self.weight, self.bias)[:, :, None, None]


class Scale(nn.Module):
    """A gain and a shift per channel."""

    def __init__(self, channels: int, gain: float, shift: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), gain))
        self.bias = nn.Parameter(torch.full((channels,), shift))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.addcmul(self.bias[:, None, None], x, self.weight[:, None, None])
        return y.to(x.dtype)


class Learned(nn.Module):
    """A learnable map, the same for all images of a batch; of the map that it is given it takes the precision."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight.to(x.dtype).expand(x.shape[0], -1, -1, -1)


class PReLU(nn.PReLU):
    """torch's, which on the meta device has nothing to compute."""

    def forward(self, x: Tensor) -> Tensor:
        return planned(x.shape, x, self.weight, saved=(x, self.weight)) if x.is_meta else super().forward(x)


class GroupNorm(nn.GroupNorm):
    """torch's, for groups of a single value too, of which nothing is left but the shift."""

    def forward(self, input: Tensor) -> Tensor:
        if input.is_meta:
            extra = 2 * input.shape[0] * self.num_groups
            # torch copies what does not lie in one piece.
            whole = input.is_contiguous() or input.is_contiguous(memory_format=torch.channels_last)
            x = input if whole else input.contiguous()
            return planned(x.shape, x, self.weight, saved=(x, self.weight), extra=extra)
        return torch.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)


class LayerNorm(nn.LayerNorm):
    """Layer norm over the channels at each position of (B, C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Dropout(nn.Module):
    """Dropout of single values, in training."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if x.is_meta and self.training:
            return planned(x.shape, x, extra=x.numel())
        # Numbers are drawn in memory's order: one order, so that a seed draws the same for any layout.
        return F.dropout(x.contiguous() if self.training else x, self.p, self.training)


class DropPath(nn.Module):
    """Drops whole samples with probability `p` and scales the others by 1 / (1 - p), in training.

    Source: FractalNet's path dropout as DARTS applies it to a node's incoming edges.
    """

    def __init__(self) -> None:
        super().__init__()
        self.p = 0.0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return x
        keep = 1.0 - self.p
        mask = torch.rand((x.shape[0], 1, 1, 1), device=x.device, dtype=x.dtype) < keep
        return x * (mask.to(x.dtype) / keep)


def make_leaf(leaf: Leaf, *, plain: bool = False) -> nn.Module:
    """A layer with weights, which begin as it says, else as torch has them; a `plain` one calls no kernel."""
    made, begun = _made(leaf, plain), leaf.attrs.get("init")
    found = None if begun is None else initialiser(begun)
    return made if found is None else initialised(made, *found)


def _made(leaf: Leaf, plain: bool) -> nn.Module:
    attrs, x = leaf.attrs, leaf.inputs[0]
    if leaf.layer in ("conv", "standardized_conv"):
        kind = Conv2d if leaf.layer == "conv" else StandardizedConv
        conv = kind(
            x.C,
            attrs["out"] or x.C,
            pair(attrs["k"]),
            pair(attrs["stride"]),
            padding(attrs),
            attrs["dilation"],
            attrs["groups"],
            attrs["bias"],
        )
        if isinstance(conv, StandardizedConv):
            conv.eps = float(attrs["eps"])
        return conv
    if leaf.layer == "linear":
        return Linear(x.C, attrs["out"], attrs["bias"])
    if leaf.layer == "scale":
        return Scale(x.C, float(attrs["gain"]), float(attrs["shift"]))
    if leaf.layer == "transposed_conv":
        pad, extra = transposed_padding(attrs)
        return TransposedConv(
            x.C,
            attrs["out"] or x.C,
            pair(attrs["k"]),
            pair(attrs["stride"]),
            pad,
            extra,
            attrs["groups"],
            attrs["bias"],
            attrs["dilation"],
        )
    if leaf.layer == "group_norm":
        return GroupNorm(attrs["groups"], x.C, attrs["eps"], attrs["affine"])
    if leaf.layer == "parameter":
        return Learned(attrs["shape"])
    if leaf.layer == "prelu":
        return PReLU(1 if attrs["shared"] else x.C, float(attrs["slope"]))
    if leaf.layer == "layer_norm":
        return LayerNorm(x.C, attrs["eps"])
    if leaf.layer == "relative_attention":
        return make_attention(leaf, plain)
    assert leaf.layer == "batch_norm", leaf.layer
    return BatchNorm(x.C, attrs, plain=plain)
