"""Launching the Triton kernels of relative attention. Triton is imported with the first launch."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from genolang.kernels.dispatch import interpreting
from genolang.kernels.maps import on_device_of
from genolang.kernels.relative_attention.configurations import configuration
from genolang.kernels.relative_attention.sizes import Sizes, centre, sizes


def forward(
    qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int
) -> tuple[Tensor, Tensor]:
    """(B, value, H, W) in the dtype of `qkv`, and base-2 logarithms of the weights' sums (B * heads, H*W)."""
    call = _Call(qkv, relative_height, relative_width, heads)
    s = call.sizes
    out = qkv.new_empty(s.batch, heads * s.value, s.height, s.width)
    logsumexp = call.buffer(s.pixels)
    call.run("forward", call.qkv, *call.biases(), out, logsumexp)
    return out, logsumexp


def backward(
    grad: Tensor, qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int, out: Tensor,
    logsumexp: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """The gradients of `qkv` and of the two tables."""
    call = _Call(qkv, relative_height, relative_width, heads)
    s = call.sizes
    grad, grad_qkv = grad.to(qkv.dtype).contiguous(), qkv.new_empty(qkv.shape)
    mean, grad_query = call.buffer(s.pixels), call.buffer(s.key, s.pixels)
    grad_row, grad_column = call.buffer(s.height, s.pixels), call.buffer(s.pixels, s.width)
    biases = call.biases()
    gradients = grad_query, grad_row, grad_column
    call.run("backward_query", call.qkv, *biases, out, grad, logsumexp, mean, *gradients)
    call.run("backward_key", call.qkv, *biases, grad, logsumexp, mean, grad_qkv)
    # The columns finish what the rows began.
    to_height = call.table(False, relative_height, grad_row, grad_query, grad_qkv)
    to_width = call.table(True, relative_width, grad_column, grad_query, grad_qkv)
    return grad_qkv, to_height, to_width


class _Call:
    """One call's arguments as the kernels take them."""

    def __init__(self, qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int) -> None:
        s = self.sizes = sizes(qkv, relative_height, relative_width, heads)
        if qkv.stride(2) != s.width * qkv.stride(3):
            qkv = qkv.contiguous()
        self.qkv = qkv
        self.wide = torch.promote_types(qkv.dtype, torch.float32)
        pairs = ((relative_height, s.height), (relative_width, s.width))
        self.tables = [centre(table, length).contiguous() for table, length in pairs]

    def buffer(self, *shape: int) -> Tensor:
        return self.qkv.new_empty(self.sizes.batch * self.sizes.heads, *shape, dtype=self.wide)

    def biases(self) -> tuple[Tensor, Tensor]:
        """What a key's row and its column add to the logits: [N, H, P] and [N, W, P]."""
        s = self.sizes
        by_row, by_column = self.buffer(s.height, s.pixels), self.buffer(s.width, s.pixels)
        self.run("prepare", self.qkv, *self.tables, by_row, by_column)
        return by_row, by_column

    def table(
        self, columns: bool, table: Tensor, grad_axis: Tensor, grad_query: Tensor, grad_qkv: Tensor
    ) -> Tensor:
        """The gradient of one table, zero outside the part that was read."""
        length = self.sizes.width if columns else self.sizes.height
        split = configuration("backward_table", self.qkv.dtype, self.sizes).blocks["SPLIT"]
        parts = self.buffer(split, 2 * length - 1, self.sizes.key)
        self.run("backward_table", self.qkv, self.tables[columns], grad_axis, grad_query, grad_qkv, parts,
                 COLUMNS=columns)  # fmt: skip
        found = table.new_zeros(table.shape)
        centre(found, length).copy_(parts.sum((0, 1)))
        return found

    def run(self, kernel: str, *tensors: Tensor, COLUMNS: bool = False) -> None:
        import triton.language as tl

        from genolang.kernels.relative_attention.fused import KERNELS

        s, dtype = self.sizes, self.qkv.dtype
        strides = self.qkv.stride(1), self.qkv.stride(3)
        how = constants(kernel, s, dtype, strides, hip=torch.version.hip is not None, columns=COLUMNS)
        wide = tl.float64 if self.wide == torch.float64 else tl.float32
        how |= {"ACC": wide, "OP": getattr(tl, OPERANDS.get(dtype, ""), wide)}
        if dtype == torch.bfloat16 and interpreting():
            # The interpreter cannot multiply these.
            how["OP"] = wide
        grid = (tiles(kernel, s, dtype), s.batch * s.heads)
        if s.batch == 0:
            return
        function, chosen = KERNELS[kernel], configuration(kernel, dtype, s)
        how = {name: value for name, value in how.items() if name in function.arg_names}
        with on_device_of(self.qkv):
            function[grid](
                *tensors, self.qkv.stride(0), **how, num_warps=chosen.warps, num_stages=chosen.stages,
                **options(hip=torch.version.hip is not None),
            )  # fmt: skip


def options(*, hip: bool) -> dict[str, int]:
    """AMD's 32x32 products would leave half of the warps with the other half's work."""
    return {"matrix_instr_nonkdim": 16} if hip else {}


OPERANDS = {torch.float16: "float16", torch.bfloat16: "bfloat16", torch.float32: "float32"}


def constants(
    kernel: str, s: Sizes, dtype: torch.dtype, strides: tuple[int, int], *, hip: bool, columns: bool
) -> dict[str, Any]:
    """What a kernel is compiled for, types apart; some of it is another kernel's."""
    blocks = configuration(kernel, dtype, s).blocks
    return {
        "STRIDE_C": strides[0], "STRIDE_P": strides[1], "H": s.height, "W": s.width, "HEADS": s.heads,
        "KEY": s.key, "VALUE": s.value, "SCALE": s.scale * math.log2(math.e), "COLUMNS": columns,
        "HP": padded(s.height, 8), "WP": padded(s.width, 8),
        "DP": padded(s.key, 16), "EP": padded(s.value, 16),
        "TABLE_H": padded(2 * s.height - 1, 16), "TABLE_W": padded(2 * s.width - 1, 16),
        "TP": padded(2 * (s.width if columns else s.height) - 1, 16),
        "PRECISION": "ieee" if hip else "tf32x3", "QUERIES": blocks["QUERIES"], "SPLIT": blocks.get("SPLIT"),
        "ROWS": _rows(kernel, s, dtype),
    }  # fmt: skip


def tiles(kernel: str, s: Sizes, dtype: torch.dtype) -> int:
    """The number of programs for one head."""
    blocks = configuration(kernel, dtype, s).blocks
    if kernel == "backward_key":
        return -(-s.height // _rows(kernel, s, dtype))
    return blocks.get("SPLIT", -(-s.pixels // blocks["QUERIES"]))


def _rows(kernel: str, s: Sizes, dtype: torch.dtype) -> int:
    """The image rows in a tile of keys, one at least."""
    return max(1, configuration(kernel, dtype, s).blocks.get("KEYS", 0) // padded(s.width, 8))


def padded(size: int, least: int) -> int:
    return max(least, 1 << (size - 1).bit_length())
