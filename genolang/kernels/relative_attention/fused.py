"""2D relative self-attention in Triton: no logits in memory, no atomics, so that two runs agree bit by bit.

N is batch times heads, P is H*W. Keys are taken by whole image rows: what a key's column adds to the logits
of a tile of queries then stays in registers, and of what its row adds one number a query is read each time.
`qkv` is read as a convolution writes it; STRIDE_C and STRIDE_P are its strides of channels and pixels.
Exponentials are to base 2: SCALE is log2(e) / sqrt(KEY). Padded sizes: WP of W, DP of KEY, EP of VALUE.
"""

# mypy: disable-error-code="no-untyped-def,untyped-decorator"

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

# SCALE * LN2 is 1 / sqrt(KEY).
LN2 = tl.constexpr(0.6931471805599453)


@triton.jit
def load_tile(start, i, c, SIZE: tl.constexpr, P: tl.constexpr, STRIDE_C: tl.constexpr,
              STRIDE_P: tl.constexpr, OP: tl.constexpr):  # fmt: skip
    """Pixels i and channels c (shapes that broadcast) of one head; zeros outside."""
    return tl.load(start + c * STRIDE_C + i * STRIDE_P, mask=(c < SIZE) & (i < P), other=0).to(OP)


@triton.jit
def places(first, H: tl.constexpr, W: tl.constexpr, ROWS: tl.constexpr, WP: tl.constexpr):
    """The pixels of ROWS image rows, each of WP keys; H * W and more for what is no pixel."""
    j = tl.arange(0, ROWS * WP)
    row, x = first + j // WP, j % WP
    place = tl.where((x < W) & (row < H), row * W + x, H * W + x)
    # The compiler does not see it by itself, and would load key by key.
    TOGETHER: tl.constexpr = W & -W
    return tl.max_contiguous(tl.multiple_of(place, TOGETHER), TOGETHER)


@triton.jit
def load_bias(biases, a, i, L: tl.constexpr, P: tl.constexpr):
    """The biases [L, P] of one head for keys at a and queries i; no key stands outside of the map."""
    found = tl.load(biases + a * P + i, mask=(a < L) & (i < P), other=0)
    return tl.where(a < L, found, -float("inf"))


@triton.jit
def heads_of(qkv, n, stride_b, HEADS: tl.constexpr, KEY: tl.constexpr, VALUE: tl.constexpr,
             STRIDE_C: tl.constexpr):  # fmt: skip
    """Where the queries, keys and values of head n begin."""
    image = qkv + (n // HEADS) * stride_b
    head = n % HEADS
    return (image + head * KEY * STRIDE_C, image + (HEADS + head) * KEY * STRIDE_C,
            image + (2 * HEADS * KEY + head * VALUE) * STRIDE_C)  # fmt: skip


@triton.jit
def axis_biases(q, table, biases, i, own, L: tl.constexpr, P: tl.constexpr, KEY: tl.constexpr,
                LP: tl.constexpr, TP: tl.constexpr, DP: tl.constexpr, OP: tl.constexpr,
                PRECISION: tl.constexpr):  # fmt: skip
    """q . table by offset, moved to positions, to biases [L, P]; `own` is the queries' own position."""
    t, d, a = tl.arange(0, TP), tl.arange(0, DP), tl.arange(0, LP)
    rows = tl.load(table + t[None, :] * KEY + d[:, None],
                   mask=(t < 2 * L - 1)[None, :] & (d < KEY)[:, None], other=0).to(OP)  # fmt: skip
    products = tl.dot(q, rows, input_precision=PRECISION)
    offsets = tl.minimum(tl.maximum(a[None, :] - own[:, None] + (L - 1), 0), TP - 1)
    found = tl.gather(products, offsets, 1)
    tl.store(biases + a[None, :] * P + i[:, None], found, mask=(a < L)[None, :] & (i < P)[:, None])


@triton.jit
def prepare(qkv, relative_height, relative_width, by_row, by_column, stride_b,
            STRIDE_C: tl.constexpr, STRIDE_P: tl.constexpr, H: tl.constexpr, W: tl.constexpr,
            HEADS: tl.constexpr, KEY: tl.constexpr, VALUE: tl.constexpr, HP: tl.constexpr, WP: tl.constexpr,
            TABLE_H: tl.constexpr, TABLE_W: tl.constexpr, DP: tl.constexpr, OP: tl.constexpr,
            PRECISION: tl.constexpr, QUERIES: tl.constexpr):  # fmt: skip
    """What a key's row and its column add to every query's product with the key: by_row [N, H, P], by_column
    [N, W, P]."""
    n = tl.program_id(1).to(tl.int64)
    i = tl.program_id(0) * QUERIES + tl.arange(0, QUERIES)
    queries, _, _ = heads_of(qkv, n, stride_b, HEADS, KEY, VALUE, STRIDE_C)
    q = load_tile(queries, i[:, None], tl.arange(0, DP)[None, :], KEY, H * W, STRIDE_C, STRIDE_P, OP)
    axis_biases(q, relative_height, by_row + n * H * H * W, i, i // W, H, H * W, KEY, HP, TABLE_H, DP, OP,
                PRECISION)  # fmt: skip
    axis_biases(q, relative_width, by_column + n * W * H * W, i, i % W, W, H * W, KEY, WP, TABLE_W, DP, OP,
                PRECISION)  # fmt: skip


@triton.jit
def forward(qkv, by_row, by_column, out, logsumexp, stride_b,
            STRIDE_C: tl.constexpr, STRIDE_P: tl.constexpr, H: tl.constexpr, W: tl.constexpr,
            HEADS: tl.constexpr, KEY: tl.constexpr, VALUE: tl.constexpr, SCALE: tl.constexpr,
            WP: tl.constexpr, DP: tl.constexpr,
            EP: tl.constexpr, OP: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr,
            QUERIES: tl.constexpr, ROWS: tl.constexpr):  # fmt: skip
    P: tl.constexpr = H * W
    n = tl.program_id(1).to(tl.int64)
    i = tl.program_id(0) * QUERIES + tl.arange(0, QUERIES)
    d, e, x, r = tl.arange(0, DP), tl.arange(0, EP), tl.arange(0, WP), tl.arange(0, ROWS)
    queries, keys, values = heads_of(qkv, n, stride_b, HEADS, KEY, VALUE, STRIDE_C)
    q = load_tile(queries, i[:, None], d[None, :], KEY, P, STRIDE_C, STRIDE_P, OP)
    column = load_bias(by_column + n * W * P, x[None, :], i[:, None], W, P)
    largest = tl.full([QUERIES], -float("inf"), ACC)
    total = tl.zeros([QUERIES], ACC)
    found = tl.zeros([QUERIES, EP], ACC)
    for first in range(0, H, ROWS):
        row = load_bias(by_row + n * H * P, (first + r)[None, :], i[:, None], H, P)
        place = places(first, H, W, ROWS, WP)
        k = load_tile(keys, place[None, :], d[:, None], KEY, P, STRIDE_C, STRIDE_P, OP)
        added = tl.reshape(row[:, :, None] + column[:, None, :], [QUERIES, ROWS * WP])
        logits = tl.dot(q, k, added, input_precision=PRECISION, out_dtype=ACC) * SCALE
        larger = tl.maximum(largest, tl.max(logits, 1))
        weights = tl.exp2(logits - larger[:, None])
        keep = tl.exp2(largest - larger)
        total = total * keep + tl.sum(weights, 1)
        v = load_tile(values, place[:, None], e[None, :], VALUE, P, STRIDE_C, STRIDE_P, OP)
        found = found * keep[:, None] + tl.dot(weights.to(OP), v, input_precision=PRECISION)
        largest = larger
    mask = (e < VALUE)[None, :] & (i < P)[:, None]
    tl.store(out + (n * VALUE + e[None, :]) * P + i[:, None], found / total[:, None], mask=mask)
    tl.store(logsumexp + n * P + i, largest + tl.log2(total), mask=i < P)


@triton.jit
def backward_query(qkv, by_row, by_column, out, grad, logsumexp, mean, grad_query, grad_row, grad_column,
                   stride_b,
                   STRIDE_C: tl.constexpr, STRIDE_P: tl.constexpr, H: tl.constexpr, W: tl.constexpr,
                   HEADS: tl.constexpr, KEY: tl.constexpr, VALUE: tl.constexpr, SCALE: tl.constexpr,
                   WP: tl.constexpr, DP: tl.constexpr, EP: tl.constexpr, OP: tl.constexpr, ACC: tl.constexpr,
                   PRECISION: tl.constexpr, QUERIES: tl.constexpr, ROWS: tl.constexpr):  # fmt: skip
    """Of the logits' gradient: its product with the keys [N, KEY, P], its sums by key row [N, H, P] and
    by key column [N, P, W], all before scaling; and mean [N, P], that of the weights' gradients."""
    P: tl.constexpr = H * W
    n = tl.program_id(1).to(tl.int64)
    i = tl.program_id(0) * QUERIES + tl.arange(0, QUERIES)
    d, e, x, r = tl.arange(0, DP), tl.arange(0, EP), tl.arange(0, WP), tl.arange(0, ROWS)
    queries, keys, values = heads_of(qkv, n, stride_b, HEADS, KEY, VALUE, STRIDE_C)
    q = load_tile(queries, i[:, None], d[None, :], KEY, P, STRIDE_C, STRIDE_P, OP)
    g = load_tile(grad + n * VALUE * P, i[:, None], e[None, :], VALUE, P, P, 1, OP)
    o = load_tile(out + n * VALUE * P, i[:, None], e[None, :], VALUE, P, P, 1, OP)
    delta = tl.sum(g.to(ACC) * o.to(ACC), 1)
    tl.store(mean + n * P + i, delta, mask=i < P)
    shift = tl.load(logsumexp + n * P + i, mask=i < P, other=0)
    column = load_bias(by_column + n * W * P, x[None, :], i[:, None], W, P) - shift[:, None] / SCALE
    to_column = tl.zeros([QUERIES, WP], ACC)
    to_query = tl.zeros([QUERIES, DP], ACC)
    for first in range(0, H, ROWS):
        row = load_bias(by_row + n * H * P, (first + r)[None, :], i[:, None], H, P)
        place = places(first, H, W, ROWS, WP)
        k = load_tile(keys, place[None, :], d[:, None], KEY, P, STRIDE_C, STRIDE_P, OP)
        added = tl.reshape(row[:, :, None] + column[:, None, :], [QUERIES, ROWS * WP])
        weights = tl.exp2(tl.dot(q, k, added, input_precision=PRECISION, out_dtype=ACC) * SCALE)
        v = load_tile(values, place[None, :], e[:, None], VALUE, P, STRIDE_C, STRIDE_P, OP)
        change = weights * (tl.dot(g, v, input_precision=PRECISION) - delta[:, None])
        by_place = tl.reshape(change, [QUERIES, ROWS, WP])
        to_column += tl.sum(by_place, 1)
        tl.store(grad_row + (n * H + first + r[None, :]) * P + i[:, None], tl.sum(by_place, 2),
                 mask=(first + r < H)[None, :] & (i < P)[:, None])  # fmt: skip
        to_query += tl.dot(change.to(OP), tl.trans(k), input_precision=PRECISION)
    tl.store(grad_column + (n * P + i[:, None]) * W + x[None, :], to_column,
             mask=(i < P)[:, None] & (x < W)[None, :])  # fmt: skip
    tl.store(grad_query + (n * KEY + d[None, :]) * P + i[:, None], to_query,
             mask=(d < KEY)[None, :] & (i < P)[:, None])  # fmt: skip


@triton.jit
def backward_key(qkv, by_row, by_column, grad, logsumexp, mean, grad_qkv, stride_b,
                 STRIDE_C: tl.constexpr, STRIDE_P: tl.constexpr, H: tl.constexpr, W: tl.constexpr,
                 HEADS: tl.constexpr, KEY: tl.constexpr, VALUE: tl.constexpr, SCALE: tl.constexpr,
                 WP: tl.constexpr, DP: tl.constexpr, EP: tl.constexpr, OP: tl.constexpr, ACC: tl.constexpr,
                 PRECISION: tl.constexpr, QUERIES: tl.constexpr, ROWS: tl.constexpr):  # fmt: skip
    """The gradients of keys and values, to their channels of grad_qkv [B, C, P]; logits stand transposed."""
    P: tl.constexpr = H * W
    n = tl.program_id(1).to(tl.int64)
    first = tl.program_id(0) * ROWS
    d, e, x, r = tl.arange(0, DP), tl.arange(0, EP), tl.arange(0, WP), tl.arange(0, ROWS)
    queries, keys, values = heads_of(qkv, n, stride_b, HEADS, KEY, VALUE, STRIDE_C)
    place = places(first, H, W, ROWS, WP)
    k = load_tile(keys, place[:, None], d[None, :], KEY, P, STRIDE_C, STRIDE_P, OP)
    v = load_tile(values, place[:, None], e[None, :], VALUE, P, STRIDE_C, STRIDE_P, OP)
    to_key = tl.zeros([ROWS * WP, DP], ACC)
    to_value = tl.zeros([ROWS * WP, EP], ACC)
    for start in range(0, P, QUERIES):
        i = start + tl.arange(0, QUERIES)
        column = load_bias(by_column + n * W * P, x[:, None], i[None, :], W, P)
        row = load_bias(by_row + n * H * P, (first + r)[:, None], i[None, :], H, P)
        # Infinity takes the queries behind the last one out of all sums.
        shift = tl.load(logsumexp + n * P + i, mask=i < P, other=float("inf"))
        delta = tl.load(mean + n * P + i, mask=i < P, other=0)
        q = load_tile(queries, i[:, None], d[None, :], KEY, P, STRIDE_C, STRIDE_P, OP)
        g = load_tile(grad + n * VALUE * P, i[:, None], e[None, :], VALUE, P, P, 1, OP)
        added = tl.reshape(row[:, None, :] + column[None, :, :], [ROWS * WP, QUERIES])
        logits = tl.dot(k, tl.trans(q), added, input_precision=PRECISION, out_dtype=ACC) * SCALE
        weights = tl.exp2(logits - shift[None, :])
        to_value += tl.dot(weights.to(OP), g, input_precision=PRECISION)
        change = weights * (tl.dot(v, tl.trans(g), input_precision=PRECISION) - delta[None, :])
        to_key += tl.dot(change.to(OP), q, input_precision=PRECISION)
    _, to_keys, to_values = heads_of(grad_qkv, n, HEADS * (2 * KEY + VALUE) * P, HEADS, KEY, VALUE, P)
    there = place < P
    tl.store(to_keys + d[None, :] * P + place[:, None], to_key * (SCALE * LN2),
             mask=there[:, None] & (d < KEY)[None, :])  # fmt: skip
    tl.store(to_values + e[None, :] * P + place[:, None], to_value,
             mask=there[:, None] & (e < VALUE)[None, :])  # fmt: skip


@triton.jit
def backward_table(qkv, table, grad_axis, grad_query, grad_qkv, parts, stride_b,
                   STRIDE_C: tl.constexpr, STRIDE_P: tl.constexpr, H: tl.constexpr, W: tl.constexpr,
                   HEADS: tl.constexpr, KEY: tl.constexpr, VALUE: tl.constexpr, SCALE: tl.constexpr,
                   COLUMNS: tl.constexpr, TP: tl.constexpr, DP: tl.constexpr, OP: tl.constexpr,
                   ACC: tl.constexpr, PRECISION: tl.constexpr, QUERIES: tl.constexpr,
                   SPLIT: tl.constexpr):  # fmt: skip
    """Of one axis: its share of the queries' gradient, and parts [N, SPLIT, 2L-1, KEY] of its table's.

    The rows come first and add to grad_query [N, KEY, P]; the columns (COLUMNS) finish it in grad_qkv.
    """
    P: tl.constexpr = H * W
    L: tl.constexpr = W if COLUMNS else H
    n = tl.program_id(1).to(tl.int64)
    t, d = tl.arange(0, TP), tl.arange(0, DP)
    queries, _, _ = heads_of(qkv, n, stride_b, HEADS, KEY, VALUE, STRIDE_C)
    to_queries, _, _ = heads_of(grad_qkv, n, HEADS * (2 * KEY + VALUE) * P, HEADS, KEY, VALUE, P)
    of_table = (t < 2 * L - 1)[:, None] & (d < KEY)[None, :]
    rows = tl.load(table + t[:, None] * KEY + d[None, :], mask=of_table, other=0).to(OP)
    to_table = tl.zeros([TP, DP], ACC)
    for start in range(tl.program_id(0) * QUERIES, P, SPLIT * QUERIES):
        i = start + tl.arange(0, QUERIES)
        q = load_tile(queries, i[:, None], d[None, :], KEY, P, STRIDE_C, STRIDE_P, OP)
        # By offset: the table's row t is for the key at t + own - (L - 1).
        own = i % W if COLUMNS else i // W
        a = t[None, :] + own[:, None] - (L - 1)
        where = i[:, None] * W + a if COLUMNS else a * P + i[:, None]
        change = tl.load(grad_axis + n * L * P + where, mask=(a >= 0) & (a < L) & (i < P)[:, None], other=0)
        change = change.to(OP)
        to_table += tl.dot(tl.trans(change), q, input_precision=PRECISION)
        mask = (d < KEY)[None, :] & (i < P)[:, None]
        before = grad_query + (n * KEY + d[None, :]) * P + i[:, None]
        to_query = tl.load(before, mask=mask, other=0)
        to_query += tl.dot(change, rows, input_precision=PRECISION)
        if COLUMNS:
            to = to_queries + d[None, :] * P + i[:, None]
            tl.store(to, to_query * (SCALE * LN2), mask=mask)
        else:
            tl.store(before, to_query, mask=mask)
    part = parts + ((n * SPLIT + tl.program_id(0)) * (2 * L - 1) + t[:, None]) * KEY + d[None, :]
    tl.store(part, to_table * (SCALE * LN2), mask=of_table)


KERNELS: dict[str, Any] = {
    "prepare": prepare, "forward": forward, "backward_query": backward_query, "backward_key": backward_key,
    "backward_table": backward_table,
}  # fmt: skip
