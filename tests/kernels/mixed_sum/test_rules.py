"""What holds of the mixed sum on a CPU whatever is in it: subsets, layouts, odd values, repeats, softmaxes."""

import pytest
import torch
from kernel_harness.mixed_sum import Case, build, distance, exactly, ours, results, written_out
from torch import Tensor, nn

from genolang.kernels.mixed_sum import KERNEL, mixed_sum, operator

LARGE = Case(shape=(9, 2, 43, 47), normed="yn", count=2, dtype=torch.float32)
CASES = [Case(), Case(training=False), Case(layout="channels_last"), LARGE]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_come_for_every_subset_of_inputs(case: Case) -> None:
    whole = results(ours(), build(case))
    names = [*(f"to x{index}" for index in range(case.count)), "to weights"]
    for wanted in range(1, 2 ** len(names)):
        inputs = build(case)
        for index, tensor in enumerate((*inputs.xs, inputs.weights)):
            tensor.requires_grad_(bool(wanted >> index & 1))
        found = results(ours(), inputs)
        assert {n for n in found if n.startswith("to ")} == {n for i, n in enumerate(names) if wanted >> i & 1}
        assert all(torch.equal(found[name], whole[name]) for name in found)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_two_runs_agree_bit_by_bit(case: Case) -> None:
    first, second = results(ours(), build(case)), results(ours(), build(case))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("how", ["expanded", "transposed", "sliced"])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_the_incoming_gradient_may_lie_anyhow(how: str, layout: str) -> None:
    inputs = build(Case(shape=(2, 3, 5, 5), layout=layout))
    if how == "expanded":
        inputs.grad = inputs.grad[:1, :1].expand(2, 3, 5, 5)
    else:
        inputs.grad = inputs.grad.transpose(2, 3) if how == "transposed" else torch.cat([inputs.grad] * 2, 1)[:, 1:4]
    exact = results(written_out, exactly(inputs))
    found = results(ours(), inputs)
    assert all(distance(found[name], exact[name]) < 1e-12 for name in exact)


@pytest.mark.parametrize("training", [True, False])
def test_nan_and_infinity_reach_what_depends_on_them_and_nothing_else(training: bool) -> None:
    inputs = build(Case(normed="nyn", training=training))
    with torch.no_grad():
        inputs.xs[0][0, 0, 0, 0] = torch.inf
        inputs.xs[1][0, 1, 0, 0] = torch.nan
    found = results(ours(), inputs)
    assert found["out"][0, 0, 0, 0] == torch.inf and found["out"][0, 0, 1:].isfinite().all()
    assert int(found["out"].isnan().sum()) == (2 * 5 * 7 if training else 1)
    assert found["to x0"].isfinite().all() and found["to x1"][:, 0].isfinite().all()
    assert found["to x1"][:, 1].isnan().all() == training


@pytest.mark.parametrize("value", [3.0, 0.1, 1e4])
@pytest.mark.parametrize("shape", [(2, 2, 5, 7), LARGE.shape], ids=str)
def test_constant_channels_are_normalised_to_next_to_nothing(shape: tuple[int, ...], value: float) -> None:
    inputs = build(Case(shape=shape, count=2, normed="y", dtype=torch.float32))
    inputs.xs = [torch.full_like(x, value).requires_grad_() for x in inputs.xs]
    found = results(ours(), inputs)
    # The mean is right to half a unit in its last place, and the root of eps stands below.
    assert float(found["out"].abs().max()) < value * 6e-8 / 1e-5**0.5
    assert all(tensor.isfinite().all() for tensor in found.values())


class Edges(nn.Module):
    """A node as DARTS writes it: a softmax for every edge, of which one share may fall to no operation."""

    def __init__(self, edges: int, kinds: int, none: bool) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(edges * kinds)
        self.alpha = nn.Parameter(torch.randn(edges, kinds + none, generator=draw, dtype=torch.float64))
        self.none = none

    def weights(self) -> Tensor:
        return torch.softmax(self.alpha, 1)[:, int(self.none) :].flatten()


@pytest.mark.parametrize("none", [False, True])
@pytest.mark.parametrize("edges", [1, 2, 5])
@pytest.mark.parametrize("kinds", [1, 2, 8])
def test_softmaxes_of_all_edges_get_their_gradients_through_one_sum(edges: int, kinds: int, none: bool) -> None:
    node = Edges(edges, kinds, none)
    inputs = build(Case(shape=(2, 2, 3, 3), count=edges * kinds, normed="yny"))
    means = [norm and norm.running_mean for norm in inputs.norms]
    variances = [norm and norm.running_var for norm in inputs.norms]
    xs = [x.detach() for x in inputs.xs]
    mixed_sum(xs, node.weights(), means, variances, training=True).backward(inputs.grad)
    found, node.alpha.grad = node.alpha.grad, None
    out = sum(w * (x if norm is None else norm(x)) for w, x, norm in zip(node.weights(), xs, inputs.norms, strict=True))
    out.backward(inputs.grad)
    assert found is not None and node.alpha.grad is not None
    assert torch.allclose(found, node.alpha.grad, rtol=0, atol=1e-12 * float(inputs.grad.abs().sum()))


@pytest.mark.parametrize("training", [True, False])
def test_the_backward_operator_keeps_pytorchs_rules(training: bool) -> None:
    inputs = build(Case(training=training))
    xs, weights = [x.detach() for x in inputs.xs], inputs.weights.detach()
    means = [torch.ones(3, 2, dtype=torch.float64), torch.full((3, 2), 0.5, dtype=torch.float64)]
    for needs in ([True, False, True], [False, False, False]):
        torch.library.opcheck(
            operator._backward,
            (inputs.grad, xs, weights, *means, [training, False, training], needs, "cpu"),
            test_utils=("test_schema", "test_faketensor"),
        )


def test_float64_has_no_kernel_of_its_own_on_a_gpu() -> None:
    assert KERNEL.dtypes == {torch.float16, torch.bfloat16, torch.float32}
