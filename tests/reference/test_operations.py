import pytest
import torch
from reference.operations import OPERATIONS, PRIMITIVES, FactorizedReduce, MixedOperation, relu_conv_bn
from reference.pouring import assert_same, compiled
from reference.projected import PROJECT, Projected, after, images
from torch import nn

OURS = {
    "none": "none",
    "max_pool_3x3": "max_pool(3)",
    "avg_pool_3x3": "avg_pool(3)",
    "skip_connect": "skip",
    "sep_conv_3x3": "sep_conv(3)",
    "sep_conv_5x5": "sep_conv(5)",
    "sep_conv_7x7": "sep_conv(7)",
    "dil_conv_3x3": "dil_conv(3)",
    "dil_conv_5x5": "dil_conv(5)",
    "conv_7x1_1x7": "conv_7x1_1x7",
}
SIZES = [(9, 7), (8, 6), (5, 8)]


def network(operation: str, C: int, size: tuple[int, int]) -> str:
    choice = "choice operation = " + " | ".join(OURS[name] for name in PRIMITIVES)
    searched = operation.startswith("operation")
    return f"""geno 1
import std.ops
{choice if searched else ""}
{PROJECT}
network network() {{
  input image(3, {size[0]}, {size[1]})
  stem  conv(1, {C}, bias=true) -> {operation}
  head  project
}}
"""


def strided(operation: str, stride: int) -> str:
    if stride == 1:
        return operation
    return operation[:-1] + f", stride={stride})" if "(" in operation else f"{operation}(stride={stride})"


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", OURS)
def test_every_operation_computes_what_the_hand_written_one_does(
    name: str, stride: int, size: tuple[int, int], fused: bool
) -> None:
    text = network(strided(OURS[name], stride), 6, size)
    for training, batch in ((True, 3), (False, 1)):
        reference = Projected(OPERATIONS[name](6, stride, True), 6, after(size, stride), 6)
        assert_same(compiled(text), reference, images(size, batch), fused=fused, training=training)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stride", [1, 2])
def test_a_mixed_operation_agrees_down_to_every_logit(stride: int, size: tuple[int, int], fused: bool) -> None:
    text = network(strided("operation", stride), 6, size)
    for training, batch in ((True, 3), (False, 1)):
        reference = Projected(MixedOperation(6, stride), 6, after(size, stride), 6)
        found = assert_same(compiled(text), reference, images(size, batch), fused=fused, training=training)
        assert float(found.logits[0][0, 0].abs()) > 0, "`none` has a gradient of its own"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("text", "layer", "stride"),
    [("factorized_reduce(10)", FactorizedReduce(6, 10, True), 2), ("relu_conv_bn(10)", relu_conv_bn(6, 10, True), 1)],
)
def test_preprocessing_computes_what_the_hand_written_one_does(
    text: str, layer: nn.Module, stride: int, size: tuple[int, int]
) -> None:
    reference = Projected(layer, 6, after(size, stride), 10)
    assert_same(compiled(network(text, 6, size)), reference, images(size))


def test_zeros_give_the_gradient_of_zero_even_where_the_map_is_not_finite() -> None:
    module = compiled(network("none", 6, (9, 7))).module()
    image = images((9, 7)).float()
    image[0, 0, 0, 0] = float("inf")
    assert torch.isfinite(module(image)).all()
