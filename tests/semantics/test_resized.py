"""A module takes images of other sizes where its text says the same of them, and no others."""

import copy

import pytest
import torch

from genolang.api import Network, load
from genolang.diagnostics import GenoError, Source
from genolang.semantics.check import check_source, expand_network

TEXT = """geno 1
import std.plugins

op unit = %s

network n(size=6) {
  input   image(4, size, size)
  stem    conv(3, 8) -> batch_norm
  body    unit
  head    global_avg_pool -> linear(3)
  require macs < 60k
}
"""


def module_of(body, fused=True, **given):
    checked = check_source(Source("n.geno", TEXT % body))
    assert checked.ok, checked.diagnostics
    return Network(expand_network(checked, None, given)).module(fused).eval()


def image(size):
    return torch.randn(2, 4, *size)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(
    "body",
    [
        "max_pool(H)",
        "max_pool(2, stride=2) -> resize(size=(H, W))",
        "if H < 8 then relu else conv(3)",
        "repeat(H // 3, relu -> conv(3))",
        "x * (1 / W)",
        "ge_minus_code(extent=2) -> conv((1, max(1, H - 5)))",
    ],
)
def test_a_size_for_which_the_text_is_another_network_is_refused(body, fused):
    module = module_of(body, fused)
    module(image((6, 6)))
    for called in (module, copy.deepcopy(module), module.train()):
        with pytest.raises(GenoError, match="made for images of 6x6") as error:
            called(image((12, 12)))
        assert error.value.diagnostics[0].labels


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(
    "body",
    [
        "relu",
        "conv(3, stride=2) -> resize(like=x)",
        "if H == x.W then relu else tanh",
        "avg_pool(3, stride=2)",
        "conv(min(3, H))",
        "x * (x -> global_avg_pool -> sigmoid)",
    ],
)
def test_a_size_for_which_the_text_is_the_same_gives_what_a_network_of_that_size_gives(body, fused):
    declared = module_of(body, fused)
    other = module_of(body, fused, size=7)
    other.load_state_dict(declared.state_dict())
    images = image((7, 7))
    torch.testing.assert_close(declared(images), other(images))


def test_what_answers_refuses_as_well():
    checked = check_source(Source("n.geno", TEXT % "max_pool(H)"))
    network = Network(expand_network(checked, None, {}))
    answering = network.for_inference(network.module().eval())
    answering(image((6, 6)))
    with pytest.raises(GenoError, match="made for images"):
        answering(image((8, 8)))


def test_a_size_that_a_network_cannot_have_is_said_at_its_layer():
    module = module_of("conv(3, pad=0) -> conv(3, pad=0)")
    with pytest.raises(GenoError, match="window"):
        module(image((4, 4)))


@pytest.mark.parametrize(("spec", "name"), [("darts/v2", "cifar"), ("resnet/cifar", "resnet20"), ("quickstart", None)])
def test_shipped_networks_take_other_sizes(spec, name):
    network = load(spec).network(name)
    with torch.no_grad():
        channels, height, width = network.program.input
        network.module().eval()(torch.randn(1, channels, height + 8, width + 8))
