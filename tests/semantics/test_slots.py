"""Slots, what is plugged into them, and state that runs through them."""

import io
import random

import pytest
import torch

from genolang.api import check, load
from genolang.diagnostics import Source
from genolang.lang.formatter import format_source
from genolang.search.space import describe_genotype, random_genotype
from genolang.search.writeback import discrete_program, discrete_text
from genolang.semantics.check import check_source, expand_network
from genolang.semantics.program import Program

BASE = """geno 1
import std.attention, std.plugins

op unit(out, stride=1) {
  y = x -> conv(3, out, stride=stride) -> batch_norm
  return relu((y -> slot residual) + (x -> conv(1, out, stride=stride)))
}

network plain(width=8) {
  input  image(3, 9, 7)
  stem   conv(3, width)
  stages for out, stride in [(width, 1), (2 * width, 2)] : unit(out, stride) -> repeat(2, unit(out))
  head   global_avg_pool -> linear(5)
}

attention count state n {
  n = n + 1
  return x * n
}
"""


def program(line: str, name: str = "n") -> Program:
    checked = check_source(Source("t.geno", f"{BASE}\n{line}\n"))
    assert not [d for d in checked.diagnostics if d.severity == "error"], checked.diagnostics
    return expand_network(checked, name, {})


def codes(line: str) -> list[str]:
    return [d.code for d in check(f"{BASE}\n{line}\n")]


def module(line: str) -> torch.nn.Module:
    from genolang.compiler import driver

    torch.manual_seed(3)
    return driver.to_module(program(line)).double()


def plain_params() -> int:
    return program("network n = plain").params


def se_params(*channels: int) -> int:
    return sum(2 * C * max(1, C // 4) + max(1, C // 4) + C for C in channels)


@pytest.mark.parametrize(
    "clause, channels",
    [
        ("", (8, 8, 8, 16, 16, 16)),
        ("where all", (8, 8, 8, 16, 16, 16)),
        ("shared per block", (8, 8, 8, 16, 16, 16)),
        ("shared per stage", (8, 16)),
        ("where every 2", (8, 8, 16)),
        ("where every 2 from 1", (8, 16, 16)),
        ("where every 4 from 1", (8, 16)),
        ('where ["010", "011"]', (8, 16, 16)),
        ('where "010011"', (8, 16, 16)),
        ('where ["000000"]', ()),
        ('shared per stage where ["011", "000"]', (8,)),
        ("shared per stage where search", (8, 16)),
    ],
)
def test_a_module_has_weights_where_it_is_plugged_in(clause: str, channels: tuple[int, ...]) -> None:
    found = program(f"network n = plain with se(r=4, bias=true) at residual {clause}")
    assert found.params - plain_params() == se_params(*channels)


def test_an_unplugged_slot_is_the_map_itself() -> None:
    plain = "op unit2(out) = conv(3, out) -> slot s\nnetwork n { input image(3, 5, 5)\n body unit2(4)\n head global_avg_pool -> linear(2) }"
    assert program(plain).params == 3 * 4 * 9 + 4 * 2 + 2


def test_one_module_per_network_needs_maps_of_one_width() -> None:
    assert "G306" in codes("network n = plain with se(r=4) at residual shared per network")
    same = "network n = plain with conv_gate at residual shared per network\nop conv_gate = x * sigmoid(mean(x, channels) -> conv(3))"
    assert program(same).params - plain_params() == 9


def test_a_network_may_replace_what_another_plugged_in() -> None:
    text = "network a = plain with se(r=4) at residual\nnetwork n = a with identity_gate at residual\nop identity_gate = sigmoid"
    assert program(text).params == plain_params()


def test_arguments_and_plugs_go_through_aliases() -> None:
    text = "network a = plain(width=4) with se(r=4, bias=true) at residual\nnetwork n = a"
    assert program(text).params == program("network n = plain(width=4)").params + se_params(4, 4, 4, 8, 8, 8)


def test_an_alias_takes_the_arguments_of_what_it_stands_for() -> None:
    text = "network a = plain with se(r=4, bias=true) at residual\nnetwork n = a(width=4)"
    assert program(text).params == program("network n = plain(width=4)").params + se_params(4, 4, 4, 8, 8, 8)
    assert "G202" in codes("network a = plain\nnetwork n = a(widht=4)")


@pytest.mark.parametrize(
    "line, code",
    [
        ("network n = plain with se at residul", "G417"),
        ("network n = plain with conv(1, 3) at residual", "G418"),
        ('network n = plain with se at residual where ["01", "011"]', "G419"),
        ('network n = plain with se at residual where ["011"]', "G419"),
        ('network n = plain with se at residual where ["011", "011", "0"]', "G419"),
        ('network n = plain with se at residual where ["012", "011"]', "G419"),
        ("network n = plain with se at residual where 3", "G419"),
        ("network n = plain with se at residual where every 0", "G207"),
        ("network n = plain with se at residual shared per room", "G205"),
        ("network n = plain with 3 at residual", "G205"),
        ("network n = plain with se at residual with se at residual", "G412"),
        ("network n = plain with squeze at residual", "G101"),
        ("op bad = relu with se at residual", "G411"),
        ("cell bad(p) state h { return p }", "G411"),
        ("attention bad state h { return x * h\n h = 3 }", "G110"),
        ("attention bad state h { h = 3\n return x }", "G420"),
        ("attention bad state h { h = h\n h = h + 1\n return x }", "G102"),
    ],
)
def test_what_is_wrong_is_said(line: str, code: str) -> None:
    assert code in codes(line)


def test_the_scheme_may_be_a_parameter() -> None:
    text = 'network n(bits=["111", "000"]) = plain with se(r=4, bias=true) at residual where bits'
    assert program(text).params - plain_params() == se_params(8, 8, 8)


def test_a_choice_plugged_in_is_one_decision_for_all_blocks() -> None:
    found = program("choice gate = identity | se(r=4) | eca\nnetwork n = plain with gate at residual")
    assert [(c.key, len(c.rows)) for c in found.choices.values()] == [("n.gate", 1)]


def test_a_searched_scheme_is_a_decision_per_slot() -> None:
    found = program("network n = plain with se(r=4) at residual shared per stage where search")
    assert {key: (len(c.rows), c.plug) for key, c in found.choices.items()} == {
        "n.residual.stage1": (3, True),
        "n.residual.stage2": (3, True),
    }


def test_the_answer_of_a_searched_scheme_is_bits_in_the_users_own_line() -> None:
    line = "network n = plain with se(r=4) at residual shared per stage where search  # where?"
    checked = check_source(Source("t.geno", f"{BASE}\n{line}\n"))
    searched = expand_network(checked, "n", {})
    genotype = random_genotype(searched, random.Random(5))
    bits = describe_genotype(searched, genotype)
    text = discrete_text(checked, searched, genotype)
    one, two = bits["n.residual.stage1"][0], bits["n.residual.stage2"][0]
    assert f'with se(r=4) at residual shared per stage where ["{one}", "{two}"]  # where?' in text
    assert format_source(Source("t", text)) == text
    assert not discrete_program(checked, searched, genotype, {}).choices


def test_state_counts_the_blocks_of_a_stage_that_are_connected() -> None:
    """`count` multiplies its map by how often it was used, so schemes can be told by hand."""
    from torch.nn import functional as F

    net = module('network n = plain with count at residual shared per stage where ["101", "011"]').eval()
    weights = dict(net.state_dict())
    x = torch.randn(2, 3, 9, 7, dtype=torch.float64)

    def unit(x: torch.Tensor, name: str, stride: int, times: int) -> torch.Tensor:
        y = F.conv2d(x, weights[f"{name}.y.conv.weight"], stride=stride, padding=1)
        y = F.batch_norm(
            y,
            weights[f"{name}.y.batch_norm.running_mean"],
            weights[f"{name}.y.batch_norm.running_var"],
            weights[f"{name}.y.batch_norm.weight"],
            weights[f"{name}.y.batch_norm.bias"],
        )
        return F.relu(times * y + F.conv2d(x, weights[f"{name}.conv.weight"], stride=stride))

    want = F.conv2d(x, weights["stem.conv.weight"], padding=1)
    for stage, times in ((1, (1, 1, 2)), (2, (1, 1, 2))):
        for block, number in enumerate(times):
            name = f"stage{stage}.unit" + (f"_{block + 1}" if block else "")
            want = unit(want, name, 2 if stage == 2 and block == 0 else 1, number)
    want = F.linear(want.mean((2, 3)), weights["head.linear.weight"], weights["head.linear.bias"])
    torch.testing.assert_close(net(x), want, rtol=1e-12, atol=1e-12)


def test_unnamed_uses_of_a_module_with_state_do_not_know_each_other() -> None:
    from genolang.compiler import driver

    text = "network n { input image(2, 3, 3)\n body count -> count\n head global_avg_pool -> linear(2) }"
    named = "op twice {\n c = count\n return x -> c -> c\n}\nnetwork n { input image(2, 3, 3)\n body twice\n head global_avg_pool -> linear(2) }"
    x = torch.randn(4, 2, 3, 3)
    for source, times in ((text, 1), (named, 2)):
        net = driver.to_module(program(source))
        weights = net.state_dict()
        want = (times * x).mean((2, 3)) @ weights["head.linear.weight"].T + weights["head.linear.bias"]
        torch.testing.assert_close(net(x), want)


@pytest.mark.parametrize("clause", ["where all", 'where ["101", "011"]', "where search"])
def test_threaded_state_survives_saving_compiling_and_exporting(clause: str) -> None:
    line = f"network n = plain with dia(r=2) at residual shared per stage {clause}"
    net, other = module(line), module(line)
    with torch.no_grad():
        for value in other.parameters():
            value.mul_(2)
    other.load_state_dict(net.state_dict())
    net.eval(), other.eval()
    x = torch.randn(3, 3, 9, 7, dtype=torch.float64)
    want = net(x)
    torch.testing.assert_close(other(x), want, rtol=0, atol=0)
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x), want, rtol=0, atol=0)
    if "search" in clause:
        return  # an open choice is not exported
    exported = torch.export.export(net, (x,)).module()
    torch.testing.assert_close(exported(x), want, rtol=1e-12, atol=1e-12)


def test_threaded_state_is_trained_as_one_compiled_graph() -> None:
    line = "network n = plain with dia(r=2) at residual shared per stage"
    net, again = module(line).train(), module(line).train()
    kept = io.BytesIO()
    torch.save(net.state_dict(), kept)
    kept.seek(0)
    again.load_state_dict(torch.load(kept, weights_only=True))
    x = torch.randn(3, 3, 9, 7, dtype=torch.float64)
    compiled = torch.compile(again, fullgraph=True, backend="aot_eager")
    for run in (net, compiled):
        run(x).square().sum().backward()
    for here, there in zip(net.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(here.grad, there.grad, rtol=1e-9, atol=1e-9)
    for here, there in zip(net.buffers(), again.buffers(), strict=True):
        torch.testing.assert_close(here, there, rtol=1e-12, atol=1e-12)


def test_slots_in_cells_are_filled_too() -> None:
    text = """op layer = relu -> conv(3) -> slot after
cell c(a, channels=4) {
  nodes n
  edges a -> n : layer
  return n
}
network base { input image(4, 5, 5)
  cells 3 of c
  head global_avg_pool -> linear(2) }
network n = base with se(r=1, bias=true) at after where "101"
network m = base"""
    more = program(text).params - program(text, "m").params
    assert more == 2 * (2 * 16 + 8)


def test_published_schemes_connect_as_many_blocks_as_published() -> None:
    spec = load("ean/resnet164")
    org = spec.network("org").program.block.macs[0]
    all_ = spec.network("se_shared").program.block.macs[0] - org
    for name, share in (("se_ean_a", 27 / 54), ("se_enas_a", 18 / 54)):
        assert spec.network(name).program.block.macs[0] - org == all_ * share
