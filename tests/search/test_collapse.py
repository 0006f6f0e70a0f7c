"""Searches that collapse: what says so, and what keeps them from it, on a space that is built to collapse."""

import math
from dataclasses import replace

import pytest
import torch
from search.slot_space import SLOTS, settings_for
from search.tiny_space import COMMAND, CPU, SETTINGS, TEXT, StopAfter, checked_text, program_of, small_digits

from genolang.api import load
from genolang.compiler import driver
from genolang.diagnostics import GenoError
from genolang.search.collapse import dominant_eigenvalue, dropout_at, grown, skip_mask
from genolang.search.health import at_chance, collapsed, skips, unmoved
from genolang.search.requirements import Requirements
from genolang.search.search import run_search
from genolang.search.space import derive
from genolang.search.strategies import STRATEGIES
from genolang.semantics.branches import branches
from genolang.semantics.check import expand_network
from genolang.semantics.settings import Collapse, OptimizerSettings, Schedule, SearchSettings
from genolang.train.phase import Phase
from genolang.train.run_folder import RunFolder, read_journal

# What has weights loses where things are, so that skips win.
COLLAPSING = """geno 1
import std.ops

op blurred = x -> global_avg_pool -> conv(1) -> batch_norm -> resize(like=x)

choice operation = skip | blurred

cell normal(prev2, prev1, channels=6) {
  inputs s0 = prev2, s1 = prev1
  nodes  n1, n2, n3
  edges  earlier -> each : operation
  keep   2 edges per node by operation
  return n3
}

network falling(classes=3) {
  input  image(1, 8, 8)
  stem   conv(3, 6) -> batch_norm -> relu
  cells  2 of normal
  head   conv(3, 6, stride=2) -> batch_norm -> relu -> global_avg_pool -> linear(classes)
}

search { method darts }
"""
FALLING = replace(
    SETTINGS,
    epochs=8,
    batch=16,
    seeds=1,
    random=0,
    augment=(),
    init=0.0,
    choices_start=2,
    weights=OptimizerSettings(lr=Schedule("constant", 0.1), decay=0.0, clip=5.0),
    choices=OptimizerSettings("adam", Schedule("constant", 0.1), betas=(0.5, 0.999)),
)
PROGRAM = expand_network(checked_text(COLLAPSING), None, {})
KNOWN = branches(PROGRAM)
STOPPING = [Collapse(skips=2), Collapse(eigenvalue=0.75, window=2)]
REMEDIES = [*STOPPING, Collapse(dropout=0.9)]


def module_of():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return driver.to_module(PROGRAM)


def fall(collapse, run=None, epochs=8, count=320, derives=None, **options):
    settings = replace(FALLING, collapse=collapse, epochs=epochs)
    return STRATEGIES["darts"](
        module_of(), settings, small_digits(count), Phase(7, CPU, run, "search", **options), PROGRAM, derives=derives
    )


def skipped(logits):
    return sum(skips(PROGRAM, derive(PROGRAM, logits), KNOWN).values())


@pytest.fixture(scope="module")
def warned():
    return fall(Collapse())


@pytest.fixture(scope="module", params=REMEDIES, ids=["skips", "eigenvalue", "dropout"])
def remedied(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("remedied") / "run"
    with RunFolder.create(folder, "", COMMAND) as run:
        found = fall(request.param, run)
    return request.param, found, [entry for entry in read_journal(folder) if entry["phase"] == "search"]


def test_a_search_that_collapses_says_so_and_what_to_change(warned):
    assert skipped(warned.logits) == 6 and warned.stopped is None and len(warned.history) == 8
    (sign,) = collapsed(PROGRAM, derive(PROGRAM, warned.logits))
    assert sign.kind == "collapse" and "`skip`, which has no weights, fills 6 of the 6 edges of `normal`" in sign.text
    assert "`collapse stop`" in sign.text and "`choices_start`" in sign.text


def test_every_remedy_keeps_the_space_that_collapses_from_it(warned, remedied):
    _, found, _ = remedied
    assert skipped(found.logits) < skipped(warned.logits)
    assert collapsed(PROGRAM, derive(PROGRAM, found.logits)) == []


def test_a_search_stops_in_the_epoch_that_its_policy_says_and_in_none_before(remedied):
    collapse, found, journal = remedied
    if collapse.dropout:
        assert found.stopped is None and len(found.history) == 8
        return
    assert found.stopped is not None and FALLING.choices_start < len(found.history) == len(journal)
    if collapse.skips:
        counts = [skipped(entry["logits"]) for entry in journal[FALLING.choices_start :]]
        assert counts[-1] >= 2 and all(count < 2 for count in counts[:-1])
        assert found.logits == journal[-1]["logits"]
        assert "`normal` have come to a skip, and 2 are too many" in found.stopped
    else:
        # The answer is from before the eigenvalue grew.
        assert found.logits == journal[-1 - collapse.window]["logits"] != journal[-1]["logits"]
        assert "eigenvalue has grown" in found.stopped and "2 epochs before" in found.stopped


@pytest.mark.parametrize("collapse", REMEDIES, ids=["skips", "eigenvalue", "dropout"])
def test_a_search_with_a_remedy_that_was_stopped_anywhere_goes_on_to_the_same_end(collapse, tmp_path):
    def timeless(found):
        return replace(found, history=tuple(replace(record, seconds=0.0) for record in found.history))

    expected = timeless(fall(collapse, count=64, epochs=5))
    for calls in (3, 7, 13):
        folder = tmp_path / str(calls)
        with RunFolder.create(folder, "", COMMAND) as run, pytest.raises(GenoError):
            fall(collapse, run, count=64, epochs=5, reporter=StopAfter(calls))
        with RunFolder.resume(folder) as run:
            assert timeless(fall(collapse, run, count=64, epochs=5, resume=True)) == expected
            assert timeless(fall(collapse, run, count=64, epochs=5, resume=True)) == expected


def test_skips_are_what_hands_on_its_input_and_cells_that_stride_do_not_count():
    assert {key: mask.tolist() for key, mask in skip_mask(PROGRAM, KNOWN).items()} == {
        "normal.operation": [[True, False]] * 9
    }
    program = program_of(TEXT)
    options = program.choices["normal.operation"].options
    for found in branches(program).values():
        assert [option.text for option, branch in zip(options, found, strict=True) if branch.skip] == ["skip"]
        assert [branch.params > 0 for branch in found] == [False, False, False, True]
    strided = load("quickstart").network().program
    genotype = derive(
        strided, {key: [[0.0] * len(choice.options) for _ in choice.rows] for key, choice in strided.choices.items()}
    )
    # Of equal alternatives the first that is no zero: `skip`, everywhere.
    assert skips(strided, genotype, branches(strided)) == {"normal": 6}


def test_the_slots_of_a_stage_have_no_skips_to_drop():
    program = expand_network(checked_text(SLOTS), "slots", {})
    assert skip_mask(program, branches(program)) == {}


def test_skips_are_dropped_in_training_alone_and_keep_their_mean():
    module = module_of()
    choices = module.choices
    choices["normal.operation"] = torch.randn(9, 2, generator=torch.Generator().manual_seed(1))
    usual = torch.stack(choices.weights()["normal.operation"]).view(9, 2)
    choices.drop(skip_mask(PROGRAM, KNOWN))
    choices.dropped.fill_(0.4)
    assert torch.equal(torch.stack(choices.weights()["normal.operation"]).view(9, 2), usual)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        drawn = torch.stack([torch.stack(choices.weights(True)["normal.operation"]).view(9, 2) for _ in range(4000)])
    assert torch.equal(drawn[:, :, 1], usual[:, 1].expand(4000, 9))
    assert {round(share, 4) for share in (drawn[:, 0, 0] / usual[0, 0]).tolist()} == {0.0, 1.6667}
    torch.testing.assert_close(drawn.mean(0), usual, rtol=0.06, atol=0)
    # Gradients reach the logits through what is kept.
    torch.stack(choices.weights(True)["normal.operation"])[0].backward()
    assert choices["normal.operation"].grad is not None


def test_the_probability_of_dropping_falls_as_in_the_public_code():
    told = Collapse(dropout=0.4)
    assert [dropout_at(told, epoch, 10, 25) for epoch in (0, 9)] == [
        pytest.approx(0.4 * 24 / 25),
        pytest.approx(0.4 * 15 / 25),
    ]
    assert [dropout_at(told, epoch, 10, 25) for epoch in (10, 15)] == [0.4, pytest.approx(0.4 * math.exp(-1))]


@pytest.mark.parametrize(
    "values, expected",
    [
        ([1.0, 1.0, 1.0, 1.0], False),
        ([1.0, 1.0], False),
        ([1.0, 1.0, 2.0], True),
        ([1.0, 1.0, 1.2, 1.2], False),
        ([1.0, 1.0, 1.4, 1.4], True),
        ([4.0, 2.0, 1.0, 1.0], False),
        ([0.0, 0.0, 0.0, 0.0], False),
    ],
)
def test_an_eigenvalue_has_grown_by_its_averages_over_a_window(values, expected):
    assert grown(Collapse(eigenvalue=0.75, window=2), values) is expected


def test_the_dominant_eigenvalue_is_that_of_the_hessian_and_nothing_is_moved():
    generator = torch.Generator().manual_seed(4)
    base = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    axes, _ = torch.linalg.qr(base)
    hessian = axes @ torch.diag(torch.tensor([-9.0, 3.0, 2.0, 1.0, 0.5, 0.1], dtype=torch.float64)) @ axes.T
    logits = [torch.randn(2, 2, generator=generator).double(), torch.randn(2, generator=generator).double()]
    before = [tensor.clone() for tensor in logits]

    def gradient():
        flat = hessian @ torch.cat([tensor.flatten() for tensor in logits])
        return flat[:4].view(2, 2), flat[4:]

    assert dominant_eigenvalue(gradient, logits, generator) == pytest.approx(9.0, rel=1e-6)
    assert all(torch.equal(one, other) for one, other in zip(logits, before, strict=True))
    assert dominant_eigenvalue(lambda: [torch.zeros_like(t) for t in logits], logits, generator) == 0.0


def test_looking_for_the_eigenvalue_changes_nothing_else():
    never = fall(Collapse(eigenvalue=1e-9, window=1), count=64, epochs=4)
    usual = fall(Collapse(), count=64, epochs=4)
    assert never.logits == usual.logits and never.val_accuracy == usual.val_accuracy


@pytest.mark.parametrize(
    "shares, signs", [({"a": 1.0, "b": 0.5}, ["a"]), ({"a": 0.99}, ["a"]), ({"a": 0.989}, []), ({}, [])]
)
def test_choices_that_did_not_move_are_told(shares, signs):
    found = unmoved(SearchSettings(), shares)
    assert [sign.text.split("`")[1] for sign in found] == signs
    assert all(sign.kind == "unmoved" and "`choices_start`" in sign.text for sign in found)


def test_a_controller_that_learns_nothing_is_told_and_one_that_does_is_not():
    for name in ("ean", "enas"):
        settings = settings_for(name)
        still, fast = (
            replace(settings, sampling=replace(settings.sampling, lr=lr, steps=steps))
            for lr, steps in ((1e-9, 2), (0.5, 20))
        )
        (sign,) = [sign for sign in searched(still).signs if sign.kind == "unmoved"]
        assert "the controller did not move" in sign.text and "`temperature`" in sign.text
        assert not [sign for sign in searched(fast).signs if sign.kind == "unmoved"]
    assert not [sign for sign in searched(settings_for("genetic")).signs if sign.kind == "unmoved"]


def searched(settings):
    return run_search(checked_text(SLOTS), "slots", {}, settings, small_digits(), Phase(3, CPU))


@pytest.mark.parametrize(
    "score, inside, expected", [(0.9, 0.9, 0), (0.6, 0.9, 1), (0.9, 0.55, 1), (0.5, 0.5, 2), (0.71, 0.71, 0)]
)
def test_scores_at_chance_are_told(score, inside, expected):
    # Two classes of equal size, a hundred images: two deviations are 0.1.
    labels = torch.tensor([0, 1] * 50)
    found = at_chance(SearchSettings(), score, inside, labels)
    assert len(found) == expected and all(sign.kind == "chance" for sign in found)
    assert any("fresh(batches=4)" in sign.text for sign in found) == (inside <= 0.6)
    assert not any("fresh" in sign.text for sign in at_chance(SearchSettings(statistics=2), score, inside, labels))


def test_the_signs_of_a_run_are_part_of_its_result():
    settings = replace(FALLING, epochs=3, score_epochs=1, collapse=Collapse(skips=1))
    found = run_search(checked_text(COLLAPSING), None, {}, settings, small_digits(), Phase(3, CPU))
    assert found.stopped is not None and found.trials[0].stopped == found.stopped
    assert {sign.kind for sign in found.signs} <= {"chance", "collapse", "unmoved"}


def test_the_count_of_skips_is_that_of_the_answer_that_would_be_written():
    asked = []

    def without_skips(logits):
        asked.append(logits)
        return derive(PROGRAM, {key: [[0.0, 1.0]] * len(rows) for key, rows in logits.items()})

    found = fall(Collapse(skips=2), derives=without_skips)
    assert found.stopped is None and len(asked) == sum(record.choices_loss is not None for record in found.history)
    assert skipped(found.logits) >= 2


def test_a_search_counts_skips_in_answers_that_keep_to_its_requirements(monkeypatch):
    def held(self, logits):
        return derive(self.program, {key: [[0.0, 1.0]] * len(rows) for key, rows in logits.items()})

    settings = replace(FALLING, epochs=8, score_epochs=1, collapse=Collapse(skips=2))

    def stopped():
        return run_search(checked_text(COLLAPSING), None, {}, settings, small_digits(), Phase(7, CPU)).stopped

    assert stopped() is not None
    monkeypatch.setattr(Requirements, "strongest", held)
    assert stopped() is None
