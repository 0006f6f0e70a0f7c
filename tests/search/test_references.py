"""What an answer is compared with: answers that take no search, and how the verdict is found."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from search.slot_space import CHOICES, SLOTS, settings_for
from search.tiny_space import COMMAND, CPU, SMALL, TEXT, checked_text, small_digits

from genolang.diagnostics import fail
from genolang.search import job
from genolang.search.references import Reference, describe, references, spread, verdict, verdicts
from genolang.search.schemes import SchemeSpace
from genolang.search.search import run_search
from genolang.search.space import random_genotype, schemes
from genolang.search.writeback import discrete_program
from genolang.semantics.check import expand_network
from genolang.semantics.settings import SearchSettings
from genolang.train.phase import Phase
from genolang.train.reporter import SilentReporter
from genolang.train.run_folder import RunFolder, read_journal

ALL = SearchSettings().compare
SPACES = {"slots": (SLOTS, "slots"), "choices": (CHOICES, "choices"), "cells": (TEXT, None), "small": (SMALL, None)}


def space_of(name):
    text, network = SPACES[name]
    return SchemeSpace(expand_network(checked_text(text), network, {}))


def test_in_a_space_of_slots_they_are_none_all_and_every_second():
    space = space_of("slots")
    found = {name: "".join(schemes(space.program, g).values()) for name, g in references(space, ALL).items()}
    assert found == {"cheapest": "000000", "dearest": "111111", "every_second": "101010"}
    assert [describe(name, space) for name in found] == [
        "no slot connected",
        "every slot connected",
        "every second slot connected",
    ]


@pytest.mark.parametrize("name", ["choices", "cells", "small"])
def test_elsewhere_they_are_the_cheapest_and_the_dearest_of_all_answers(name):
    space, text = space_of(name), SPACES[name][0]
    found = references(space, ALL)
    assert set(found) == {"cheapest", "dearest"}
    macs = {key: discrete_program(checked_text(text), space.program, g, {}).block.macs[0] for key, g in found.items()}
    generator = random.Random(1)
    others = [
        discrete_program(checked_text(text), space.program, random_genotype(space.program, generator), {})
        for _ in range(30)
    ]
    assert macs["cheapest"] <= min(p.block.macs[0] for p in others)
    assert macs["dearest"] >= max(p.block.macs[0] for p in others)
    assert macs["cheapest"] < macs["dearest"]


def test_only_those_asked_for():
    assert list(references(space_of("slots"), ("every_second",))) == ["every_second"]
    assert references(space_of("slots"), ()) == {}


def test_the_spread_is_that_of_the_random_answers_or_of_the_images_whichever_is_more():
    assert spread(0.5, [0.1, 0.5, 0.9], 10_000) == pytest.approx(0.4)
    assert spread(0.5, [0.5, 0.5, 0.5], 100) == spread(0.5, [0.1], 100) == spread(0.5, [], 100) == pytest.approx(0.05)
    assert spread(1.0, [], 100) == 0


@given(*[st.floats(0, 1)] * 2, st.floats(0, 0.5))
def test_an_answer_beats_another_by_more_than_the_spread_or_does_not(score, other, apart):
    found = verdict(score, "x", "something else", other, apart)
    assert found.beaten == (score - other > apart) and found.ahead == score - other
    assert found.beaten == found.sentence.startswith("The answer beats something else by more than the spread")
    assert ("which is better" in found.sentence) == (score < other)


def test_there_is_a_verdict_for_each_and_for_the_mean_of_the_random_ones():
    rival = Reference("cheapest", "no slot connected", 0.5, 1, 1)
    apart, found = verdicts(0.9, [rival], [0.7, 0.8], 100)
    assert [(one.name, one.beaten) for one in found] == [("cheapest", True), ("random", True)]
    assert apart == pytest.approx(0.0707, abs=1e-4) and found[1].ahead == pytest.approx(0.15)
    assert "the random answer by" in verdicts(0.9, [], [0.1], 100)[1][0].sentence
    assert verdicts(0.9, [], [], 100)[1] == ()


def searched(folder=None, **changes):
    settings = replace(settings_for("heuristic"), **{"compare": ALL, **changes})
    return run_search(checked_text(SLOTS), "slots", {}, settings, small_digits(), Phase(3, CPU, folder))


def test_a_search_scores_them_as_it_scores_its_answer(tmp_path):
    with RunFolder.create(tmp_path, "", COMMAND) as folder:
        found = searched(folder)
    entries = {e["of"]: e for e in read_journal(tmp_path) if e["phase"] == "results"}
    assert [one.name for one in found.references] == list(ALL)
    for one in found.references:
        assert entries[f"score-reference-{one.name}"]["score"] == one.score
        epochs = [e for e in read_journal(tmp_path) if e["phase"] == f"score-reference-{one.name}"]
        assert len(epochs) == 1 and epochs[-1]["val_accuracy"] == one.score
    assert [one.name for one in found.verdicts] == [*ALL, "random"]
    assert found.references[0].params < found.references[2].params <= found.references[1].params


def test_an_answer_that_is_one_of_them_is_trained_once(tmp_path):
    settings = settings_for("heuristic")
    with RunFolder.create(tmp_path, "", COMMAND) as folder:
        found = searched(folder, sampling=replace(settings.sampling, every=2, offset=0), random=0)
    phases = {e["phase"] for e in read_journal(tmp_path)}
    assert "score-reference-dearest" in phases and "score-reference-every_second" not in phases
    assert found.references[2].score == found.score
    assert found.verdicts[2].sentence.startswith("The answer does not beat every second slot connected: both")


def test_one_that_cannot_be_built_is_left_out_with_a_reason(monkeypatch):
    said = []

    class Heard(SilentReporter):
        def message(self, text):
            said.append(text)

    whole = job.scored_program

    def refuse(checked, program, genotype, *rest):
        if "".join(schemes(program, genotype).values()) == "111111":
            raise fail("G505", "too large")
        return whole(checked, program, genotype, *rest)

    monkeypatch.setattr(job, "scored_program", refuse)
    settings = replace(settings_for("heuristic"), compare=ALL, random=0)
    found = run_search(checked_text(SLOTS), "slots", {}, settings, small_digits(), Phase(3, CPU, reporter=Heard()))
    assert [one.name for one in found.references] == ["cheapest", "every_second"]
    assert "every slot connected is left out of the comparison: too large" in said
