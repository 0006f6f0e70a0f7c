import io
from collections.abc import Callable

import pytest
import torch
from exactness import OFFSETS
from kernel_harness.mixed_sum import (
    NAMED,
    Case,
    Inputs,
    agrees,
    agrees_as_well,
    build,
    distance,
    exactly,
    in_dtype,
    ours,
    results,
    written_out,
)
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from genolang.kernels.mixed_sum import mixed_sum, why

# Enough elements for the path that computes its own statistics.
LARGE = Case(shape=(17, 4, 43, 47), normed="yn")


@pytest.mark.parametrize("use", [None, "reference"])
@pytest.mark.parametrize("case", [*NAMED, LARGE], ids=str)
def test_the_sum_is_that_of_batch_norm_modules(case: Case, use: str | None) -> None:
    agrees(case, use, 1e-12 if case.shift == 0 else 1e-10)


@pytest.mark.parametrize("case", [*NAMED, LARGE], ids=str)
def test_single_precision_is_as_exact_as_the_written_out_sum(case: Case) -> None:
    agrees_as_well(in_dtype(case, torch.float32), None)


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("training", [True, False])
def test_maps_far_from_zero_are_normalised_as_exactly_as_by_modules(training: bool, layout: str, offset: float) -> None:
    for shape in ((3, 5, 7, 9), (16, 3, 16, 16), (17, 4, 43, 47)):
        case = Case(shape=shape, count=2, shift=offset, training=training, layout=layout)
        agrees_as_well(in_dtype(case, torch.float32), "cpu")
        if offset <= 100 and training:
            for dtype in (torch.float16, torch.bfloat16):
                agrees_as_well(in_dtype(case, dtype), "cpu")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", [Case(), Case(layout="channels_last"), Case(training=False), LARGE], ids=str)
def test_half_precision_is_as_exact_as_the_written_out_sum(case: Case, dtype: torch.dtype) -> None:
    agrees_as_well(in_dtype(case, dtype), None, 2.0)


def test_candidates_of_two_dtypes_are_added_in_the_wider() -> None:
    inputs = build(Case(dtype=torch.float32))
    inputs.xs[1] = inputs.xs[1].detach().bfloat16().requires_grad_()
    exact = results(written_out, exactly(inputs))
    found = results(ours(), inputs)
    assert found["out"].dtype == torch.float32 and found["to x1"].dtype == torch.bfloat16
    assert distance(found["out"], exact["out"]) < 1e-6 and distance(found["to x1"], exact["to x1"]) < 1e-2


@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_those_of_finite_differences(training: bool) -> None:
    inputs = build(Case(shape=(2, 2, 3, 2), training=training))
    means = [None if n is None else n.running_mean for n in inputs.norms]
    variances = [None if n is None else n.running_var for n in inputs.norms]

    def call(weights: Tensor, *xs: Tensor) -> Tensor:
        return mixed_sum(xs, weights, means, variances, training=training)

    assert torch.autograd.gradcheck(call, (inputs.weights, *inputs.xs))


def test_only_the_candidates_are_saved_for_backward() -> None:
    def saved(function: Callable[[Inputs], Tensor]) -> int:
        inputs = build(Case(shape=(8, 4, 16, 16), count=7, normed="y", dtype=torch.float32))
        seen: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            seen[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
            return tensor

        with saved_tensors_hooks(pack, lambda tensor: tensor):
            function(inputs)
        return sum(seen.values())

    size = 7 * 8 * 4 * 16 * 16 * 4
    assert size <= saved(ours()) < 1.01 * size
    assert 2 * size <= saved(written_out) < 2.01 * size


def test_the_meta_device_saves_what_a_real_run_saves() -> None:
    xs = [torch.empty(2, 3, 5, 7, device="meta", requires_grad=True) for _ in range(2)]
    weights = torch.empty(2, device="meta", requires_grad=True)
    saved: list[tuple[int, ...]] = []
    with saved_tensors_hooks(lambda t: saved.append(tuple(t.shape)) or t, lambda t: t):
        out = mixed_sum(xs, weights, [torch.zeros(3), None], [torch.ones(3), None], training=True)
    out.sum().backward()
    assert out.shape == (2, 3, 5, 7) and saved == [(2,), (2, 3), (2, 3), (2, 3, 5, 7), (2, 3, 5, 7)]
    assert xs[0].grad is not None and xs[0].grad.is_meta


def test_an_empty_batch_has_an_empty_sum_and_leaves_the_statistics() -> None:
    inputs = build(Case(shape=(0, 3, 5, 7)))
    before = exactly(inputs)
    found = results(ours(), inputs)
    assert found["out"].shape == (0, 3, 5, 7) and not found["to weights"].any()
    assert torch.equal(found["mean0"], before.norms[0].running_mean)


def test_one_value_a_channel_is_refused_in_training_as_batch_norm_does() -> None:
    with pytest.raises(ValueError, match="more than one value"):
        ours()(build(Case(shape=(1, 3, 1, 1))))
    agrees(Case(shape=(1, 3, 1, 1), training=False), None, 1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i: i.xs.pop(), "one weight"),
        (lambda i: i.xs.clear(), "one weight"),
        (lambda i: i.xs.append(i.xs.pop()[:, :, 1:]), "one shape"),
        (lambda i: i.norms.insert(0, nn.BatchNorm2d(4)) or i.norms.pop(1), "running statistics"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(change: Callable[[Inputs], object], message: str) -> None:
    inputs = build(Case())
    change(inputs)
    with pytest.raises(ValueError, match=message):
        ours()(inputs)


def test_a_second_derivative_is_refused_by_the_lean_path_and_given_by_the_reference() -> None:
    inputs = build(Case())
    (first,) = torch.autograd.grad(ours()(inputs).square().sum(), inputs.weights, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        first.sum().backward()
    inputs = build(Case())
    (first,) = torch.autograd.grad(ours("reference")(inputs).square().sum(), inputs.weights, create_graph=True)
    first.sum().backward()
    assert inputs.xs[0].grad is not None


def test_checkpointing_recomputes_the_same_gradients() -> None:
    plain, recomputed = build(Case(training=False)), build(Case(training=False))
    wanted = results(ours(), plain)
    found = results(lambda inputs: checkpoint(lambda *xs: ours()(inputs), *inputs.xs, use_reentrant=False), recomputed)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_autocast_leaves_the_sum_in_the_dtype_of_its_maps() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert ours()(build(Case(dtype=torch.float32))).dtype == torch.float32
        assert ours()(build(Case(dtype=torch.bfloat16))).dtype == torch.bfloat16


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_the_operator_keeps_pytorchs_rules(training: bool, layout: str) -> None:
    inputs = build(Case(training=training, layout=layout))
    norms = [norm for norm in inputs.norms if norm is not None]
    arguments = (inputs.xs, inputs.weights, [n.running_mean for n in norms], [n.running_var for n in norms])
    flags = [norm is not None for norm in inputs.norms]
    torch.library.opcheck(
        torch.ops.genolang.mixed_sum.default,
        (*arguments, flags, training, 0.1, 1e-5, "cpu"),
        test_utils=("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_static"),
    )


@pytest.mark.parametrize("use", [None, "cpu"])
def test_it_compiles_without_a_break(use: str | None) -> None:
    case = Case(shape=(2, 3, 4, 4), count=2)
    found = results(torch.compile(ours(use), fullgraph=True, backend="aot_eager"), build(case))
    wanted = results(ours(), build(case))
    assert {name: distance(found[name], wanted[name]) < 1e-12 for name in wanted} == dict.fromkeys(wanted, True)


class Node(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([0.3, 0.7]))
        self.norm = nn.BatchNorm2d(3, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        kept = self.norm.running_mean, self.norm.running_var
        return mixed_sum((x, x.relu()), self.weights, (None, kept[0]), (None, kept[1]), training=self.training)


def test_it_exports_as_plain_operations_for_any_batch() -> None:
    module = Node().eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(module, (torch.randn(2, 3, 5, 7),), dynamic_shapes={"x": {0: batch}})
    assert not any("genolang" in str(node.target) for node in program.graph.nodes)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    buffer.seek(0)
    x = torch.randn(5, 3, 5, 7)
    assert torch.allclose(torch.export.load(buffer).module()(x), module(x), atol=1e-6)


def test_why_says_what_runs_and_for_what_reason() -> None:
    inputs = build(Case())
    assert why(inputs.xs, inputs.weights) == "mixed_sum runs as cpu: the inputs are not on a GPU."
    assert why(inputs.xs, inputs.weights, "reference") == "mixed_sum runs as reference: it was asked for."
