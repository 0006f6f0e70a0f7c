"""Masking and recalibration in Triton: sigmoids are recomputed in backward, sums stay in one program.

A tile is [channels, positions] of one image, at `image + place(...)`; a program of `spatial_*` goes over
the positions of its channels, one of `channel_*` over the channels of its positions, twice: the second
time from the cache.
"""

# mypy: disable-error-code="no-untyped-def,untyped-decorator"
from __future__ import annotations

from typing import Any

import triton
import triton.language as tl


@triton.jit
def sigmoid(x):
    return 1 / (1 + tl.exp(-x))


@triton.jit
def place(channel, position, C, HW, LAST: tl.constexpr):
    """Offset in an image of channels (a column) and positions (a row)."""
    if LAST:
        offset = position[None, :] * C + channel[:, None]
    else:
        offset = channel[:, None] * HW + position[None, :]
    return offset


@triton.jit
def image_of(program, C, HW):
    return program.to(tl.int64) * C * HW


@triton.jit
def mixed_forward(t, m, out, size, RESIDUAL: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr):
    offset = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = offset < size
    mask = sigmoid(tl.load(m + offset, mask=inside, other=0).to(ACC)) + RESIDUAL
    tl.store(out + offset, mask * tl.load(t + offset, mask=inside, other=0).to(ACC), mask=inside)


@triton.jit
def mixed_backward(
    g, t, m, to_t, to_m, size, RESIDUAL: tl.constexpr, NEED_T: tl.constexpr, NEED_M: tl.constexpr,
    ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    offset = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = offset < size
    grad = tl.load(g + offset, mask=inside, other=0).to(ACC)
    mask = sigmoid(tl.load(m + offset, mask=inside, other=0).to(ACC))
    if NEED_T:
        tl.store(to_t + offset, grad * (mask + RESIDUAL), mask=inside)
    if NEED_M:
        d = grad * tl.load(t + offset, mask=inside, other=0).to(ACC)
        tl.store(to_m + offset, d * mask * (1 - mask), mask=inside)


@triton.jit
def spatial_forward(
    t, m, out, means, deviations, C, HW, EPS: tl.constexpr, RESIDUAL: tl.constexpr, LAST: tl.constexpr,
    ACC: tl.constexpr, CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Keeps means and unbiased deviations (B, C)."""
    start_of = image_of(tl.program_id(0), C, HW)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    there = channel < C
    # A mean of what is left without the first value: that of a constant row is exact.
    first = tl.load(m + start_of + channel * (1 if LAST else HW), mask=there, other=0).to(ACC)
    total = tl.zeros([CHANNELS, BLOCK], ACC)
    for start in range(0, HW, BLOCK):
        position = start + tl.arange(0, BLOCK)
        inside = there[:, None] & (position < HW)[None, :]
        x = tl.load(m + start_of + place(channel, position, C, HW, LAST), mask=inside, other=0).to(ACC)
        total += tl.where(inside, x - first[:, None], 0)
    mean = first + tl.sum(total, 1) / HW
    squares = tl.zeros([CHANNELS, BLOCK], ACC)
    for start in range(0, HW, BLOCK):
        position = start + tl.arange(0, BLOCK)
        inside = there[:, None] & (position < HW)[None, :]
        x = tl.load(m + start_of + place(channel, position, C, HW, LAST), mask=inside, other=0).to(ACC)
        x = tl.where(inside, x - mean[:, None], 0)
        squares += x * x
    deviation = tl.sqrt(tl.sum(squares, 1) / tl.maximum(HW - 1, 1))
    row = tl.program_id(0).to(tl.int64) * C + channel
    tl.store(means + row, mean, mask=there)
    tl.store(deviations + row, deviation, mask=there)
    scale = 1 / (deviation + EPS)
    for start in range(0, HW, BLOCK):
        position = start + tl.arange(0, BLOCK)
        inside = there[:, None] & (position < HW)[None, :]
        offset = start_of + place(channel, position, C, HW, LAST)
        x = tl.load(m + offset, mask=inside, other=0).to(ACC)
        mask = sigmoid((x - mean[:, None]) * scale[:, None]) + RESIDUAL
        tl.store(out + offset, mask * tl.load(t + offset, mask=inside, other=0).to(ACC), mask=inside)


@triton.jit
def spatial_backward(
    g, t, m, means, deviations, to_t, to_m, C, HW, EPS: tl.constexpr, RESIDUAL: tl.constexpr,
    NEED_T: tl.constexpr, NEED_M: tl.constexpr, LAST: tl.constexpr,
    ACC: tl.constexpr, CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    start_of = image_of(tl.program_id(0), C, HW)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    there = channel < C
    row = tl.program_id(0).to(tl.int64) * C + channel
    mean = tl.load(means + row, mask=there, other=0)
    deviation = tl.load(deviations + row, mask=there, other=1)
    scale = 1 / (deviation + EPS)
    sums = tl.zeros([CHANNELS, BLOCK], ACC)
    products = tl.zeros([CHANNELS, BLOCK], ACC)
    for start in range(0, HW, BLOCK):
        position = start + tl.arange(0, BLOCK)
        inside = there[:, None] & (position < HW)[None, :]
        offset = start_of + place(channel, position, C, HW, LAST)
        grad = tl.load(g + offset, mask=inside, other=0).to(ACC)
        z = (tl.load(m + offset, mask=inside, other=0).to(ACC) - mean[:, None]) * scale[:, None]
        mask = sigmoid(z)
        if NEED_T:
            tl.store(to_t + offset, grad * (mask + RESIDUAL), mask=inside)
        if NEED_M:
            d = grad * tl.load(t + offset, mask=inside, other=0).to(ACC) * mask * (1 - mask)
            sums += d
            products += tl.where(inside, d * z, 0)
    if NEED_M:
        level = tl.sum(sums, 1) / HW
        # A deviation of 0 has no slope, as in ATen.
        weight = tl.where(deviation > 0, deviation, 1) * tl.maximum(HW - 1, 1)
        slope = tl.where(deviation > 0, tl.sum(products, 1) / weight, 0)
        for start in range(0, HW, BLOCK):
            position = start + tl.arange(0, BLOCK)
            inside = there[:, None] & (position < HW)[None, :]
            offset = start_of + place(channel, position, C, HW, LAST)
            grad = tl.load(g + offset, mask=inside, other=0).to(ACC)
            away = tl.load(m + offset, mask=inside, other=0).to(ACC) - mean[:, None]
            mask = sigmoid(away * scale[:, None])
            d = grad * tl.load(t + offset, mask=inside, other=0).to(ACC) * mask * (1 - mask)
            d = (d - level[:, None] - away * slope[:, None]) * scale[:, None]
            tl.store(to_m + offset, d, mask=inside)


@triton.jit
def channel_forward(
    t, m, out, norms, C, HW, EPS: tl.constexpr, RESIDUAL: tl.constexpr, SIGMOID: tl.constexpr,
    LAST: tl.constexpr, ACC: tl.constexpr, CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Keeps the norms (B, H*W)."""
    start_of = image_of(tl.program_id(0), C, HW)
    position = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    there = position < HW
    squares = tl.zeros([CHANNELS, BLOCK], ACC)
    for start in range(0, C, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        inside = (channel < C)[:, None] & there[None, :]
        x = tl.load(m + start_of + place(channel, position, C, HW, LAST), mask=inside, other=0).to(ACC)
        squares += x * x
    norm = tl.sqrt(tl.sum(squares, 0))
    tl.store(norms + tl.program_id(0).to(tl.int64) * HW + position, norm, mask=there)
    divisor = tl.maximum(norm, tl.full((), EPS, ACC), propagate_nan=tl.PropagateNan.ALL)
    for start in range(0, C, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        inside = (channel < C)[:, None] & there[None, :]
        offset = start_of + place(channel, position, C, HW, LAST)
        mask = tl.load(m + offset, mask=inside, other=0).to(ACC) / divisor[None, :]
        if SIGMOID:
            mask = sigmoid(mask)
        x = tl.load(t + offset, mask=inside, other=0).to(ACC)
        tl.store(out + offset, (mask + RESIDUAL) * x, mask=inside)


@triton.jit
def channel_backward(
    g, t, m, norms, to_t, to_m, C, HW, EPS: tl.constexpr, RESIDUAL: tl.constexpr, SIGMOID: tl.constexpr,
    NEED_T: tl.constexpr, NEED_M: tl.constexpr, LAST: tl.constexpr,
    ACC: tl.constexpr, CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    start_of = image_of(tl.program_id(0), C, HW)
    position = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    there = position < HW
    norm = tl.load(norms + tl.program_id(0).to(tl.int64) * HW + position, mask=there, other=1)
    divisor = tl.maximum(norm, tl.full((), EPS, ACC), propagate_nan=tl.PropagateNan.ALL)
    products = tl.zeros([CHANNELS, BLOCK], ACC)
    for start in range(0, C, CHANNELS):
        channel = start + tl.arange(0, CHANNELS)
        inside = (channel < C)[:, None] & there[None, :]
        offset = start_of + place(channel, position, C, HW, LAST)
        grad = tl.load(g + offset, mask=inside, other=0).to(ACC)
        unit = tl.load(m + offset, mask=inside, other=0).to(ACC) / divisor[None, :]
        mask = unit
        if SIGMOID:
            mask = sigmoid(unit)
        if NEED_T:
            tl.store(to_t + offset, grad * (mask + RESIDUAL), mask=inside)
        if NEED_M:
            d = grad * tl.load(t + offset, mask=inside, other=0).to(ACC)
            if SIGMOID:
                d = d * mask * (1 - mask)
            products += d * unit
    if NEED_M:
        # Where the norm was replaced by eps, it does not depend on the logits.
        along = tl.where(norm >= EPS, tl.sum(products, 0), 0)
        for start in range(0, C, CHANNELS):
            channel = start + tl.arange(0, CHANNELS)
            inside = (channel < C)[:, None] & there[None, :]
            offset = start_of + place(channel, position, C, HW, LAST)
            grad = tl.load(g + offset, mask=inside, other=0).to(ACC)
            unit = tl.load(m + offset, mask=inside, other=0).to(ACC) / divisor[None, :]
            d = grad * tl.load(t + offset, mask=inside, other=0).to(ACC)
            if SIGMOID:
                mask = sigmoid(unit)
                d = d * mask * (1 - mask)
            tl.store(to_m + offset, (d - along[None, :] * unit) / divisor[None, :], mask=inside)


@triton.jit
def shared_mask(m, image, channel, position, C, HW, MASK: tl.constexpr, ACC: tl.constexpr):
    """Where the logits of channels or positions lie, which are there, and their mask, a vector: as the tile
    that it is broadcast to, every thread would load and compute it once a value."""
    if MASK == "channel":
        at, there = image * C + channel, channel < C
    else:
        at, there = image * HW + position, position < HW
    return at, there, sigmoid(tl.load(m + at, mask=there, other=0).to(ACC))


@triton.jit
def recalibrate_forward(
    x, f, m, out, C, HW, MASK: tl.constexpr, RELU: tl.constexpr, LAST: tl.constexpr,
    ACC: tl.constexpr, CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    image = tl.program_id(0).to(tl.int64)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    position = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    inside = (channel < C)[:, None] & (position < HW)[None, :]
    offset = image_of(image, C, HW) + place(channel, position, C, HW, LAST)
    if MASK == "full":
        mask = sigmoid(tl.load(m + offset, mask=inside, other=0).to(ACC))
    else:
        _, _, shared = shared_mask(m, image, channel, position, C, HW, MASK, ACC)
        mask = shared[:, None] if MASK == "channel" else shared[None, :]
    y = tl.load(x + offset, mask=inside, other=0).to(ACC)
    y += mask * tl.load(f + offset, mask=inside, other=0).to(ACC)
    if RELU:
        y = tl.where(y <= 0, 0, y)
    tl.store(out + offset, y, mask=inside)


@triton.jit
def recalibrate_backward(
    g, f, m, y, to_x, to_f, to_m, C, HW, MASK: tl.constexpr, RELU: tl.constexpr,
    NEED_X: tl.constexpr, NEED_F: tl.constexpr, NEED_M: tl.constexpr, LAST: tl.constexpr,
    ACC: tl.constexpr, CHANNELS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program for all positions of its channels, all channels of its positions, or its tile alone."""
    image = tl.program_id(0).to(tl.int64)
    first_channel, first_position = tl.program_id(1) * CHANNELS, tl.program_id(2) * BLOCK
    channel = first_channel + tl.arange(0, CHANNELS)
    position = first_position + tl.arange(0, BLOCK)
    steps = 1
    if MASK == "channel":
        steps = tl.cdiv(HW, BLOCK)
    elif MASK == "spatial":
        steps = tl.cdiv(C, CHANNELS)
    if MASK != "full":
        products = tl.zeros([CHANNELS, BLOCK], ACC)
        at, there, shared = shared_mask(m, image, channel, position, C, HW, MASK, ACC)
        mask = shared[:, None] if MASK == "channel" else shared[None, :]
    for step in range(steps):
        channel = first_channel + tl.arange(0, CHANNELS)
        position = first_position + tl.arange(0, BLOCK)
        if MASK == "channel":
            position += step * BLOCK
        elif MASK == "spatial":
            channel += step * CHANNELS
        inside = (channel < C)[:, None] & (position < HW)[None, :]
        offset = image_of(image, C, HW) + place(channel, position, C, HW, LAST)
        grad = tl.load(g + offset, mask=inside, other=0).to(ACC)
        if RELU:
            grad = tl.where(tl.load(y + offset, mask=inside, other=0).to(ACC) <= 0, 0, grad)
        if NEED_X:
            tl.store(to_x + offset, grad, mask=inside)
        if MASK == "full":
            own = sigmoid(tl.load(m + offset, mask=inside, other=0).to(ACC))
            if NEED_F:
                tl.store(to_f + offset, grad * own, mask=inside)
            if NEED_M:
                d = grad * tl.load(f + offset, mask=inside, other=0).to(ACC)
                tl.store(to_m + offset, d * own * (1 - own), mask=inside)
        else:
            if NEED_F:
                tl.store(to_f + offset, grad * mask, mask=inside)
            if NEED_M:
                products += grad * tl.load(f + offset, mask=inside, other=0).to(ACC)
    if NEED_M and MASK != "full":
        d = tl.sum(products, 1 if MASK == "channel" else 0)
        tl.store(to_m + at, d * shared * (1 - shared), mask=there)


KERNELS: dict[str, Any] = {
    kernel.__name__: kernel
    for kernel in (
        mixed_forward, mixed_backward, spatial_forward, spatial_backward, channel_forward, channel_backward,
        recalibrate_forward, recalibrate_backward,
    )
}  # fmt: skip
