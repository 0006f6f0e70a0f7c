"""How answers are written where an alternative by itself would read as something else."""

import pytest
from search.tiny_space import checked_text

from genolang.diagnostics import GenoError, Source
from genolang.search.space import derive, describe_genotype
from genolang.search.writeback import discrete_text, recheck
from genolang.semantics.check import check_source, expand_network

HEAD = "geno 1\nimport std.ops, std.attention\n"


def answer(text, *options, network="s"):
    """The text with the given alternatives, in the order of the sets and their rows, and its network."""
    checked = checked_text(HEAD + text)
    program = expand_network(checked, network, {})
    left = iter(options)
    logits = {
        key: [[float(n == option) for n in range(len(c.options))] for option in [next(left) for _ in c.rows]]
        for key, c in program.choices.items()
    }
    written = discrete_text(checked, program, derive(program, logits))
    recheck(checked, written)
    return written, expand_network(checked_text(written), network, {})


def network(parts, params=""):
    return f"network s{params} {{\n  input image(1, 8, 8)\n  stem conv(3, 4)\n  {parts}\n  head global_avg_pool -> linear(3)\n}}\n"


CHOICE = "choice sized(k=3, wide=2 * k, act=relu) = conv(k) | conv(wide - 1) -> act | se(r=k)\n"


def test_a_parameter_of_a_choice_is_written_as_what_it_stands_for():
    written, found = answer(CHOICE + network("body sized -> sized -> sized"), 0, 1, 2)
    assert "conv(3) -> (conv(2 * 3 - 1) -> relu) -> se(r=3)" in written
    assert found.choices == {}


def test_an_argument_for_a_choices_parameter_is_for_it_and_others_go_to_the_alternatives():
    text = "choice strided(k=3) = sep_conv(k) | conv(k)\n"
    written, _ = answer(text + network("body strided(k=5) -> strided(stride=2, k=1) -> strided"), 0, 1, 0)
    assert "sep_conv(5) -> conv(1, stride=2) -> sep_conv(3)" in written


def test_a_given_parameter_stays_an_expression_of_its_place():
    unit = "op unit(n) = relu -> sized(k=n + 2)\n"
    written, _ = answer(CHOICE + unit + network("body unit(1)"), 1)
    assert "conv(2 * (n + 2) - 1) -> relu" in written


def test_uses_of_a_choice_with_other_arguments_are_one_set():
    program = expand_network(checked_text(HEAD + CHOICE + network("body sized(k=5) -> sized")), None, {})
    assert [len(c.rows) for c in program.choices.values()] == [2]


def test_a_choice_is_no_argument_of_a_choice():
    text = HEAD + "choice a = relu | tanh\nchoice b(f=relu) = conv(3) -> f | conv(3)\n" + network("body b(f=a)")
    assert [d.code for d in check_source(Source("s.geno", text)).diagnostics] == ["G414"]


def test_a_choices_parameter_without_a_value_is_asked_for():
    text = HEAD + "choice b(k) = conv(k) | relu\n" + network("body b")
    assert [d.code for d in check_source(Source("s.geno", text)).diagnostics] == ["G201"]


STEPS = "choice steps = relu -> conv(3) | repeat(2, conv(3)) | (for k in [1, 3] : conv(k))\n"


@pytest.mark.parametrize("option", [0, 1, 2])
@pytest.mark.parametrize(
    "parts",
    [
        "stages steps",
        "stages steps -> relu",
        "stages relu -> steps",
        "stages if 1 < 2 then steps else relu",
        "stages for n in [1, 2] : steps",
    ],
)
def test_an_alternative_of_several_steps_stays_one_stage(parts, option):
    searched = expand_network(checked_text(HEAD + STEPS + network(parts)), None, {})
    written, found = answer(STEPS + network(parts), option)
    assert found.stages == searched.stages, written
    assert {path[0] for path in found.block.leaves} <= {path[0] for path in searched.block.leaves}


def test_a_networks_parameter_stays_one_stage():
    written, found = answer(STEPS + network("stages f", "(f=steps)"), 0)
    assert found.stages == 1 and "f=repeat(1, relu -> conv(3))" in written


BLOCK = "op block = conv(3) -> slot place\n"


def test_a_scheme_has_a_string_per_stage_where_every_stage_has_slots():
    text = BLOCK + network("stages block -> repeat(2, block)").replace("network s", "network base")
    written, _ = answer(text + "network s = base with se(r=2) at place where search\n", 1, 0, 1)
    assert 'where ["1", "01"]' in written


@pytest.mark.parametrize(
    "parts",
    [
        "stages block -> relu -> repeat(2, block)",
        "body block\n  stages block -> block",
        "stages block\n  body block\n  stages block",
    ],
)
def test_a_scheme_is_one_string_where_a_stage_has_no_slot_or_a_slot_no_stage(parts):
    text = BLOCK + network(parts).replace("network s", "network base")
    text += "network s = base with se(r=2) at place where search\n"
    program = expand_network(checked_text(HEAD + text), "s", {})
    places = [place for plugged in program.plugs for place in plugged.open]
    for bits in ("100", "010", "001"):
        of = {key: [int(bit) for at, bit in zip(places, bits, strict=True) if at == key] for key in places}
        written, found = answer(text, *(option for key in program.choices for option in of[key]), network="s")
        assert f'where "{bits}"' in written or f'where ["{bits}"]' in written
        connected = [path for path in found.block.leaves if "place" in path]
        assert len(connected) == 2 and len({path[0] for path in connected}) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"depth": "2"}, 'network s(width=2, kind="plain") = middle(low=1, depth=2)'),
        (
            {"depth": 1, "width": "1 + 1", "bare": True},
            'network s(width=1 + 1, kind="plain") = middle(low=1, depth=1, bare=true)',
        ),
        (
            {"kind": "other", "name": "odd", "depth": "2"},
            'network s(width=2, kind="other") = middle(low=1, name="odd", depth=2)',
        ),
    ],
)
def test_an_answer_of_slots_keeps_what_the_search_was_given(given, said):
    parts = "stages repeat(depth, block)\n  body if bare then relu else identity"
    text = BLOCK + network(parts, '(depth=3, bare=false, name="even")').replace("network s", "network base")
    text += "network middle(low=0) = base(depth=low + 2)\n"
    text += 'network s(width=2, kind="plain") = middle(1) with se(r=width) at place where search\n'
    checked = checked_text(HEAD + text)
    program = expand_network(checked, "s", given)
    logits = {key: [[0.0, 1.0]] * len(c.rows) for key, c in program.choices.items()}
    written = discrete_text(checked, program, derive(program, logits), given=given)
    recheck(checked, written)
    assert said in " ".join(written.split())
    found = expand_network(checked_text(written), "s", {})
    assert (found.stages, found.choices) == (program.stages, {}) and found.stages == int(given["depth"])


def test_an_answer_that_would_be_refused_is_not_written():
    checked = checked_text(HEAD + network("body conv(3)"))
    with pytest.raises(GenoError):
        recheck(checked, "geno 1\nop a = b\n")


def test_a_choice_that_a_cell_is_given_is_one_decision_for_all_its_edges():
    cell = "cell a(p, q, f=relu) {\n  nodes n1, n2\n  edges earlier -> each : f -> tanh\n  return n1 + n2\n}\n"
    text = (
        "choice o = skip | conv(3)\n"
        + cell
        + network("cells 3 of a(f=o), a(f=o | relu) at 1").replace("o | relu", "skip | relu")
    )
    program = expand_network(checked_text(HEAD + text), None, {})
    assert [[place.edge for place in c.rows] for c in program.choices.values()] == [[None], [None]]
    written, _ = answer(text, *([1] * 2))
    assert "cells  3 of a(f=conv(3)), a(f=relu) at 1" in written


def test_an_answer_is_told_as_it_is_written():
    program = expand_network(checked_text(HEAD + CHOICE + network("body sized(k=5) -> sized")), None, {})
    (key,) = program.choices
    genotype = derive(program, {key: [[0.0, 0.0, 9.0], [9.0, 0.0, 0.0]]})
    assert describe_genotype(program, genotype) == {key: ["line 7, column 8 : se(r=5)", "line 7, column 22 : conv(3)"]}


def test_what_only_the_file_of_a_choice_can_see_is_imported_into_the_answer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = {
        "parts/deep": "op deep(k=3) = conv(k) -> tanh\n",
        "parts/near": "import std.attention, deep\nop near = deep(5) -> relu\nop plain = sigmoid\n",
        "choices": "import parts.near, parts.deep as d, std.ops\nchoice act = near | deep_or | relu | sep_conv(3)\nop deep_or = d.deep\n",
    }
    for name, text in files.items():
        path = tmp_path / f"{name}.geno"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"geno 1\n{text}", "utf-8")
    text = "geno 1\nimport choices\n" + network("body act -> act -> act")
    for options in [(0, 1, 2), (3, 3, 0), (2, 2, 2), (1, 2, 1)]:
        checked = check_source(Source("main.geno", text), tmp_path / "main.geno")
        assert checked.ok, [d.message for d in checked.diagnostics]
        program = expand_network(checked, "s", {})
        logits = {key: [[float(n == o) for n in range(4)] for o in options] for key in program.choices}
        written = discrete_text(checked, program, derive(program, logits))
        again = check_source(Source("main.geno", written), tmp_path / "main.geno")
        assert again.ok, written
        assert ("parts.near" in written) == (0 in options)
        assert ("std.ops" in written) == (3 in options)
        assert expand_network(again, "s", {}).choices == {}


def test_an_answer_of_any_space_keeps_what_the_search_was_given():
    text = HEAD + CHOICE + network("body sized(k=5) -> conv(1, width)", "(width=3)")
    checked, given = checked_text(text), {"width": 7}
    program = expand_network(checked, "s", given)
    logits = {key: [[0.0] * len(c.options) for _ in c.rows] for key, c in program.choices.items()}
    written = discrete_text(checked, program, derive(program, logits), given=given)
    recheck(checked, written)
    assert "network s(width=7)" in written
    by_itself, told = (expand_network(checked_text(written), "s", more) for more in ({}, given))
    assert by_itself.params == told.params > expand_network(checked_text(written), "s", {"width": 3}).params
