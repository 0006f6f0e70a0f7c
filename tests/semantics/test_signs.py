"""Signs between numbers, maps and operations: all say the same, in every way of writing it."""

import pytest
import torch

import genolang

NETWORK = """geno 1
{definitions}
choice act = relu | silu

network n {{
  input image(2, 3, 4)
  body  {body}
  head  resize(like=input)
}}
"""


def answer(body: str, definitions: str = "", x: torch.Tensor | None = None) -> torch.Tensor:
    text = NETWORK.format(body=body, definitions=definitions)
    problems = genolang.check(text)
    assert not problems, [str(problem) for problem in problems]
    from genolang.diagnostics import Source
    from genolang.semantics.check import check_source

    checked = check_source(Source("s.geno", text))
    network = genolang.Network(checked.programs["n"])
    return network.module().double().eval()(values() if x is None else x)


def values() -> torch.Tensor:
    return torch.linspace(-2, 3, 24, dtype=torch.float64).reshape(1, 2, 3, 4)


CASES = {
    "1 - sigmoid": lambda x: 1 - x.sigmoid(),
    "-sigmoid": lambda x: -x.sigmoid(),
    "-(relu -> tanh)": lambda x: -x.relu().tanh(),
    "(1 + sigmoid) / 2": lambda x: (1 + x.sigmoid()) / 2,
    "sigmoid - 0.5": lambda x: x.sigmoid() - 0.5,
    "3 / (1 + relu)": lambda x: 3 / (1 + x.relu()),
    "2 - 1/3 * tanh": lambda x: 2 - x.tanh() / 3,
    "1 - (2 - (3 - identity))": lambda x: 1 - (2 - (3 - x)),
    "(relu - 1) / (tanh + 4)": lambda x: (x.relu() - 1) / (x.tanh() + 4),
}


@pytest.mark.parametrize("expression", CASES)
def test_an_operation_between_signs_is_what_the_signs_say(expression: str) -> None:
    torch.testing.assert_close(answer(expression), CASES[expression](values()))


@pytest.mark.parametrize("expression", CASES)
def test_signs_between_maps_are_those_between_operations(expression: str) -> None:
    fed = expression
    for name in ("sigmoid", "relu", "tanh", "identity"):
        fed = fed.replace(name, f"{name}(x)")
    fed = fed.replace("relu(x) -> tanh(x)", "relu(x) -> tanh")
    assert torch.equal(answer("f", f"op f = {fed}"), answer(expression))


def test_a_reciprocal_of_a_map_may_be_written_inside_a_definition() -> None:
    found = answer("d", "op d = 1 / (1 + relu(x))")
    torch.testing.assert_close(found, 1 / (1 + values().relu()))


@pytest.mark.parametrize("body", ["relu / 0", "x -> relu / 0"])
def test_nothing_is_divided_by_zero(body: str) -> None:
    text = NETWORK.format(body="f", definitions=f"op f = {body}")
    assert [d.code for d in genolang.check(text)] == ["G205"]


@pytest.mark.parametrize(
    ("called", "piped"),
    [("x + g(x)", "x + (x -> g)"), ("g(g(x))", "x -> g -> g"), ("(relu | silu)(x) * x", "(x -> (relu | silu)) * x")],
)
def test_a_choice_that_is_called_is_one_that_the_map_leads_into(called: str, piped: str) -> None:
    found, wanted = (answer("f(act)", f"op f(g) = {body}") for body in (called, piped))
    assert torch.equal(found, wanted)


ATTENTION = """geno 1
attention a = x -> core.conv(3, stride=2)
{more}
network n {{
  input image(3, 16, 16)
  stem  core.conv(3, 8)
  body  {body}
  head  core.global_avg_pool -> core.linear(4)
}}
"""


@pytest.mark.parametrize(
    ("more", "body"), [("", "a"), ("", "a -> a"), ("op b = a -> relu", "b"), ("", "identity"), ("op b = a", "identity")]
)
def test_attention_that_changes_its_map_is_refused_wherever_it_is(more: str, body: str) -> None:
    found = genolang.check(ATTENTION.format(more=more, body=body))
    assert {d.code for d in found} == {"G301"} and {d.span.text for d in found if d.span} == {"a"}


def test_everything_that_is_wrong_in_a_pipeline_a_list_or_a_call_is_said() -> None:
    body = "batch_norm(eps=-1) -> dropout(1.5) -> concat(conv(0), conv(3, stride=0))"
    found = genolang.check(NETWORK.format(body=body, definitions=""))
    assert [d.span.text for d in found if d.span] == ["-1", "1.5", "0", "0"]
