"""The mixed sum in Triton: no atomics and merges in a fixed order, so that two runs agree bit by bit.

A map (B, C, H, W) is C rows of M = B*H*W elements. The slab kernels give a row to one program, which holds
it in registers: one launch a direction. Longer rows, and channels_last, go in two phases over tiles of
[channels, elements]: partial sums, then the merge, then the maps.
"""

# mypy: disable-error-code="no-untyped-def,untyped-decorator"
from __future__ import annotations

from typing import Any

import triton
import triton.language as tl


@triton.jit
def pick(pointers, index):
    """pointers[index] for an index known at run time; keeps the vector width that an unrolled loop spills."""
    chosen = pointers[0]
    for i in tl.static_range(1, len(pointers)):
        chosen = tl.where(index == i, pointers[i], chosen)
    return chosen


@triton.jit
def bit(bits, index):
    return ((bits.to(tl.int64) >> index) & 1) != 0


@triton.jit
def place(channel, element, C, HW, LAST: tl.constexpr):
    """Offset of an element of a channel's row."""
    if LAST:
        offset = element * C + channel
    else:
        offset = (element // HW) * (C * HW) + channel * HW + element % HW
    return offset


@triton.jit
def keep(kept_means, kept_variances, index, channel, mask, mean, variance, M, MOMENTUM: tl.constexpr):
    """Move the running statistics towards the batch's; the variance kept is the unbiased one."""
    means, variances = pick(kept_means, index) + channel, pick(kept_variances, index) + channel
    old_mean = tl.load(means, mask=mask).to(mean.dtype)
    old_variance = tl.load(variances, mask=mask).to(mean.dtype)
    unbiased = variance * M / (M - 1)
    tl.store(means, old_mean + MOMENTUM * (mean - old_mean), mask=mask)
    tl.store(variances, old_variance + MOMENTUM * (unbiased - old_variance), mask=mask)


@triton.jit(do_not_specialize=["count", "normalised", "tracked"])
def slab_forward(
    xs, weights, kept_means, kept_variances, out, means, rstds, count, normalised, tracked, C, HW, M,
    TRAINING: tl.constexpr, MOMENTUM: tl.constexpr, EPS: tl.constexpr, ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    channel = tl.program_id(0)
    element = tl.arange(0, BLOCK)
    mask = element < M
    offset = place(channel, element, C, HW, False)
    total = tl.zeros([BLOCK], ACC)
    for t in range(count):
        x = tl.load(pick(xs, t) + offset, mask=mask, other=0).to(ACC)
        mean = tl.full((), 0, ACC)
        rstd = tl.full((), 1, ACC)
        if bit(normalised, t):
            if TRAINING:
                mean = tl.sum(x, 0) / M
                centred = tl.where(mask, x - mean, 0)
                variance = tl.sum(centred * centred, 0) / M
                if bit(tracked, t):
                    keep(kept_means, kept_variances, t, channel, True, mean, variance, M, MOMENTUM)
            else:
                mean = tl.load(pick(kept_means, t) + channel).to(ACC)
                variance = tl.load(pick(kept_variances, t) + channel).to(ACC)
            rstd = 1 / tl.sqrt(variance + EPS)
        tl.store(means + t * C + channel, mean)
        tl.store(rstds + t * C + channel, rstd)
        total += (x - mean) * (tl.load(weights + t).to(ACC) * rstd)
    tl.store(out + offset, total, mask=mask)


@triton.jit(do_not_specialize=["count", "by_batch", "needs"])
def slab_backward(
    grad, xs, weights, means, rstds, to_xs, sums, count, by_batch, needs, C, HW, M,
    ACC: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The row comes twice per candidate, the second time from the cache: held in registers, it spills."""
    channel = tl.program_id(0)
    g_sum = tl.zeros([BLOCK], ACC)
    for start in range(0, M, BLOCK):
        element = start + tl.arange(0, BLOCK)
        g_sum += tl.load(grad + place(channel, element, C, HW, False), mask=element < M, other=0).to(ACC)
    g_mean = tl.sum(g_sum, 0) / M
    to_x = to_xs
    for t in range(count):
        xs_t = pick(xs, t)
        mean = tl.load(means + t * C + channel)
        rstd = tl.load(rstds + t * C + channel)
        products = tl.zeros([BLOCK], ACC)
        for start in range(0, M, BLOCK):
            element = start + tl.arange(0, BLOCK)
            offset = place(channel, element, C, HW, False)
            g = tl.load(grad + offset, mask=element < M, other=0).to(ACC)
            products += g * (tl.load(xs_t + offset, mask=element < M, other=0).to(ACC) - mean)
        product = tl.sum(products, 0) * rstd
        tl.store(sums + t * C + channel, product)
        if bit(needs, t):
            scale = tl.load(weights + t).to(ACC) * rstd
            for start in range(0, M, BLOCK):
                element = start + tl.arange(0, BLOCK)
                offset = place(channel, element, C, HW, False)
                d = tl.load(grad + offset, mask=element < M, other=0).to(ACC)
                if bit(by_batch, t):
                    x = tl.load(xs_t + offset, mask=element < M, other=0).to(ACC)
                    d = d - g_mean - (x - mean) * (product * rstd / M)
                tl.store(to_x + offset, d * scale, mask=element < M)
            to_x += (C * M).to(tl.int64)


@triton.jit(do_not_specialize=["normalised"])
def partial_statistics(
    xs, means, squares, normalised, C, HW, M,
    LAST: tl.constexpr, ACC: tl.constexpr, LINES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Mean and centred sum of squares of a tile's channels, [T, chunks, C] each."""
    chunk, t = tl.program_id(0), tl.program_id(2)
    if bit(normalised, t):
        channels = tl.program_id(1) * LINES + tl.arange(0, LINES)
        element = chunk * BLOCK + tl.arange(0, BLOCK)
        mask = (channels < C)[:, None] & (element < M)[None, :]
        offset = place(channels[:, None], element[None, :], C, HW, LAST)
        x = tl.load(pick(xs, t) + offset, mask=mask, other=0).to(ACC)
        mean = tl.sum(x, 1) / tl.minimum(BLOCK, M - chunk * BLOCK)
        centred = tl.where(mask, x - mean[:, None], 0)
        to = (t * tl.num_programs(0) + chunk) * C + channels
        tl.store(means + to, mean, mask=channels < C)
        tl.store(squares + to, tl.sum(centred * centred, 1), mask=channels < C)


@triton.jit(do_not_specialize=["normalised", "tracked", "chunks"])
def finish_statistics(
    part_means, part_squares, kept_means, kept_variances, means, rstds, normalised, tracked, chunks, C, M,
    TRAINING: tl.constexpr, MOMENTUM: tl.constexpr, EPS: tl.constexpr, ACC: tl.constexpr,
    BLOCK: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Merge the chunks' statistics (Chan), or take the kept ones; 0 and 1 where there is no batch norm."""
    t = tl.program_id(0)
    channels = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    there = channels < C
    mean = tl.zeros([CHANNELS], ACC)
    rstd = tl.full([CHANNELS], 1, ACC)
    if bit(normalised, t):
        if TRAINING:
            part = t * chunks * C + channels[None, :]
            for start in range(0, chunks, ROWS):
                rows = start + tl.arange(0, ROWS)[:, None]
                mask = (rows < chunks) & there[None, :]
                m = tl.load(part_means + part + rows * C, mask=mask, other=0)
                mean += tl.sum(m * tl.minimum(BLOCK, M - rows * BLOCK), 0)
            mean = mean / M
            variance = tl.zeros([CHANNELS], ACC)
            for start in range(0, chunks, ROWS):
                rows = start + tl.arange(0, ROWS)[:, None]
                mask = (rows < chunks) & there[None, :]
                away = tl.load(part_means + part + rows * C, mask=mask, other=0) - mean[None, :]
                square = tl.load(part_squares + part + rows * C, mask=mask, other=0)
                square += away * away * tl.minimum(BLOCK, M - rows * BLOCK)
                variance += tl.sum(tl.where(mask, square, 0), 0)
            variance = variance / M
            if bit(tracked, t):
                keep(kept_means, kept_variances, t, channels, there, mean, variance, M, MOMENTUM)
        else:
            mean = tl.load(pick(kept_means, t) + channels, mask=there).to(ACC)
            variance = tl.load(pick(kept_variances, t) + channels, mask=there, other=1).to(ACC)
        rstd = 1 / tl.sqrt(variance + EPS)
    tl.store(means + t * C + channels, mean, mask=there)
    tl.store(rstds + t * C + channels, rstd, mask=there)


@triton.jit
def tile(C, HW, M, LAST: tl.constexpr, FLAT: tl.constexpr, LINES: tl.constexpr, BLOCK: tl.constexpr):
    """Offsets of a program's elements, and which are there; the channels of its lines, and which are there;
    the channels into which lines go on, and from where.

    A line is a piece of a channel's row. Where rows are not aligned, it is of the whole map (FLAT), and runs
    at most into the next channel: BLOCK <= HW + 1.
    """
    line = tl.program_id(1 - FLAT) * LINES + tl.arange(0, LINES)
    if FLAT:
        element = line[:, None] * BLOCK + tl.arange(0, BLOCK)[None, :]
        row = line * BLOCK // HW
        there = line * BLOCK < C * M
        found = element, element < C * M, row % C, there, (row + 1) % C, element >= ((row + 1) * HW)[:, None]
    else:
        element = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)[None, :]
        there = line < C
        mask = there[:, None] & (element < M)
        found = place(line[:, None], element, C, HW, LAST), mask, line, there, line, mask
    return found


@triton.jit
def of_channels(values, channels, there, following, onwards, FLAT: tl.constexpr):
    """The numbers of the channels of a tile, to be spread over its elements."""
    found = tl.load(values + channels, mask=there, other=0)[:, None]
    if FLAT:
        found = tl.where(onwards, tl.load(values + following, mask=there, other=0)[:, None], found)
    return found


@triton.jit(do_not_specialize=["count"])
def apply_forward(
    xs, weights, means, rstds, out, count, C, HW, M,
    LAST: tl.constexpr, FLAT: tl.constexpr, ACC: tl.constexpr, LINES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    offset, mask, channels, there, following, onwards = tile(C, HW, M, LAST, FLAT, LINES, BLOCK)
    total = tl.zeros([LINES, BLOCK], ACC)
    for t in range(count):
        x = tl.load(pick(xs, t) + offset, mask=mask, other=0).to(ACC)
        mean = of_channels(means + t * C, channels, there, following, onwards, FLAT)
        rstd = of_channels(rstds + t * C, channels, there, following, onwards, FLAT)
        total += (x - mean) * (rstd * tl.load(weights + t).to(ACC))
    tl.store(out + offset, total, mask=mask)


@triton.jit(do_not_specialize=["count"])
def partial_products(
    grad, xs, means, rstds, parts, count, C, HW, M,
    LAST: tl.constexpr, ACC: tl.constexpr, LINES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """A tile's sums of gradient times normalised map, [T, chunks, C], and of the gradient as row T."""
    chunk = tl.program_id(0)
    channels = tl.program_id(1) * LINES + tl.arange(0, LINES)
    element = chunk * BLOCK + tl.arange(0, BLOCK)
    there = channels < C
    mask = there[:, None] & (element < M)[None, :]
    offset = place(channels[:, None], element[None, :], C, HW, LAST)
    g = tl.load(grad + offset, mask=mask, other=0).to(ACC)
    to = parts + chunk * C + channels
    step = tl.num_programs(0) * C
    for t in range(count):
        x = tl.load(pick(xs, t) + offset, mask=mask, other=0).to(ACC)
        mean = tl.load(means + t * C + channels, mask=there, other=0)
        rstd = tl.load(rstds + t * C + channels, mask=there, other=0)
        product = tl.where(mask, g * (x - mean[:, None]), 0)
        tl.store(to + t * step, tl.sum(product, 1) * rstd, mask=there)
    tl.store(to + count * step, tl.sum(g, 1), mask=there)


@triton.jit(do_not_specialize=["count", "by_batch", "needs"])
def apply_backward(
    grad, xs, weights, means, rstds, sums, to_xs, count, by_batch, needs, C, HW, M,
    LAST: tl.constexpr, FLAT: tl.constexpr, ACC: tl.constexpr, LINES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    offset, mask, channels, there, following, onwards = tile(C, HW, M, LAST, FLAT, LINES, BLOCK)
    g = tl.load(grad + offset, mask=mask, other=0).to(ACC)
    g_mean = of_channels(sums + count * C, channels, there, following, onwards, FLAT) / M
    to_x = to_xs
    for t in range(count):
        if bit(needs, t):
            rstd = of_channels(rstds + t * C, channels, there, following, onwards, FLAT)
            d = g
            if bit(by_batch, t):
                x = tl.load(pick(xs, t) + offset, mask=mask, other=0).to(ACC)
                mean = of_channels(means + t * C, channels, there, following, onwards, FLAT)
                slope = of_channels(sums + t * C, channels, there, following, onwards, FLAT) * rstd / M
                d = g - g_mean - (x - mean) * slope
            tl.store(to_x + offset, d * (tl.load(weights + t).to(ACC) * rstd), mask=mask)
            to_x += (C * M).to(tl.int64)


KERNELS: dict[str, Any] = {
    kernel.__name__: kernel
    for kernel in (
        slab_forward, slab_backward, partial_statistics, finish_statistics,
        apply_forward, partial_products, apply_backward,
    )
}  # fmt: skip
