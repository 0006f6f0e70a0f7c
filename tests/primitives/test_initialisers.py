"""What weights begin as: every word, alone and for a whole network, in the module and in emitted Python."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from generated.forms import emitted
from reference.pouring import compiled
from torch import Tensor, nn

from genolang.api import Network, check
from genolang.compiler import driver
from genolang.compiler.interchange import from_bytes, to_bytes
from genolang.primitives import INITIALISERS, initialiser

GIVEN = {"constant": "constant(0.25)", "normal": "normal(0.3)", "uniform": "uniform(0.3)"}
WORDS = [*(GIVEN.get(word, word) for word in INITIALISERS), "trunc_normal(0.3)", "orthogonal(2)", "0.5", "-1"]


def spec(first: str, *, default: str = "", rest: str = "") -> str:
    return f"""geno 1
network n {{
  input image(3, 7, 9)
  {default}
  stem  conv(3, 16{first}, bias=true) -> batch_norm -> transposed_conv(3, 8{rest}, stride=2, bias=true)
  head  global_avg_pool -> linear(5{rest})
}}
"""


def seeded(make: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return make()


def expected(word: str, shape: tuple[int, ...]) -> Tensor:
    """torch's own, drawn behind a layer's usual first weights."""
    number = initialiser(word) or initialiser(float(word))
    assert number is not None
    weight, (name, value) = torch.empty(shape), number
    kind = name.rpartition("_")[2]
    match name:
        case "constant":
            return nn.init.constant_(weight, value)
        case "normal":
            return nn.init.normal_(weight, 0, value)
        case "uniform":
            return nn.init.uniform_(weight, -value, value)
        case "trunc_normal":
            return nn.init.trunc_normal_(weight, 0, value, -2 * value, 2 * value)
        case "orthogonal":
            return nn.init.orthogonal_(weight, value)
        case "glorot_uniform" | "glorot_normal":
            return getattr(nn.init, f"xavier_{kind}_")(weight)  # type: ignore[no-any-return]
        case "he_uniform" | "he_normal":
            return getattr(nn.init, f"kaiming_{kind}_")(weight, nonlinearity="relu")  # type: ignore[no-any-return]
    fan = math.prod(shape[1:])
    return weight.normal_(0, fan**-0.5) if kind == "normal" else weight.uniform_(-((3 / fan) ** 0.5), (3 / fan) ** 0.5)


@pytest.mark.parametrize("word", WORDS)
def test_a_convolution_begins_as_torch_has_it_and_its_bias_at_zero(word: str, tmp_path: Path) -> None:
    def by_hand() -> Tensor:
        nn.Conv2d(3, 16, 3)
        return expected(word, (16, 3, 3, 3))

    network = compiled(spec(f", init={word}"))
    made = seeded(lambda: network.module(fused=False)).state_dict()
    torch.testing.assert_close(made["stem.conv.weight"], seeded(by_hand))
    assert not made["stem.conv.bias"].any() and made["head.linear.bias"].any()
    source = seeded(lambda: emitted(network, tmp_path)).state_dict()
    assert all(torch.equal(made[name], source[name]) for name in made)


def test_names_of_keras_and_of_torch_are_one_thing() -> None:
    for kind in ("uniform", "normal"):
        assert initialiser(f"glorot_{kind}") == initialiser(f"xavier_{kind}")
        assert initialiser(f"he_{kind}") == initialiser(f"kaiming_{kind}")
    assert initialiser("zeros") == initialiser(0) and initialiser("ones") == initialiser(1.0)


def test_a_network_s_initialiser_is_that_of_all_layers_that_say_nothing_of_their_own() -> None:
    for default, given in (("init  ones", ""), ("", ", init=ones")):
        network = compiled(spec(", init=0.5", default=default, rest=given))
        state = network.module().state_dict()
        assert (state["stem.conv.weight"] == 0.5).all()
        assert (state["stem.transposed_conv.weight"] == 1).all() and (state["head.linear.weight"] == 1).all()
        # Norms begin as ever.
        assert (state["stem.batch_norm.weight"] == 1).all() and not state["stem.batch_norm.bias"].any()


def test_networks_of_one_file_have_an_initialiser_each() -> None:
    text = """geno 1
op unit = conv(3, 4)
network one {
  input image(3, 7, 9)
  stem  unit
  init  ones
  head  global_avg_pool -> linear(2)
}
network other {
  input image(3, 7, 9)
  stem  unit
  head  global_avg_pool -> linear(2)
}
"""
    assert not check(text)
    one, other = (compiled(text, name).module().state_dict()["stem.unit.conv.weight"] for name in ("one", "other"))
    assert (one == 1).all() and not (other == 1).any()


def test_an_initialiser_is_a_parameter_as_text() -> None:
    text = """geno 1
op unit(out, init="zeros", std=0.5) = conv(1, out, init=init) -> conv(1, init=trunc_normal(std))
network n(start="he_normal") {
  input image(3, 7, 9)
  init  start
  stem  unit(4) -> unit(5, init="ones")
  head  global_avg_pool -> linear(2)
}
"""
    network = compiled(text)
    state = network.module().state_dict()
    assert not state["stem.unit.conv.weight"].any() and (state["stem.unit_2.conv.weight"] == 1).all()
    inits = [leaf.attrs["init"] for leaf in network.program.block.leaves.values()]
    assert inits == ["zeros", "trunc_normal(0.5)", "ones", "trunc_normal(0.5)", "he_normal"]


def test_an_initialiser_stays_in_a_graph_that_leaves_and_comes_back() -> None:
    network = compiled(spec(", init=trunc_normal(0.3)", rest=", init=0.25"))
    for ending in (".json", ".graphml"):
        again = Network.from_graph(from_bytes(to_bytes(network.graph(), ending), ending, "the file"))
        assert driver.to_python(again.program) == driver.to_python(network.program)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("init=normal", "G205"), ("init=uniform", "G205"), ("init=normal(-1)", "G205"), ("init=normal(1, 2)", "G205"),
        ("init=true", "G205"), ('init="bar"', "G205"), ("init=bar", "G101"), ("init=relu", "G205"),
    ],
)  # fmt: skip
def test_what_no_weight_begins_as_is_refused(words: str, code: str) -> None:
    assert [d.code for d in check(spec(f", {words}"))] == [code]


def test_a_network_has_one_initialiser() -> None:
    assert [d.code for d in check(spec("", default="init  ones\n  init  zeros"))] == ["G412"]
