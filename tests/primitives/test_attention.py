"""Relative attention as a primitive: its shape, weights, cost and messages, and where its weights may be shared."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from primitives.drawn import SIZES, attributes, layer, map_of, run, shape
from reference.pouring import compiled
from torch.utils.flop_counter import FlopCounterMode

from genolang.diagnostics import GenoError
from genolang.kernels.relative_attention import reference
from genolang.primitives import PRIMITIVES, MapType, ShapeProblem

RULE = PRIMITIVES["relative_attention"]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), SIZES, SIZES)
def test_it_has_the_shape_weights_and_cost_of_its_definition(heads: int, d: int, e: int, H: int, W: int) -> None:
    x, attrs = (
        MapType(heads * (2 * d + e), H, W),
        attributes("relative_attention", key=heads * d, value=heads * e, heads=heads),
    )
    result = run("relative_attention", attrs, x)
    made = layer("relative_attention", attrs, x)
    weights = RULE.weights(attrs, [x])
    assert weights.params == sum(p.numel() for p in made.parameters()) and weights.buffers == 0
    assert weights.params == (2 * H - 1 + 2 * W - 1) * d
    assert result.shape[1:] == shape("relative_attention", attrs, x) == (heads * e, H, W)
    # All products of the definition: queries with keys and with both tables' rows, weights with values.
    q, k, v = map_of(x, batch=1).flatten(2).split([heads * d, heads * d, heads * e], 1)
    with FlopCounterMode(display=False) as counter:
        for head in range(heads):
            q_here, k_here = (t[0, head * d : (head + 1) * d] for t in (q, k))
            for table in made.parameters():
                torch.mm(table.detach(), q_here)
            torch.mm(v[0, head * e : (head + 1) * e], torch.mm(q_here.t(), k_here))
    assert 2 * RULE.macs(attrs, [x], MapType(heads * e, H, W)) == counter.get_total_flops()


@pytest.mark.parametrize(
    ("key", "value", "heads", "C", "code", "said"),
    [
        (8, 6, 4, 22, "G303", "4 heads do not divide 8 key and 6 value channels"),
        (6, 8, 4, 20, "G303", "4 heads do not divide 6 key and 8 value channels"),
        (8, 4, 4, 21, "G301", r"2 \* 8 \+ 4 channels, not 21x3x5"),
    ],
)
def test_channels_that_do_not_fit_are_refused(key: int, value: int, heads: int, C: int, code: str, said: str) -> None:
    attrs = attributes("relative_attention", key=key, value=value, heads=heads)
    with pytest.raises(ShapeProblem, match=said) as caught:
        shape("relative_attention", attrs, MapType(C, 3, 5))
    assert caught.value.code == code


def test_a_smaller_map_reads_the_middle_of_the_tables() -> None:
    attrs = attributes("relative_attention", key=4, value=2, heads=2)
    made = layer("relative_attention", attrs, MapType(10, 7, 9))
    tables = made.relative_height[4:9].clone(), made.relative_width[3:14].clone()
    x = map_of(MapType(10, 3, 6))
    torch.testing.assert_close(made(x), reference.relative_attention(x, *tables, 2))


SHARED = """geno 1
op looks {{
  seen = relative_attention(4, 2, heads=2)
  return seen(x) + (x -> {other} -> seen -> resize(like=x))
}}
network n {{
  input image(10, 6, 4)
  stem  looks
  head  global_avg_pool -> linear(2)
}}
"""


def test_one_set_of_relative_positions_serves_maps_of_one_size() -> None:
    assert compiled(SHARED.format(other="relu")).program.params == 2 * (6 + 4 - 1) * 2 + 2 * 2 + 2
    # 4x6 has as many offsets as 6x4, but not in the same tables.
    for other in ("subsample(2)", "resize(size=(4, 6))"):
        with pytest.raises(GenoError) as caught:
            compiled(SHARED.format(other=other))
        assert caught.value.diagnostics[0].code == "G306"


def test_its_products_are_not_among_those_of_convolutions_and_linear_layers() -> None:
    every, plain = compiled(SHARED.format(other="relu")).program.block.macs
    assert plain == 2 * 2
    assert every == plain + 2 * (24 * (24 * (4 + 2) + 2 * 4 * (6 + 4 - 1)))
