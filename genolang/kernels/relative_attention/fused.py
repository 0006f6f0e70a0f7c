"""2D relative self-attention in Triton: no logits in memory, no atomics, so that two runs agree bit by bit.

N is batch times heads, P is H*W. Keys are taken by whole image rows: what a key's column adds to the logits
of a tile of queries then stays in registers, and of what its row adds one number a query is read each time.
`qkv` is read as a convolution writes it; STRIDE_C and STRIDE_P are its strides of channels and pixels.
Exponentials are to base 2: SCALE is log2(e) / sqrt(KEY). Padded sizes: WP of W, DP of KEY, EP of VALUE; where
a head is split, DX and EX of its last dimensions, else 0.
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
def load_rows(start, i, SIZE: tl.constexpr, DP: tl.constexpr, DX: tl.constexpr, P: tl.constexpr,
              STRIDE_C: tl.constexpr, STRIDE_P: tl.constexpr, OP: tl.constexpr):  # fmt: skip
    """Pixels i of one head [i, DP], and the last dimensions [i, DX] of one that is split."""
    a = load_tile(start, i[:, None], tl.arange(0, DP)[None, :], SIZE, P, STRIDE_C, STRIDE_P, OP)
    b = a
    if DX:
        b = load_tile(start, i[:, None], DP + tl.arange(0, DX)[None, :], SIZE, P, STRIDE_C, STRIDE_P, OP)
    return a, b


@triton.jit
def load_columns(start, i, SIZE: tl.constexpr, DP: tl.constexpr, DX: tl.constexpr, P: tl.constexpr,
                 STRIDE_C: tl.constexpr, STRIDE_P: tl.constexpr, OP: tl.constexpr):  # fmt: skip
    """The same, transposed."""
    a = load_tile(start, i[None, :], tl.arange(0, DP)[:, None], SIZE, P, STRIDE_C, STRIDE_P, OP)
    b = a
    if DX:
        b = load_tile(start, i[None, :], DP + tl.arange(0, DX)[:, None], SIZE, P, STRIDE_C, STRIDE_P, OP)
    return a, b


@triton.jit
def store_rows(start, i, a, b, SIZE: tl.constexpr, DP: tl.constexpr, DX: tl.constexpr, P: tl.constexpr):
    """What belongs to pixels i: [i, DP], and the last dimensions [i, DX] of a head that is split."""
    d, there = tl.arange(0, DP), (i < P)[:, None]
    tl.store(start + d[None, :] * P + i[:, None], a, mask=there & (d < SIZE)[None, :])
    if DX:
        d = DP + tl.arange(0, DX)
        tl.store(start + d[None, :] * P + i[:, None], b, mask=there & (d < SIZE)[None, :])


@triton.jit
def product(a, b, last_a, last_b, DX: tl.constexpr, total, ACC: tl.constexpr, PRECISION: tl.constexpr):
    """a b + total over a head's dimensions."""
    total = tl.dot(a, b, total, input_precision=PRECISION, out_dtype=ACC)
    if DX:
        total = tl.dot(last_a, last_b, total, input_precision=PRECISION, out_dtype=ACC)
    return total


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
def load_table(table, t, d, L: tl.constexpr, KEY: tl.constexpr, OP: tl.constexpr):
    """Offsets t and dimensions d (shapes that broadcast) of a table [2L-1, KEY]; zeros outside."""
    return tl.load(table + t * KEY + d, mask=(t < 2 * L - 1) & (d < KEY), other=0).to(OP)


@triton.jit
def offset_products(q, last_q, table, L: tl.constexpr, KEY: tl.constexpr, TP: tl.constexpr, DP: tl.constexpr,
                    DX: tl.constexpr, OP: tl.constexpr, ACC: tl.constexpr,
                    PRECISION: tl.constexpr):  # fmt: skip
    """q . table: [QUERIES, TP], by offset."""
    t, d = tl.arange(0, TP)[None, :], tl.arange(0, DP)[:, None]
    rows = load_table(table, t, d, L, KEY, OP)
    last_rows = rows
    if DX:
        last_rows = load_table(table, t, DP + tl.arange(0, DX)[:, None], L, KEY, OP)
    return product(q, rows, last_q, last_rows, DX, tl.zeros([q.shape[0], TP], ACC), ACC, PRECISION)


@triton.jit
def at_keys(products, a, own, L: tl.constexpr, TP: tl.constexpr):
    """Products by offset, for keys at a [1, ...] of queries at `own`; minus infinity outside of the map."""
    offsets = tl.minimum(tl.maximum(a - own[:, None] + (L - 1), 0), TP - 1)
    return tl.where(a < L, tl.gather(products, offsets, 1), -float("inf"))


@triton.jit
def prepare(qkv, relative_height, relative_width, by_row, by_column, stride_b,
            STRIDE_C: tl.constexpr, STRIDE_P: tl.constexpr, H: tl.constexpr, W: tl.constexpr,
            HEADS: tl.constexpr, KEY: tl.constexpr, VALUE: tl.constexpr, HP: tl.constexpr, WP: tl.constexpr,
            TABLE_H: tl.constexpr, TABLE_W: tl.constexpr, DP: tl.constexpr, OP: tl.constexpr,
            ACC: tl.constexpr, PRECISION: tl.constexpr, QUERIES: tl.constexpr):  # fmt: skip
    """What a key's row and its column add to every query's product with the key: by_row [N, H, P], by_column
    [N, W, P]."""
    P: tl.constexpr = H * W
    n = tl.program_id(1).to(tl.int64)
    i = tl.program_id(0) * QUERIES + tl.arange(0, QUERIES)
    y, x = tl.arange(0, HP)[None, :], tl.arange(0, WP)[None, :]
    queries, _, _ = heads_of(qkv, n, stride_b, HEADS, KEY, VALUE, STRIDE_C)
    q = load_tile(queries, i[:, None], tl.arange(0, DP)[None, :], KEY, P, STRIDE_C, STRIDE_P, OP)
    products = offset_products(q, q, relative_height, H, KEY, TABLE_H, DP, 0, OP, ACC, PRECISION)
    row = at_keys(products, y, i // W, H, TABLE_H)
    tl.store(by_row + (n * H + y) * P + i[:, None], row, mask=(y < H) & (i < P)[:, None])
    products = offset_products(q, q, relative_width, W, KEY, TABLE_W, DP, 0, OP, ACC, PRECISION)
    column = at_keys(products, x, i % W, W, TABLE_W)
    tl.store(by_column + (n * W + x) * P + i[:, None], column, mask=(x < W) & (i < P)[:, None])


@triton.jit
def forward(qkv, of_rows, of_columns, out, logsumexp, stride_b,
            STRIDE_C: tl.constexpr, STRIDE_P: tl.constexpr, H: tl.constexpr, W: tl.constexpr,
            HEADS: tl.constexpr, KEY: tl.constexpr, VALUE: tl.constexpr, SCALE: tl.constexpr,
            WP: tl.constexpr, TABLE_H: tl.constexpr, TABLE_W: tl.constexpr, DP: tl.constexpr,
            DX: tl.constexpr, EP: tl.constexpr, EX: tl.constexpr, OP: tl.constexpr, ACC: tl.constexpr,
            PRECISION: tl.constexpr, QUERIES: tl.constexpr, ROWS: tl.constexpr,
            SMALL: tl.constexpr):  # fmt: skip
    """The result, and logarithms of the weights' sums [N, P]. Small maps come with the two tables, others
    with what `prepare` made of them."""
    P: tl.constexpr = H * W
    n = tl.program_id(1).to(tl.int64)
    i = tl.program_id(0) * QUERIES + tl.arange(0, QUERIES)
    x, r = tl.arange(0, WP), tl.arange(0, ROWS)
    queries, keys, values = heads_of(qkv, n, stride_b, HEADS, KEY, VALUE, STRIDE_C)
    q, last_q = load_rows(queries, i, KEY, DP, DX, P, STRIDE_C, STRIDE_P, OP)
    if SMALL:
        products = offset_products(q, last_q, of_columns, W, KEY, TABLE_W, DP, DX, OP, ACC, PRECISION)
        column = at_keys(products, x[None, :], i % W, W, TABLE_W)
        products = offset_products(q, last_q, of_rows, H, KEY, TABLE_H, DP, DX, OP, ACC, PRECISION)
    else:
        column = load_bias(of_columns + n * W * P, x[None, :], i[:, None], W, P)
    largest = tl.full([QUERIES], -float("inf"), ACC)
    total = tl.zeros([QUERIES], ACC)
    found, last_found = tl.zeros([QUERIES, EP], ACC), tl.zeros([QUERIES, EX if EX else 1], ACC)
    for first in range(0, H, ROWS):
        if SMALL:
            row = at_keys(products, (first + r)[None, :], i // W, H, TABLE_H)
        else:
            row = load_bias(of_rows + n * H * P, (first + r)[None, :], i[:, None], H, P)
        place = places(first, H, W, ROWS, WP)
        k, last_k = load_columns(keys, place, KEY, DP, DX, P, STRIDE_C, STRIDE_P, OP)
        added = tl.reshape(row[:, :, None] + column[:, None, :], [QUERIES, ROWS * WP])
        logits = product(q, k, last_q, last_k, DX, added, ACC, PRECISION) * SCALE
        larger = tl.maximum(largest, tl.max(logits, 1))
        weights = tl.exp2(logits - larger[:, None])
        keep = tl.exp2(largest - larger)
        total = total * keep + tl.sum(weights, 1)
        v, last_v = load_rows(values, place, VALUE, EP, EX, P, STRIDE_C, STRIDE_P, OP)
        found = found * keep[:, None] + tl.dot(weights.to(OP), v, input_precision=PRECISION)
        if EX:
            last_found = last_found * keep[:, None]
            last_found += tl.dot(weights.to(OP), last_v, input_precision=PRECISION)
        largest = larger
    store_rows(out + n * VALUE * P, i, found / total[:, None], last_found / total[:, None], VALUE, EP, EX, P)
    tl.store(logsumexp + n * P + i, largest + tl.log2(total), mask=i < P)


@triton.jit
def backward_query(qkv, by_row, by_column, out, grad, logsumexp, mean, grad_query, grad_row, grad_column,
                   stride_b,
                   STRIDE_C: tl.constexpr, STRIDE_P: tl.constexpr, H: tl.constexpr, W: tl.constexpr,
                   HEADS: tl.constexpr, KEY: tl.constexpr, VALUE: tl.constexpr, SCALE: tl.constexpr,
                   WP: tl.constexpr, DP: tl.constexpr, DX: tl.constexpr, EP: tl.constexpr, EX: tl.constexpr,
                   OP: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr, QUERIES: tl.constexpr,
                   ROWS: tl.constexpr):  # fmt: skip
    """Of the logits' gradient: its product with the keys [N, KEY, P], its sums by key row [N, H, P] and
    by key column [N, P, W], all before scaling; and mean [N, P], that of the weights' gradients."""
    P: tl.constexpr = H * W
    n = tl.program_id(1).to(tl.int64)
    i = tl.program_id(0) * QUERIES + tl.arange(0, QUERIES)
    x, r = tl.arange(0, WP), tl.arange(0, ROWS)
    queries, keys, values = heads_of(qkv, n, stride_b, HEADS, KEY, VALUE, STRIDE_C)
    q, last_q = load_rows(queries, i, KEY, DP, DX, P, STRIDE_C, STRIDE_P, OP)
    g, last_g = load_rows(grad + n * VALUE * P, i, VALUE, EP, EX, P, P, 1, OP)
    o, last_o = load_rows(out + n * VALUE * P, i, VALUE, EP, EX, P, P, 1, OP)
    delta = tl.sum(g.to(ACC) * o.to(ACC), 1)
    if EX:
        delta += tl.sum(last_g.to(ACC) * last_o.to(ACC), 1)
    tl.store(mean + n * P + i, delta, mask=i < P)
    shift = tl.load(logsumexp + n * P + i, mask=i < P, other=0)
    column = load_bias(by_column + n * W * P, x[None, :], i[:, None], W, P) - shift[:, None] / SCALE
    to_column = tl.zeros([QUERIES, WP], ACC)
    to_query, last_to_query = tl.zeros([QUERIES, DP], ACC), tl.zeros([QUERIES, DX if DX else 1], ACC)
    for first in range(0, H, ROWS):
        row = load_bias(by_row + n * H * P, (first + r)[None, :], i[:, None], H, P)
        place = places(first, H, W, ROWS, WP)
        k, last_k = load_columns(keys, place, KEY, DP, DX, P, STRIDE_C, STRIDE_P, OP)
        added = tl.reshape(row[:, :, None] + column[:, None, :], [QUERIES, ROWS * WP])
        weights = tl.exp2(product(q, k, last_q, last_k, DX, added, ACC, PRECISION) * SCALE)
        v, last_v = load_columns(values, place, VALUE, EP, EX, P, STRIDE_C, STRIDE_P, OP)
        none = tl.zeros([QUERIES, ROWS * WP], ACC)
        change = weights * (product(g, v, last_g, last_v, EX, none, ACC, PRECISION) - delta[:, None])
        by_place = tl.reshape(change, [QUERIES, ROWS, WP])
        to_column += tl.sum(by_place, 1)
        tl.store(grad_row + (n * H + first + r[None, :]) * P + i[:, None], tl.sum(by_place, 2),
                 mask=(first + r < H)[None, :] & (i < P)[:, None])  # fmt: skip
        to_query += tl.dot(change.to(OP), tl.trans(k), input_precision=PRECISION)
        if DX:
            last_to_query += tl.dot(change.to(OP), tl.trans(last_k), input_precision=PRECISION)
    tl.store(grad_column + (n * P + i[:, None]) * W + x[None, :], to_column,
             mask=(i < P)[:, None] & (x < W)[None, :])  # fmt: skip
    store_rows(grad_query + n * KEY * P, i, to_query, last_to_query, KEY, DP, DX, P)


@triton.jit
def backward_key(qkv, by_row, by_column, grad, logsumexp, mean, grad_qkv, stride_b,
                 STRIDE_C: tl.constexpr, STRIDE_P: tl.constexpr, H: tl.constexpr, W: tl.constexpr,
                 HEADS: tl.constexpr, KEY: tl.constexpr, VALUE: tl.constexpr, SCALE: tl.constexpr,
                 WP: tl.constexpr, DP: tl.constexpr, DX: tl.constexpr, EP: tl.constexpr, EX: tl.constexpr,
                 OP: tl.constexpr, ACC: tl.constexpr, PRECISION: tl.constexpr, QUERIES: tl.constexpr,
                 ROWS: tl.constexpr):  # fmt: skip
    """The gradients of keys and values, to their channels of grad_qkv [B, C, P]; logits stand transposed."""
    P: tl.constexpr = H * W
    n = tl.program_id(1).to(tl.int64)
    first = tl.program_id(0) * ROWS
    x, r = tl.arange(0, WP), tl.arange(0, ROWS)
    queries, keys, values = heads_of(qkv, n, stride_b, HEADS, KEY, VALUE, STRIDE_C)
    place = places(first, H, W, ROWS, WP)
    k, last_k = load_rows(keys, place, KEY, DP, DX, P, STRIDE_C, STRIDE_P, OP)
    v, last_v = load_rows(values, place, VALUE, EP, EX, P, STRIDE_C, STRIDE_P, OP)
    to_key, last_to_key = tl.zeros([ROWS * WP, DP], ACC), tl.zeros([ROWS * WP, DX if DX else 1], ACC)
    to_value, last_to_value = tl.zeros([ROWS * WP, EP], ACC), tl.zeros([ROWS * WP, EX if EX else 1], ACC)
    for start in range(0, P, QUERIES):
        i = start + tl.arange(0, QUERIES)
        column = load_bias(by_column + n * W * P, x[:, None], i[None, :], W, P)
        row = load_bias(by_row + n * H * P, (first + r)[:, None], i[None, :], H, P)
        # Infinity takes the queries behind the last one out of all sums.
        shift = tl.load(logsumexp + n * P + i, mask=i < P, other=float("inf"))
        delta = tl.load(mean + n * P + i, mask=i < P, other=0)
        q, last_q = load_rows(queries, i, KEY, DP, DX, P, STRIDE_C, STRIDE_P, OP)
        g, last_g = load_rows(grad + n * VALUE * P, i, VALUE, EP, EX, P, P, 1, OP)
        added = tl.reshape(row[:, None, :] + column[None, :, :], [ROWS * WP, QUERIES])
        logits = product(k, tl.trans(q), last_k, tl.trans(last_q), DX, added, ACC, PRECISION) * SCALE
        weights = tl.exp2(logits - shift[None, :])
        to_value += tl.dot(weights.to(OP), g, input_precision=PRECISION)
        if EX:
            last_to_value += tl.dot(weights.to(OP), last_g, input_precision=PRECISION)
        none = tl.zeros([ROWS * WP, QUERIES], ACC)
        change = product(v, tl.trans(g), last_v, tl.trans(last_g), EX, none, ACC, PRECISION)
        change = weights * (change - delta[None, :])
        to_key += tl.dot(change.to(OP), q, input_precision=PRECISION)
        if DX:
            last_to_key += tl.dot(change.to(OP), last_q, input_precision=PRECISION)
    _, to_keys, to_values = heads_of(grad_qkv, n, HEADS * (2 * KEY + VALUE) * P, HEADS, KEY, VALUE, P)
    factor: tl.constexpr = SCALE * LN2
    store_rows(to_keys, place, to_key * factor, last_to_key * factor, KEY, DP, DX, P)
    store_rows(to_values, place, to_value, last_to_value, VALUE, EP, EX, P)


@triton.jit
def backward_table(qkv, table, grad_axis, grad_query, grad_qkv, parts, stride_b,
                   STRIDE_C: tl.constexpr, STRIDE_P: tl.constexpr, H: tl.constexpr, W: tl.constexpr,
                   HEADS: tl.constexpr, KEY: tl.constexpr, VALUE: tl.constexpr, SCALE: tl.constexpr,
                   COLUMNS: tl.constexpr, TP: tl.constexpr, DP: tl.constexpr, OP: tl.constexpr,
                   ACC: tl.constexpr, PRECISION: tl.constexpr, QUERIES: tl.constexpr,
                   SPLIT: tl.constexpr):  # fmt: skip
    """Of one axis: its share of the queries' gradient, and its rows of parts [N, SPLIT, 2H-1 + 2W-1, KEY] of
    the tables'.

    The rows come first and add to grad_query [N, KEY, P]; the columns (COLUMNS) finish it in grad_qkv.
    """
    P: tl.constexpr = H * W
    L: tl.constexpr = W if COLUMNS else H
    n = tl.program_id(1).to(tl.int64)
    t, d = tl.arange(0, TP), tl.arange(0, DP)
    queries, _, _ = heads_of(qkv, n, stride_b, HEADS, KEY, VALUE, STRIDE_C)
    to_queries, _, _ = heads_of(grad_qkv, n, HEADS * (2 * KEY + VALUE) * P, HEADS, KEY, VALUE, P)
    rows = load_table(table, t[:, None], d[None, :], L, KEY, OP)
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
    part = (n * SPLIT + tl.program_id(0)) * (2 * H + 2 * W - 2) + (2 * H - 1 if COLUMNS else 0)
    tl.store(parts + (part + t[:, None]) * KEY + d[None, :], to_table * (SCALE * LN2),
             mask=(t < 2 * L - 1)[:, None] & (d < KEY)[None, :])  # fmt: skip


@triton.jit(do_not_specialize=["count", "table_h", "table_w"])
def sum_parts(parts, grad_height, grad_width, count, table_h, table_w, H: tl.constexpr, W: tl.constexpr,
              KEY: tl.constexpr, ACC: tl.constexpr, PARTS: tl.constexpr, ELEMENTS: tl.constexpr):  # fmt: skip
    """The gradients of tables of table_h and of table_w rows, of which `parts` [count, 2H-1 + 2W-1, KEY] hold
    the centres; zero outside."""
    element = tl.program_id(0) * ELEMENTS + tl.arange(0, ELEMENTS)
    row = element // KEY
    columns = row >= table_h
    first = tl.where(columns, table_h + table_w // 2 - (W - 1), table_h // 2 - (H - 1))
    size = tl.where(columns, 2 * W - 1, 2 * H - 1)
    there = (row >= first) & (row < first + size)
    place = (row - first + tl.where(columns, 2 * H - 1, 0)) * KEY + element % KEY
    total = tl.zeros([PARTS, ELEMENTS], ACC)
    for start in range(0, count, PARTS):
        part = start + tl.arange(0, PARTS)[:, None].to(tl.int64)
        total += tl.load(parts + part * ((2 * H + 2 * W - 2) * KEY) + place[None, :],
                         mask=(part < count) & there[None, :], other=0)  # fmt: skip
    found = tl.sum(total, 0)
    tl.store(grad_height + element, found, mask=row < table_h)
    tl.store(grad_width + element - table_h * KEY, found, mask=columns & (row < table_h + table_w))


KERNELS: dict[str, Any] = {
    "prepare": prepare, "forward": forward, "backward_query": backward_query, "backward_key": backward_key,
    "backward_table": backward_table, "sum_parts": sum_parts,
}  # fmt: skip
