"""Launching the Triton kernels of relative attention. Triton is imported with the first launch."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from genolang.kernels.dispatch import interpreting
from genolang.kernels.maps import on_device_of
from genolang.kernels.record import Configuration
from genolang.kernels.relative_attention.configurations import (
    CONFIGURATIONS,
    configuration,
    in_tiles,
    padded,
    pieces,
    small,
)
from genolang.kernels.relative_attention.sizes import Sizes, centre, kept_for, sizes


def forward(qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """(B, value, H, W) in the dtype of `qkv`, and what is kept: in the last row, base-2
    logarithms of the weights' sums."""
    call = _Call(qkv, relative_height, relative_width, heads)
    s = call.sizes
    out = qkv.new_empty(s.batch, heads * s.value, s.height, s.width)
    kept = kept_for(qkv, s)
    biases = call.tables if small(s, qkv.dtype) else call.biases()
    call.run("forward", call.qkv, *biases, out, kept[-1])
    if len(kept) > 2:
        kept[:-2].copy_(out.view(kept[:-2].shape))
    return out.add_(call.taken_off_values()), kept


def backward(
    grad: Tensor, qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int,
    out: Tensor | None = None, kept: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """The gradients of `qkv` and of the two tables; `again` says when no more than the inputs are needed."""
    call = _Call(qkv, relative_height, relative_width, heads)
    s = call.sizes
    grad, grad_qkv = grad.to(qkv.dtype).contiguous(), qkv.new_empty(qkv.shape)
    if not in_tiles(s, qkv.dtype):
        parts = call.parts(1)
        call.run("small_backward", call.qkv, *call.tables, grad, grad_qkv, parts)
        return grad_qkv, *call.sums(parts, relative_height, relative_width)
    assert out is not None and kept is not None
    mean, grad_query = call.buffer(s.pixels), call.buffer(s.key, s.pixels)
    grad_row, grad_column = call.buffer(s.height, s.pixels), call.buffer(s.pixels, s.width)
    biases = call.biases()
    gradients = grad_query, grad_row, grad_column
    # Of what the values' mean takes part in, single precision leaves the result what plain operations do.
    centred = kept[:-2].to(qkv.dtype) if len(kept) > 2 else out - call.taken_off_values()
    call.run("backward_query", call.qkv, *biases, centred, grad, kept[-1], mean, *gradients)
    call.run("backward_key", call.qkv, *biases, grad, kept[-1], mean, grad_qkv)
    parts = call.parts(call.configuration("backward_table").blocks["SPLIT"])
    # The columns finish what the rows began.
    for columns, grad_axis in enumerate((grad_row, grad_column)):
        call.run("backward_table", call.qkv, call.tables[columns], grad_axis, grad_query, grad_qkv, parts,
                 COLUMNS=bool(columns))  # fmt: skip
    return grad_qkv, *call.sums(parts, relative_height, relative_width)


def again(qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int) -> bool:
    """Whether backward computes all that it needs again from the inputs."""
    return not in_tiles(sizes(qkv, relative_height, relative_width, heads), qkv.dtype)


def near_zero(x: Tensor, number: Tensor, over: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """`x` less a number for all along these axes, and what was taken off: nothing where the difference
    could be rounded. It never is where all lie within half of the number (Sterbenz)."""
    farthest = torch.linalg.vector_norm(x - number, torch.inf, over, keepdim=True)
    taken_off = torch.where(2 * farthest <= number.abs(), number, 0)
    return x - taken_off, taken_off


def middle_pixel(qkv: Tensor, s: Sizes) -> Tensor:
    """[B, C, 1, 1], with zeros for the queries: what all keys have in common changes no weight, and what
    all values have is added to the result again."""
    keys = s.heads * s.key
    return F.pad(qkv[:, keys:, s.height // 2, s.width // 2], (keys, 0))[..., None, None]


class _Call:
    """One call's arguments as the kernels take them."""

    def __init__(self, qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int) -> None:
        s = self.sizes = sizes(qkv, relative_height, relative_width, heads)
        if qkv.stride(2) != s.width * qkv.stride(3):
            qkv = qkv.contiguous()
        self.qkv, self.taken_off = near_zero(qkv, middle_pixel(qkv, s), (2, 3))
        self.wide = torch.promote_types(qkv.dtype, torch.float32)
        pairs = ((relative_height, s.height), (relative_width, s.width))
        rows = (centre(table, length).contiguous() for table, length in pairs)
        self.tables = [near_zero(table, table[table.shape[0] // 2], (0,))[0] for table in rows]

    def taken_off_values(self) -> Tensor:
        """What the weights' sum of one adds to the result again: [B, value, 1, 1]."""
        return self.taken_off[:, 2 * self.sizes.heads * self.sizes.key :]

    def buffer(self, *shape: int) -> Tensor:
        return self.qkv.new_empty(self.sizes.batch * self.sizes.heads, *shape, dtype=self.wide)

    def biases(self) -> tuple[Tensor, Tensor]:
        """What a key's row and its column add to the logits: [N, H, P] and [N, W, P]."""
        s = self.sizes
        by_row, by_column = self.buffer(s.height, s.pixels), self.buffer(s.width, s.pixels)
        self.run("prepare", self.qkv, *self.tables, by_row, by_column)
        return by_row, by_column

    def parts(self, split: int) -> Tensor:
        """What the programs find of the tables' gradients."""
        s = self.sizes
        return self.buffer(split, 2 * s.height + 2 * s.width - 2, s.key)

    def sums(self, parts: Tensor, *tables: Tensor) -> tuple[Tensor, Tensor]:
        """The tables' gradients, zero outside the parts that were read."""
        import triton.language as tl

        from genolang.kernels.relative_attention.fused import KERNELS

        s, chosen = self.sizes, CONFIGURATIONS["sum_parts"]
        to_height, to_width = (table.new_empty(table.shape) for table in tables)
        rows = to_height.shape[0], to_width.shape[0]
        programs = -(-sum(rows) * s.key // chosen.blocks["ELEMENTS"])
        with on_device_of(parts):
            KERNELS["sum_parts"][programs,](
                parts, to_height, to_width, parts.shape[0] * parts.shape[1], *rows, s.height, s.width, s.key,
                getattr(tl, str(self.wide).removeprefix("torch.")), **chosen.blocks, num_warps=chosen.warps,
            )  # fmt: skip
        return to_height, to_width

    def configuration(self, kernel: str) -> Configuration:
        return configuration(kernel, self.qkv.dtype, self.sizes, hip=torch.version.hip is not None)

    def run(self, kernel: str, *tensors: Tensor, COLUMNS: bool = False) -> None:
        import triton.language as tl

        from genolang.kernels.relative_attention import fused, fused_small

        s, dtype, hip = self.sizes, self.qkv.dtype, torch.version.hip is not None
        if s.batch == 0:
            return
        strides, chosen = (self.qkv.stride(1), self.qkv.stride(3)), self.configuration(kernel)
        how = constants(kernel, s, dtype, strides, chosen, hip=hip, columns=COLUMNS)
        wide = getattr(tl, str(self.wide).removeprefix("torch."))
        how |= {"ACC": wide, "OP": getattr(tl, OPERANDS.get(dtype, ""), wide)}
        if dtype == torch.bfloat16 and interpreting():
            # The interpreter cannot multiply these.
            how["OP"] = wide
        function = (fused.KERNELS | fused_small.KERNELS)[kernel]
        how = {name: value for name, value in how.items() if name in function.arg_names}
        with on_device_of(self.qkv):
            function[how_many(kernel, s, chosen), s.batch * s.heads](
                *tensors, self.qkv.stride(0), **how, num_warps=chosen.warps, num_stages=chosen.stages,
                **options(hip=hip),
            )  # fmt: skip


def options(*, hip: bool) -> dict[str, int]:
    """AMD's 32x32 products would leave half of the warps with the other half's work."""
    return {"matrix_instr_nonkdim": 16} if hip else {}


# The others are no more than a small part of the time.
IN_PIECES = ("forward", "backward_query", "backward_key")
OPERANDS = {torch.float16: "float16", torch.bfloat16: "bfloat16", torch.float32: "float32"}


def constants(
    kernel: str, s: Sizes, dtype: torch.dtype, strides: tuple[int, int], chosen: Configuration, *,
    hip: bool, columns: bool,
) -> dict[str, Any]:  # fmt: skip
    """What a kernel is compiled for, types apart; some of it is another kernel's."""
    (key, last_key), (value, last_value) = (
        pieces(size, dtype) if kernel in IN_PIECES else (padded(size, 16), 0) for size in (s.key, s.value)
    )
    return {
        "STRIDE_C": strides[0], "STRIDE_P": strides[1], "H": s.height, "W": s.width, "HEADS": s.heads,
        "KEY": s.key, "VALUE": s.value, "SCALE": s.scale * math.log2(math.e), "COLUMNS": columns,
        "HP": padded(s.height, 8), "WP": padded(s.width, 8),
        "DP": key, "DX": last_key, "EP": value, "EX": last_value,
        "TABLE_H": padded(2 * s.height - 1, 16), "TABLE_W": padded(2 * s.width - 1, 16),
        "TP": padded(2 * (s.width if columns else s.height) - 1, 16), "SMALL": small(s, dtype),
        "PRECISION": "ieee" if hip else "tf32x3", "QUERIES": chosen.blocks["QUERIES"],
        "SPLIT": chosen.blocks.get("SPLIT"), "ROWS": rows(s, chosen),
    }  # fmt: skip


def how_many(kernel: str, s: Sizes, chosen: Configuration) -> int:
    """The number of programs for one head."""
    if kernel == "small_backward":
        return 1
    if kernel == "backward_key":
        return -(-s.height // rows(s, chosen))
    return chosen.blocks.get("SPLIT", -(-s.pixels // chosen.blocks["QUERIES"]))


def rows(s: Sizes, chosen: Configuration) -> int:
    """The image rows in a tile of keys, one at least."""
    return max(1, chosen.blocks.get("KEYS", 0) // padded(s.width, 8))
