import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from generated.forms import saved
from reference.pouring import compiled
from shipped import EXAMPLES, complete_networks, small, specs_with_networks
from torch import Tensor

from genolang.api import Network, load
from genolang.compiler import driver
from genolang.compiler.torch.memory import saved_bytes
from genolang.compiler.torch.module import build_network
from genolang.primitives import PRIMITIVES

MAX_BYTES = 120_000_000


def assert_planned(network: Network, batch: int, *, fused: bool = True) -> None:
    planned = (
        network.plan(batch).activation_bytes if fused else driver.activation_bytes(network.program, batch, fused=False)
    )
    module = network.module(fused=fused)
    real = saved(module, torch.randn(batch, *network.program.input))
    assert planned == pytest.approx(real, rel=0.01), f"fused={fused}, batch {batch}"


def shipped() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """An example of every shipped network, with and without its auxiliary head where it has one."""
    for spec, name in complete_networks():
        yield spec, name, {}
        if "auxiliary" in small(spec, name).program.arguments:
            yield spec, name, {"auxiliary": False}


CASES = list(shipped())


def test_every_shipped_spec_has_an_example() -> None:
    assert {spec for spec, _ in EXAMPLES} == specs_with_networks()


@pytest.mark.parametrize(("spec", "network", "values"), CASES, ids=str)
def test_a_plan_is_what_training_really_saves(spec: str, network: str, values: dict[str, Any]) -> None:
    found = small(spec, network, **values)
    try:
        assert_planned(found, 1)
    except ValueError as error:
        # torch itself cannot train on one image where batch norm meets a single value.
        assert "single value" in str(error)
    needed = found.plan(1).activation_bytes
    if 3 * needed < MAX_BYTES:
        assert_planned(found, 3)
    if not found.program.choices and 2 * needed < MAX_BYTES:
        assert_planned(found, 2, fused=False)


TINY = {
    "conv": "conv(3, 5, stride=2, bias=true) -> conv((1, 3), groups=5) -> conv(3, dilation=2)",
    "standardized_conv": "standardized_conv(3, 5, stride=2, bias=true) -> relu -> standardized_conv((1, 3), groups=5)",
    "transposed_conv": "transposed_conv(3, 5, stride=2, bias=true) -> transposed_conv((1, 2), groups=5, pad=0)",
    "linear": "global_avg_pool -> linear(6) -> linear(2, bias=false)",
    "batch_norm": "batch_norm -> batch_norm(affine=false)",
    "scale": "relu -> scale(2, shift=0.5)",
    "standardize": "standardize(space) -> standardize(channels, eps=0.1)",
    "layer_norm": "relu -> layer_norm -> layer_norm(eps=0.1)",
    "group_norm": "group_norm(2) -> group_norm(1, affine=false) -> slice(1, 3) -> group_norm(2)",
    "parameter": "relu -> learned",
    "coordinates": "relu -> placed",
    "sinusoids": "sinusoids(8) -> relu -> conv(1) -> waved",
    "l2_norm": "relu -> l2_norm(channels) -> l2_norm(space)",
    "relu": "relu",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "silu": "silu",
    "gelu": "gelu -> gelu(approximate=true)",
    "hard_swish": "hard_swish",
    "hard_sigmoid": "hard_sigmoid",
    "leaky_relu": "leaky_relu -> leaky_relu(0.2)",
    "prelu": "prelu -> prelu(shared=true)",
    "elu": "elu -> elu(alpha=0.5)",
    "mish": "mish",
    "softplus": "softplus -> softplus(beta=2)",
    "sin": "sin",
    "cos": "cos",
    "exp": "exp",
    "log": "sigmoid -> log",
    "sqrt": "sigmoid -> sqrt",
    "abs": "abs",
    "clamp": "clamp(-1, 2) -> clamp(min=0) -> clamp(max=1)",
    "power": "sigmoid -> power(2) -> power(0.3) -> power(-1) -> power(1) -> power(0)",
    "softmax": "softmax(space) -> softmax(channels)",
    "max_pool": "max_pool(3, stride=2, ceil=true)",
    "avg_pool": "avg_pool(3, stride=2)",
    "adaptive_max_pool": "relu -> adaptive_max_pool((3, 4))",
    "global_avg_pool": "global_avg_pool",
    "global_max_pool": "global_max_pool",
    "mean": "mean(channels, groups=2) -> mean(channels)",
    "max": "largest",
    "concat": "twice",
    "slice": "slice(1, 4) -> sigmoid",
    "repeat_channels": "relu -> repeat_channels(3) -> sigmoid",
    "channel_shuffle": "relu -> channel_shuffle(2) -> sigmoid",
    "pixel_shuffle": "relu -> pixel_shuffle(2) -> sigmoid",
    "pixel_unshuffle": "resize(size=(4, 6)) -> relu -> pixel_unshuffle(2) -> sigmoid",
    "pad_channels": "relu -> pad_channels(7) -> sigmoid",
    "add": "plus",
    "subtract": "minus",
    "multiply": "times",
    "divide": "over",
    "resize": "resize(size=5) -> resize(size=(9, 4), mode=bilinear) -> resize(size=(2, 3), mode=area)",
    "pad_space": "relu -> pad_space(1, after=(0, 2)) -> sigmoid",
    "subsample": "subsample(2, offset=1)",
    "zeros": "zeros(2)",
    "matmul": "gram",
    "transpose": "transpose -> transpose",
    "relative_attention": "conv(1, 22) -> relative_attention(8, 6, heads=2) -> relu",
    "single_precision": "relu -> single_precision -> sigmoid",
    "precision": "kept_precision",
    "dropout": "dropout(0.3)",
    "drop_path": "drop_path",
    "identity": "identity",
}


def tiny(words: str) -> Network:
    return compiled(f"""geno 1
op twice = concat(relu(x), x, sigmoid(x))
op plus = relu(x) + sigmoid(x) + 2
op minus = relu(x) - 3 * sigmoid(x)
op times = x * sigmoid(x) * mean(x, channels) * 0.5
op largest = x * max(x, channels) + max(x, space)
op learned = sigmoid(x) * parameter((C, 1, 1), init=0.1)(x) + parameter((1, H, W))(x) -> relu
op placed = concat(x, coordinates(x)) -> conv(1, 3) -> relu
op waved = x * sinusoids(x) -> relu
op over = tanh(x) / (1 + sigmoid(x))
op gram = x + matmul(softmax(matmul(x, transpose(x)), channels), x)
op kept_precision = tanh(x) -> precision(like=x) -> sigmoid
op project = conv((H, W), 3, pad=0, bias=true)
network tiny() {{
  input image(3, 7, 9)
  stem  conv(3, 4) -> {words}
  head  project
}}
""")


def test_every_primitive_has_a_text_here() -> None:
    assert set(TINY) == set(PRIMITIVES) - {"image"}


@pytest.mark.parametrize("primitive", TINY)
def test_a_plan_counts_every_primitive_as_torch_saves_it(primitive: str) -> None:
    network = tiny(TINY[primitive])
    for batch, fused in ((1, True), (3, True), (2, False)):
        assert_planned(network, batch, fused=fused)


def test_a_plan_counts_mixed_operations_by_sum_and_by_product() -> None:
    for words in ("operation", "gate"):
        network = compiled(f"""geno 1
choice operation = zeros | relu | conv(3) | identity
choice gate = sigmoid | (conv(1) -> sigmoid) combine product
op project = conv((H, W), 3, pad=0)
network tiny() {{
  input image(3, 7, 9)
  stem  conv(3, 4) -> {words}
  head  project
}}
""")
        for batch, fused in ((1, True), (3, True), (2, False)):
            assert_planned(network, batch, fused=fused)


@pytest.mark.parametrize("size", [(9, 7), (1, 5), (1, 1)])
def test_a_plan_counts_maps_that_are_put_together_or_kept_as_slices(size: tuple[int, int]) -> None:
    rows, columns = size
    network = compiled(f"""geno 1
import std.ops
op once = relu -> conv(3, groups=C) -> conv(1) -> batch_norm(affine=false)
cell searched(prev, channels=6) {{
  inputs s = prev -> conv(1, channels)
  nodes  n1, n2, n3
  edges  earlier -> each : (max_pool(3) | once | sep_conv(3))
  return concat(n1, n2, n3)
}}
network n {{
  input image(3, {rows}, {columns})
  stem  conv(3, 6)
  cells 2 of searched
  head  global_avg_pool -> linear(2)
}}
""")
    for batch in (2, 5):
        assert network.plan(batch).activation_bytes == saved(network.module(), torch.randn(batch, 3, *size))


@pytest.mark.parametrize(
    "words",
    [
        "batch_norm -> conv(3)",
        "conv(3, groups=3) -> batch_norm",
        "gate -> conv(3)",
        "operation -> conv(3)",
        "conv(3, groups=3) -> conv(1, 4) -> batch_norm -> relu",
        "global_avg_pool -> linear(3)",
        "conv(3) -> of_itself -> of_itself",
        "conv(3) -> twice_read",
    ],
)
def test_a_plan_counts_layers_that_read_the_image_which_has_no_gradient(words: str) -> None:
    network = compiled(f"""geno 1
choice gate = sigmoid | (conv(1) -> sigmoid) | (relu -> sigmoid) combine product
choice operation = relu | max_pool(3)
op of_itself = x * (x -> standardize(space) -> sigmoid)
op twice_read = (x -> conv(3)) + x * sigmoid(x) + x * (x -> l2_norm(channels))
op project = conv((H, W), 3, pad=0)
network tiny() {{
  input image(3, 7, 9)
  stem  {words}
  head  project
}}
""")
    for fused in (True, False):
        assert_planned(network, 2, fused=fused)


@pytest.mark.parametrize(
    ("spec", "name"), [("att_darts/search", "supernet"), ("ean/clutter", "dia_search"), ("aacn/resnet", "aa_resnet34")]
)
def test_one_layer_in_the_place_of_all_that_are_alike_saves_as_much(spec: str, name: str) -> None:
    program = small(spec, name).program
    graph, shape = driver.build(program), (3, *program.input)
    with torch.device("meta"):
        each, one = (build_network(graph, program.choices, 0.4, shared=shared) for shared in (False, True))
    assert saved_bytes(one, shape) == saved_bytes(each, shape)
    assert len([*one.modules()]) < len([*each.modules()])


def test_a_plan_of_a_search_space_imports_little_besides_torch() -> None:
    code = """
import sys, torch
before = set(sys.modules)
from genolang.api import load
load("att_darts/search").network(channels=4, depth=2).plan()
print(*{name.partition(".")[0] for name in set(sys.modules) - before})
"""
    # Either takes longer to import than such a plan takes.
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "genolang" in found.stdout.split()
    assert not {"sympy", "networkx"} & set(found.stdout.split())


def test_a_plan_grows_with_the_batch_and_not_with_the_weights() -> None:
    network = load("darts/search").network(channels=4, depth=2)
    one, two, three = (driver.activation_bytes(network.program, n) for n in (1, 2, 3))
    assert two - one == three - two > 0.94 * one


def test_a_plan_of_gigabytes_allocates_nothing_big() -> None:
    network = load("darts/search").network(channels=16, depth=3)
    tracemalloc.start()
    try:
        with _NoData():
            plan = network.plan(batch=65_536)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert plan.activation_bytes > 10**12
    assert peak < 60_000_000


class _NoData(torch.utils._python_dispatch.TorchDispatchMode):
    """Refuses every tensor of more than a few bytes that is not on the meta device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, Tensor):
                assert tensor.is_meta or tensor.untyped_storage().nbytes() <= 64, func
        return result
