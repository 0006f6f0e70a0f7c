"""Searches whose decisions stand where a place in the text alone does not tell them apart."""

import json
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from click.testing import CliRunner
from search.tiny_space import checked_text, small_digits

from genolang.api import load
from genolang.cli.answers import write_answer
from genolang.cli.main import main
from genolang.diagnostics import GenoError
from genolang.search.reading import verify_space
from genolang.search.requirements import Requirements
from genolang.search.space import derive, softmax
from genolang.search.writeback import discrete_text, recheck
from genolang.semantics.check import expand_network
from genolang.semantics.space import count_genotypes

NETWORK = """
network s {
  input image(1, 8, 8)
  stem  conv(3, 4) -> batch_norm
  cells 1 of a
  head  global_avg_pool -> linear(3)
}
"""
# Edges in their order: p -> n1, q -> n1, p -> n2, q -> n2, n1 -> n2.
CELL = (
    """geno 1
import std.ops

choice operation = skip | sep_conv(3) | relu
%s
cell a(p, q%s) {
  nodes n1, n2
  edges earlier -> each : %s
  return concat(n1, n2)
}
"""
    + NETWORK
)
ENDS = [("p", "n1"), ("q", "n1"), ("p", "n2"), ("q", "n2"), ("n1", "n2")]
OPTIONS = ["skip", "sep_conv(3)", "relu"]


@dataclass
class Case:
    """A cell whose edges hold `edge`, and what an edge reads when so many decisions took so much."""

    edge: str
    written: str
    definitions: str = ""
    parameters: str = ""
    keep: str = ""

    @property
    def text(self) -> str:
        text = CELL % (self.definitions, self.parameters, self.edge)
        return text.replace("  return", f"  {self.keep}\n  return") if self.keep else text


CASES = {
    "plain": Case("operation", "{0}"),
    "pipeline": Case("operation -> relu", "{0} -> relu"),
    "argument": Case("wrap(operation)", "wrap({0})", "op wrap(f) = f -> relu"),
    "argument by name": Case("wrap(f=operation)", "wrap(f={0})", "op wrap(f) = f -> relu"),
    "argument of an argument": Case("wrap(wrap(operation))", "wrap(wrap({0}))", "op wrap(f) = f -> relu"),
    "two arguments": Case("two(operation, operation)", "two({0}, {1})", "op two(f, g) = f -> g"),
    "argument on the way": Case(
        "relu -> masked(operation) -> relu", "relu -> masked({0}) -> relu", "attention masked(by) = x * (x -> by)"
    ),
    "twice": Case("operation -> relu -> operation", "{0} -> relu -> {1}"),
    "twice in a sum": Case("operation + operation", "{0} + {1}"),
    "parameter of the cell": Case("f", "{0}", parameters=", f=operation"),
    "parameter and choice": Case("f -> relu -> operation", "{0} -> relu -> {1}", parameters=", f=operation"),
    "in place": Case("(skip | sep_conv(3) | relu) -> relu", "{0} -> relu"),
    "in place as an argument": Case("wrap(skip | sep_conv(3) | relu)", "wrap({0})", "op wrap(f) = f -> relu"),
}


def logits(program, numbers):
    """Logits under which decisions, in the order of their edges, take these alternatives in turn."""
    found = {key: [[0.0] * len(c.options) for _ in c.rows] for key, c in program.choices.items()}
    places = [
        (ENDS.index(place.edge), place.span.start, key, row)
        for key, choice in program.choices.items()
        for row, place in enumerate(choice.rows)
    ]
    for (_, _, key, row), number in zip(sorted(places), numbers, strict=True):
        found[key][row][number] = 9.0
    return found


def edges_of(text):
    lines = text[text.index("cell a") : text.index("return")].split("\n")
    return [" ".join(line.split()) for line in lines if "->" in line and ":" in line]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("shift", [0, 1])
def test_every_edge_is_written_with_its_own_answers(case, shift):
    checked = checked_text(case.text)
    program = expand_network(checked, None, {})
    each = 2 if "{1}" in case.written else 1
    numbers = [(2 * n + shift + n // 4) % 3 for n in range(5 * each)]
    text = discrete_text(checked, program, derive(program, logits(program, numbers)))
    recheck(checked, text)
    options = [OPTIONS[n] for n in numbers]
    assert edges_of(text) == [
        f"{start} -> {end} : " + case.written.format(*options[each * edge : each * edge + each])
        for edge, (start, end) in enumerate(ENDS)
    ]
    assert expand_network(checked_text(text), None, {}).choices == {}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_decision_counts(case):
    program = expand_network(checked_text(case.text), None, {})
    assert count_genotypes(program) == 3 ** (10 if "{1}" in case.written else 5)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=name)
        for name, case in CASES.items()
        if "operation" in case.edge and "parameter" not in name
    ],
)
def test_edges_are_kept_by_all_decisions_of_the_choice(case):
    kept = Case(case.edge, case.written, case.definitions, keep="keep 1 edges per node by operation")
    checked = checked_text(kept.text)
    program = expand_network(checked, None, {})
    each = 2 if "{1}" in case.written else 1
    assert count_genotypes(program) == (2 * 3**each) * (3 * 3**each)
    found = logits(program, [0] * (5 * each))
    # The edges q -> n1 and p -> n2 have the one decision that is surest.
    places = sorted(
        (ENDS.index(place.edge), place.span.start, key, row)
        for key, choice in program.choices.items()
        for row, place in enumerate(choice.rows)
    )
    for edge, decision in ((1, 0), (2, each - 1)):
        _, _, key, row = places[each * edge + decision]
        found[key][row][1] = 99.0
    text = discrete_text(checked, program, derive(program, found))
    assert [line.split(" : ")[0] for line in edges_of(text)] == ["q -> n1", "p -> n2"]


# From the text to the written file, by the command.

SECTION = """
search {
  epochs       1
  batch        8
  init         3
  random       %d
  score_epochs 1
}
"""
LEFT_OUT = """geno 1
import std.ops

# For maps of four channels alone.
attention own = x * (x -> conv(3, 4) -> sigmoid)

choice gate = identity | own

network s {
  input image(1, 8, 8)
  stem  conv(3, 4) -> batch_norm
  body  gate -> conv(3) -> relu
  head  global_avg_pool -> linear(3)
}
"""
SEARCHING = """geno 1
import std.ops

choice operation = skip | sep_conv(3)

network s {
  input image(1, 8, 8)
  stem  conv(3, 4) -> batch_norm
  body  if searching then operation -> relu else operation
  head  global_avg_pool -> linear(3)
}
"""
REQUIRED = """geno 1
op unit(out, k=3, e=3) {
  y = x -> conv(1, e * C) -> batch_norm -> relu -> conv(k, groups=e * C) -> batch_norm -> relu -> conv(1, out)
  return x + y
}

network s(classes=3) {
  input   image(1, 8, 8)
  stem    conv(3, 4) -> batch_norm -> relu
  stages  unit(4, 3, 3) | unit(4, 3, 6) | unit(4, 5, 3) | identity
  stages  unit(4, 3, 3) | unit(4, 3, 6) | unit(4, 5, 3) | identity
  require searching or %s
  head    global_avg_pool -> linear(classes)
}
"""


@pytest.fixture
def search(tmp_path):
    data = small_digits(40)
    np.savez(
        tmp_path / "data.npz",
        x_train=data.train_images.numpy(),
        y_train=data.train_labels.numpy(),
        x_test=data.test_images.numpy(),
        y_test=data.test_labels.numpy(),
    )

    def run(text, *more, code=0, random=0):
        spec = tmp_path / "spec.geno"
        spec.write_text(text + SECTION % random)
        call = ["search", str(spec), "--data", f"npz:{tmp_path / 'data.npz'}", "--threads", "1", "--json"]
        result = CliRunner().invoke(main, [*call, *more])
        assert result.exit_code == code, result.output
        return result.output if code else json.loads(result.stdout)

    return run


@pytest.mark.parametrize("name", ["argument", "twice", "parameter of the cell"])
def test_a_search_writes_what_it_reports(name, search, tmp_path):
    case = CASES[name]
    found = search(case.text, "--out", str(tmp_path / "run"))
    written = load(found["found"])
    assert written.network().program.choices == {}
    text = (tmp_path / "run" / "found.geno").read_text()
    chosen = [line.split(" : ")[1].split(" #")[0].strip() for line in edges_of(text)]
    ways = {case.written.format(*options): options for options in product(OPTIONS, repeat=2)}
    assert len(chosen) == 5 and set(chosen) <= set(ways)
    # With logits of deviation 3 five edges agree once in 81 times; under this seed they do not.
    for first_or_second in range(2 if "{1}" in case.written else 1):
        assert len({ways[edge][first_or_second] for edge in chosen}) > 1


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_an_answer_may_leave_out_a_module_for_certain_maps(seed, search, tmp_path):
    found = search(LEFT_OUT, "--seed", str(seed), "--out", str(tmp_path / "run"), random=2)
    assert load(found["found"]).network().program.choices == {}


def test_a_choice_in_a_branch_on_searching_is_refused_before_the_search(search):
    """The answer would read the other branch, whose choice nobody made."""
    said = json.loads(search(SEARCHING, code=1))["diagnostics"]
    assert [(d["code"], d["line"]) for d in said] == [("G421", 9)]


def test_an_answer_that_a_requirement_forbids_is_not_lost(search, tmp_path):
    """Some answers are small enough: one of them is found."""
    found = search(REQUIRED % "params < 300", "--out", str(tmp_path / "run"))
    assert load(found["found"]).network().program.params < 300


@pytest.mark.parametrize(
    ("bound", "note"), [("params < 30", "params is 59"), ("macs > 1M", "the largest"), ("1M < macs", "the largest")]
)
def test_a_requirement_that_no_answer_can_meet_is_said_before_the_search(bound, note, search, tmp_path):
    said = search(REQUIRED % bound, "--out", str(tmp_path / "run"), code=1)
    (found,) = json.loads(said)["diagnostics"]
    assert (found["code"], found["line"]) == ("G212", 12) and any(note in one for one in found["notes"])
    assert not list((tmp_path / "run").glob("journal*"))


@pytest.mark.parametrize(
    "bound",
    ["params < 100", "params < 300", "params < 500", "700 > params", "params > 100", "params >= 300", "500 <= params"],
)
def test_the_strongest_answer_within_a_requirement_is_found(bound):
    checked = checked_text(REQUIRED % bound)
    program = expand_network(checked, None, {})
    requirements = Requirements(checked, program, {})
    requirements.check()
    for seed in range(6):
        rows = np.random.default_rng(seed).normal(size=(2, 4)).tolist()
        every = [(first, second) for first in range(4) for second in range(4)]
        keys = list(program.choices)
        table = dict(zip(keys, ([row] for row in rows), strict=True)) if len(keys) == 2 else {keys[0]: rows}
        kept = [pair for pair in every if not requirements.broken(derive(program, one_hot(program, pair)))]
        best = max(kept, key=lambda pair: softmax(rows[0])[pair[0]] * softmax(rows[1])[pair[1]])
        assert list(requirements.strongest(table).options.values()) == list(best)


def one_hot(program, pair):
    rows = iter([[9.0 * (option == chosen) for option in range(4)] for chosen in pair])
    return {key: [next(rows) for _ in choice.rows] for key, choice in program.choices.items()}


def test_an_answer_that_does_not_check_is_kept_beside_with_the_reason(tmp_path):
    checked = checked_text(REQUIRED % "params < 100")
    program = expand_network(checked, None, {})
    genotype = derive(program, one_hot(program, (0, 0)))
    with pytest.raises(GenoError, match="this does not hold"):
        write_answer(tmp_path / "found.geno", checked, program, genotype, {}, ["found by hand"])
    kept = (tmp_path / "found.rejected.geno").read_text()
    assert kept.startswith("geno 1\n# rejected: G212") and "stages unit(4, 3, 3)" in kept
    assert not (tmp_path / "found.geno").exists()


CAPTURED = {
    "a parameter": ("choice act = relu | tanh\nop unit(relu=tanh) = conv(3) -> act -> relu", "unit"),
    "an operation by name": (
        "choice act = relu | tanh\nop unit {\n  relu = silu\n  return x -> act -> relu\n}",
        "unit",
    ),
}


@pytest.mark.parametrize("name", CAPTURED)
def test_an_alternative_that_would_be_read_as_something_else_is_refused_before_the_search(name, search, tmp_path):
    definitions, used = CAPTURED[name]
    text = f"geno 1\nimport std.ops\n{definitions}\n" + NETWORK.replace("cells 1 of a", f"body  {used}")
    (said,) = json.loads(search(text, "--out", str(tmp_path / "run"), code=1))["diagnostics"]
    assert said["code"] == "G423" and not (tmp_path / "run").exists()


@pytest.mark.parametrize("spec", ["darts/search", "ean/clutter", "apnas/clutter", "quickstart"])
def test_every_alternative_of_a_shipped_search_can_be_written(spec):
    loaded = load(spec)
    name = {"ean/clutter": "se_search"}.get(spec)
    verify_space(loaded.checked, expand_network(loaded.checked, name, {}), {})


def test_an_answer_between_two_bounds_is_looked_for():
    checked = checked_text(REQUIRED % "params > 250 and params < 400")
    program = expand_network(checked, None, {})
    requirements = Requirements(checked, program, {})
    requirements.check()
    for seed in range(6):
        rows = np.random.default_rng(seed).normal(size=(2, 4)).tolist()
        (key,) = program.choices
        table = {key: rows}
        assert not requirements.broken(requirements.strongest(table))
