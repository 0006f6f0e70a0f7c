import re
from dataclasses import fields
from pathlib import Path

import pytest

from genolang.diagnostics import GenoError, Source
from genolang.lang.parser import parse
from genolang.lang.syntax import Section
from genolang.semantics.methods import (
    ALL,
    EAN_TEXT,
    SAMPLED,
    AllSettings,
    EanSettings,
    EnasSettings,
    HeuristicSettings,
    Method,
    evaluations_of,
    measured_schemes,
    with_budget,
)
from genolang.semantics.sections import search_settings
from genolang.semantics.settings import Collapse, SearchSettings

PAGE = (Path(__file__).parents[2] / "docs" / "language.md").read_text("utf-8")


def settings(line: str) -> SearchSettings:
    file, problems = parse(Source("spec", f"geno 1\nsearch {{\n  {line}\n}}\n"))
    assert not problems
    return search_settings([item for item in file.items if isinstance(item, Section)], {})


def read(method: str) -> Method:
    found = settings(f"method {method}")
    return Method(found.method, found.order, found.sampling)


def test_the_presets_differ_where_the_text_and_its_code_do_and_nowhere_else():
    # text, code; as listed in the description of both.
    differences = {
        "preset": ("text", "code"),
        "steps": (1000, 300),  # CIFAR-100; ImageNet
        "samples": (1, 3),  # Algorithm 1 draws one; the launchers 1 + 2
        "accuracy": (1.0, 100.0),  # a share with coefficient 1; percent
        "sparsity": (1.0, 2.0),
        "offset": (0.0, 54.0),
        "bonus_over": ("scheme", "step"),
        "output": ("sigmoid", "softmax"),
        "temperature": (1.0, 5.0),
        "baseline": (0.0, 0.95),
        "replay_weight": (1.0, 0.1),
        "replay_bonus": (True, False),
        "clip": (0.0, 0.1),
    }
    code = EanSettings()
    found = {f.name: (getattr(EAN_TEXT, f.name), getattr(code, f.name)) for f in fields(EanSettings)}
    assert {name: pair for name, pair in found.items() if pair[0] != pair[1]} == differences
    common = {
        "bonus": 1.0,
        "lr": 0.05,
        "inputs": 20,
        "hidden": 50,
        "rnd_hidden": 32,
        "rnd_outputs": 4,
        "buffer": 30,
        "replay_from": 10,
    }
    assert {name: getattr(code, name) for name in common} == common


def test_a_preset_is_a_start_that_arguments_change():
    assert read("ean").sampling == EanSettings() == read('ean(preset="code")').sampling
    assert read("ean(preset=text)").sampling == EAN_TEXT == read("ean(text)").sampling
    changed = read("ean(preset=text, steps=20, baseline=0.9)").sampling
    assert (changed.steps, changed.baseline, changed.samples) == (20, 0.9, 1)


@pytest.mark.parametrize(
    "method",
    [
        "darts(order=2)",
        "ean",
        "ean(preset=text)",
        "ean(preset=text, steps=20, bonus=0.5, replay_bonus=false)",
        "enas(samples=1, tanh=0)",
        "genetic(evaluations=60, mutation=0.125)",
        "random(evaluations=7)",
        "heuristic(every=3, offset=2)",
        "all",
        "all(evaluations=30)",
        "all(methods=[ean(preset=text), darts(order=1), random])",
    ],
)
def test_a_method_is_written_as_it_is_read(method):
    assert str(read(method)) == method
    assert read(str(read(method))) == read(method)


@pytest.mark.parametrize(
    "method, code",
    [
        ("eann", "G504"),
        ("ean(step=3)", "G501"),
        ("ean(preset=paper)", "G503"),
        ("ean(steps=0)", "G503"),
        ("ean(steps=3, steps=4)", "G502"),
        ("darts(steps=3)", "G501"),
        ("all(methods=[all])", "G503"),
        ("all(methods=[ean, ean])", "G502"),
        ("all(methods=[])", "G503"),
        ("all(methods=[eon])", "G504"),
        ("enas(baseline=1)", "G503"),
        ("genetic(crossover=2)", "G503"),
        ("ean(answer=best)", "G503"),
    ],
)
def test_a_method_that_does_not_exist_so_is_refused(method, code):
    with pytest.raises(GenoError) as error:
        read(method)
    assert [d.code for d in error.value.diagnostics] == [code]


def test_all_methods_measure_as_many_schemes_unless_they_search_nothing():
    sampled = [method.sampling for method in ALL if method.sampling is not None]
    assert {evaluations_of(s) for s in sampled if not isinstance(s, HeuristicSettings)} == {900}
    assert {evaluations_of(s) for s in sampled if isinstance(s, HeuristicSettings)} == {1}
    for sampling in (made() for made in SAMPLED.values() if made is not HeuristicSettings):
        assert evaluations_of(with_budget(sampling, 60)) == 60
    assert evaluations_of(with_budget(EnasSettings(samples=4), 61)) == 60


def test_the_comparison_is_that_of_the_paper_with_random_schemes():
    assert [str(method) for method in read("all").sampling.methods] == [
        "ean",
        "darts(order=1)",
        "genetic",
        "enas",
        "random",
        "heuristic",
        "heuristic(offset=1)",
        "heuristic(every=3)",
        "heuristic(every=3, offset=1)",
    ]
    assert read("all").sampling == AllSettings(900, ALL)


def table(header: str) -> list[list[str]]:
    start = PAGE.index(header)
    lines = PAGE[start : PAGE.index("\n\n", start)].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_reference_lists_every_method_with_its_defaults():
    shown = dict(re.fullmatch(r"`(\w+)\((.*)\)`", row[0]).groups() for row in table("| method | |"))
    for name, made in SAMPLED.items():
        default = made()
        assert shown[name] == ", ".join(
            f"{f.name}={value:g}"
            if isinstance(value := getattr(default, f.name), float)
            else f"{f.name}={str(value).lower()}"
            for f in fields(made)
        )
    assert shown["all"].startswith("evaluations=900, methods=") and shown["darts"] == "order=first"


def test_the_reference_lists_where_the_presets_differ():
    shown = {
        row[0].strip("`"): (row[1].strip("`"), row[2].strip("`")) for row in table("| `ean` | `code` | `text` | |")
    }
    assert shown == {
        f.name: tuple(f"{v:g}" if isinstance(v, float) else str(v).lower() for v in pair)
        for f in fields(EanSettings)
        if (pair := (getattr(EanSettings(), f.name), getattr(EAN_TEXT, f.name)))
        and pair[0] != pair[1]
        and f.name != "preset"
    }


@pytest.mark.parametrize(
    "text, batches", [("stored", 0), ("fresh", 4), ("fresh(batches=4)", 4), ("fresh(1)", 1), ("fresh(1000)", 1000)]
)
def test_statistics_are_stored_or_made_from_so_many_batches(text, batches):
    assert settings(f"statistics {text}").statistics == batches
    assert settings("").statistics == 0


@pytest.mark.parametrize(
    "text, code",
    [
        ("fresh(0)", "G503"),
        ("fresh(batches=1001)", "G503"),
        ("fresh(1.5)", "G503"),
        ("fresh(epochs=2)", "G501"),
        ("stored(4)", "G501"),
        ("frsh", "G504"),
        ("4", "G503"),
        ("fresh(1, batches=2)", "G502"),
    ],
)
def test_other_statistics_are_refused(text, code):
    with pytest.raises(GenoError) as error:
        settings(f"statistics {text}")
    assert [d.code for d in error.value.diagnostics] == [code]


@pytest.mark.parametrize(
    "method, measured",
    [
        ("darts", 1),
        ("ean", 900),
        ("random(evaluations=7)", 7),
        ("heuristic", 1),
        ("all(evaluations=90)", 5 * 90 - 90 + 1 + 4),
        ("all(evaluations=10, methods=[ean, darts])", 9 + 1),
    ],
)
def test_a_search_measures_so_many_schemes(method, measured):
    assert measured_schemes(read(method).sampling) == measured


@pytest.mark.parametrize(
    "text, expected",
    [
        ("warn", Collapse()),
        ("stop", Collapse(skips=2)),
        ("stop(skips=3)", Collapse(skips=3)),
        ("stop(eigenvalue=0.75)", Collapse(eigenvalue=0.75)),
        ("regularise", Collapse(dropout=0.4)),
        ("stop(eigenvalue=0.5, window=3)", Collapse(eigenvalue=0.5, window=3)),
        ("regularise(dropout=0.7)", Collapse(dropout=0.7)),
    ],
)
def test_a_collapse_is_met_as_told(text, expected):
    assert settings(f"collapse {text}").collapse == expected
    assert settings("").collapse == Collapse()


@pytest.mark.parametrize(
    "text, code",
    [
        ("stop(skips=0)", "G503"),
        ("stop(window=3)", "G503"),
        ("stop(skips=2, eigenvalue=0.75)", "G503"),
        ("stop(eigenvalue=1.5)", "G503"),
        ("regularise(dropout=1)", "G503"),
        ("regularise(skips=2)", "G501"),
        ("warn(2)", "G501"),
        ("stopp", "G504"),
    ],
)
def test_other_answers_to_a_collapse_are_refused(text, code):
    with pytest.raises(GenoError) as error:
        settings(f"collapse {text}")
    assert [d.code for d in error.value.diagnostics] == [code]


@pytest.mark.parametrize(
    "text, expected",
    [("[]", ()), ("cheapest", ("cheapest",)), ("[dearest, every_second]", ("dearest", "every_second"))],
)
def test_what_an_answer_is_compared_with(text, expected):
    assert settings(f"compare {text}").compare == expected


@pytest.mark.parametrize("text, code", [("[cheap]", "G503"), ("[dearest, dearest]", "G502"), ("3", "G503")])
def test_nothing_else_can_be_compared(text, code):
    with pytest.raises(GenoError) as error:
        settings(f"compare {text}")
    assert [d.code for d in error.value.diagnostics] == [code]
