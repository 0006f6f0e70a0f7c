"""The operators with their fused kernels, run by test_interpreted.py where Triton interprets."""

import pytest
import torch
from kernel_harness import masking, mixed_sum, relative_attention

from genolang.kernels.relative_attention import operator as attention

OPS = torch.ops.genolang
ALONE = ("test_schema", "test_faketensor")
LAYOUTS = ["contiguous", "channels_last"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("gate", ["mixed", "spatial", "channel"])
def test_masks_come_out_as_they_are_announced(gate: str, layout: str) -> None:
    case = masking.Case(shape=(2, 3, 2, 5), gate=gate, layout=layout, dtype=torch.float16)
    t, m, g = (tensor.detach() for tensor in masking.build(case))
    how = gate, True, 1e-5, True, "fused"
    torch.library.opcheck(OPS.masked.default, (t, m, *how), test_utils=ALONE)
    _, extra = OPS.masked(t, m, *how)
    for needs in ([True, True], [False, True]):
        torch.library.opcheck(OPS.masked_backward.default, (g, t, [m, *extra], *how, needs), test_utils=ALONE)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mask", ["channel", "spatial", "full"])
def test_recalibrations_come_out_as_they_are_announced(mask: str, layout: str) -> None:
    case = masking.Case(shape=(2, 3, 2, 5), mask=mask, layout=layout, dtype=torch.float16)
    x, f, m, g = (tensor.detach() for tensor in masking.build(case))
    torch.library.opcheck(OPS.recalibrated.default, (x, f, m, True, "fused"), test_utils=ALONE)
    for y, needs in ((x, [True, True, True]), (None, [False, True, True])):
        torch.library.opcheck(OPS.recalibrated_backward.default, (g, f, m, y, "fused", needs), test_utils=ALONE)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sums_come_out_as_they_are_announced(layout: str) -> None:
    inputs = mixed_sum.build(
        mixed_sum.Case(shape=(2, 3, 2, 5), layout=layout, count=2, normed="yn", dtype=torch.float16)
    )
    xs, weights, norm = [x.detach() for x in inputs.xs], inputs.weights.detach(), inputs.norms[0]
    kept = [norm.running_mean], [norm.running_var]
    how = [True, False], True, 0.1, 1e-5, "fused"
    torch.library.opcheck(OPS.mixed_sum.default, (xs, weights, *kept, *how), test_utils=ALONE)
    _, means, rstds, _ = OPS.mixed_sum(xs, weights, *kept, *how)
    arguments = inputs.grad, xs, weights, means, rstds, [True, False], [False, True], "fused"
    torch.library.opcheck(OPS.mixed_sum_backward.default, arguments, test_utils=ALONE)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_attention_comes_out_as_it_is_announced(layout: str) -> None:
    inputs = relative_attention.build(
        relative_attention.Case(size=(2, 3), heads=1, batch=1, layout=layout, dtype=torch.float16, more=(1, 0))
    )
    tensors, grad = [t.detach() for t in inputs.tensors], inputs.grad
    torch.library.opcheck(attention._forward, (*tensors, 1, "fused"), test_utils=ALONE)
    out, kept = attention._forward(*tensors, 1, "fused")
    torch.library.opcheck(attention._backward, (grad, *tensors, 1, out, kept, "fused"), test_utils=ALONE)
