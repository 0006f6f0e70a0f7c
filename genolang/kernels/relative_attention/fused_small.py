"""The backward of 2D relative self-attention of the smallest maps in Triton: one program a head.

The weights of a query for all keys are in registers at once; they are made anew from the inputs. Names are
those of `fused.py`.
"""

# mypy: disable-error-code="no-untyped-def,untyped-decorator"

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

from genolang.kernels.relative_attention.fused import (
    LN2,
    at_keys,
    heads_of,
    load_table,
    load_tile,
    offset_products,
    places,
)


@triton.jit
def all_logits(
    q,
    k,
    relative_height,
    relative_width,
    i,
    H: tl.constexpr,
    W: tl.constexpr,
    KEY: tl.constexpr,
    SCALE: tl.constexpr,
    HP: tl.constexpr,
    WP: tl.constexpr,
    TABLE_H: tl.constexpr,
    TABLE_W: tl.constexpr,
    DP: tl.constexpr,
    OP: tl.constexpr,
    ACC: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Those of queries i for all keys, in rows of WP; minus infinity where there is no pixel."""
    products = offset_products(q, q, relative_height, H, KEY, TABLE_H, DP, 0, OP, ACC, PRECISION)
    row = at_keys(products, tl.arange(0, HP)[None, :], i // W, H, TABLE_H)
    products = offset_products(q, q, relative_width, W, KEY, TABLE_W, DP, 0, OP, ACC, PRECISION)
    column = at_keys(products, tl.arange(0, WP)[None, :], i % W, W, TABLE_W)
    added = tl.reshape(row[:, :, None] + column[:, None, :], [i.shape[0], HP * WP])
    return tl.dot(q, k, added, input_precision=PRECISION, out_dtype=ACC) * SCALE


@triton.jit
def at_offsets(by_position, own, L: tl.constexpr, TP: tl.constexpr):
    """[QUERIES, LP] by position to [QUERIES, TP] by offset from the queries' own."""
    a = tl.arange(0, TP)[None, :] + own[:, None] - (L - 1)
    found = tl.gather(by_position, tl.minimum(tl.maximum(a, 0), L - 1), 1)
    return tl.where((a >= 0) & (a < L), found, 0)


@triton.jit
def small_backward(
    qkv,
    relative_height,
    relative_width,
    grad,
    grad_qkv,
    parts,
    stride_b,
    STRIDE_C: tl.constexpr,
    STRIDE_P: tl.constexpr,
    H: tl.constexpr,
    W: tl.constexpr,
    HEADS: tl.constexpr,
    KEY: tl.constexpr,
    VALUE: tl.constexpr,
    SCALE: tl.constexpr,
    HP: tl.constexpr,
    WP: tl.constexpr,
    TABLE_H: tl.constexpr,
    TABLE_W: tl.constexpr,
    DP: tl.constexpr,
    EP: tl.constexpr,
    OP: tl.constexpr,
    ACC: tl.constexpr,
    PRECISION: tl.constexpr,
    QUERIES: tl.constexpr,
):
    """All of a head's gradients, to grad_qkv [B, C, P]; the tables', rows before columns, as a part of
    parts [N, 2H-1 + 2W-1, KEY]."""
    P: tl.constexpr = H * W
    n = tl.program_id(1).to(tl.int64)
    d, e, place = tl.arange(0, DP), tl.arange(0, EP), places(0, H, W, HP, WP)
    th, tw = tl.arange(0, TABLE_H)[:, None], tl.arange(0, TABLE_W)[:, None]
    queries, keys, values = heads_of(qkv, n, stride_b, HEADS, KEY, VALUE, STRIDE_C)
    to_image: tl.constexpr = HEADS * (2 * KEY + VALUE) * P
    to_queries, to_keys, to_values = heads_of(grad_qkv, n, to_image, HEADS, KEY, VALUE, P)
    k = load_tile(keys, place[None, :], d[:, None], KEY, P, STRIDE_C, STRIDE_P, OP)
    v = load_tile(values, place[None, :], e[:, None], VALUE, P, STRIDE_C, STRIDE_P, OP)
    to_key, to_value = tl.zeros([HP * WP, DP], ACC), tl.zeros([HP * WP, EP], ACC)
    to_height, to_width = tl.zeros([TABLE_H, DP], ACC), tl.zeros([TABLE_W, DP], ACC)
    for start in range(0, P, QUERIES):
        i = start + tl.arange(0, QUERIES)
        # Zeros behind the last query keep it out of all sums.
        q = load_tile(queries, i[:, None], d[None, :], KEY, P, STRIDE_C, STRIDE_P, OP)
        g = load_tile(grad + n * VALUE * P, i[:, None], e[None, :], VALUE, P, P, 1, OP)
        logits = all_logits(
            q, k, relative_height, relative_width, i, H, W, KEY, SCALE, HP, WP, TABLE_H, TABLE_W, DP, OP, ACC, PRECISION
        )
        weights = tl.exp2(logits - tl.max(logits, 1)[:, None])
        weights = weights / tl.sum(weights, 1)[:, None]
        to_value += tl.dot(tl.trans(weights.to(OP)), g, input_precision=PRECISION)
        change = tl.dot(g, v, input_precision=PRECISION)
        change = weights * (change - tl.sum(weights * change, 1)[:, None])
        to_key += tl.dot(tl.trans(change.to(OP)), q, input_precision=PRECISION)
        by_place = tl.reshape(change, [QUERIES, HP, WP])
        row = at_offsets(tl.sum(by_place, 2), i // W, H, TABLE_H).to(OP)
        column = at_offsets(tl.sum(by_place, 1), i % W, W, TABLE_W).to(OP)
        to_height += tl.dot(tl.trans(row), q, input_precision=PRECISION)
        to_width += tl.dot(tl.trans(column), q, input_precision=PRECISION)
        to_query = tl.dot(change.to(OP), tl.trans(k), input_precision=PRECISION)
        rows = load_table(relative_height, th, d[None, :], H, KEY, OP)
        to_query += tl.dot(row, rows, input_precision=PRECISION)
        columns = load_table(relative_width, tw, d[None, :], W, KEY, OP)
        to_query += tl.dot(column, columns, input_precision=PRECISION)
        tl.store(
            to_queries + d[None, :] * P + i[:, None],
            to_query * (SCALE * LN2),
            mask=(i < P)[:, None] & (d < KEY)[None, :],
        )
    there = (place < P)[:, None]
    tl.store(to_keys + d[None, :] * P + place[:, None], to_key * (SCALE * LN2), mask=there & (d < KEY)[None, :])
    tl.store(to_values + e[None, :] * P + place[:, None], to_value, mask=there & (e < VALUE)[None, :])
    part = parts + n * (2 * H + 2 * W - 2) * KEY + d[None, :]
    tl.store(part + th * KEY, to_height * (SCALE * LN2), mask=(th < 2 * H - 1) & (d < KEY)[None, :])
    tl.store(part + (2 * H - 1 + tw) * KEY, to_width * (SCALE * LN2), mask=(tw < 2 * W - 1) & (d < KEY)[None, :])


KERNELS: dict[str, Any] = {"small_backward": small_backward}
