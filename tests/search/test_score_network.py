"""Scores in another network than the searched one: as the evaluation has it."""

import random
from dataclasses import replace

import pytest
from search.tiny_space import CPU, SETTINGS, TEXT, checked_text, small_digits

from genolang.diagnostics import GenoError
from genolang.search.score import accuracy_of, train_score
from genolang.search.search import run_search
from genolang.search.space import random_genotype
from genolang.search.writeback import discrete_program
from genolang.semantics.check import expand_network
from genolang.semantics.settings import Augmentation, NetworkChoice, OptimizerSettings, Schedule, TrainSettings
from genolang.train.phase import Phase
from genolang.train.reporter import SilentReporter
from genolang.train.run_folder import RunFolder, read_journal

# A second network of the same cells, with an auxiliary head, and one with a choice of its own.
LARGER = TEXT.replace(
    "search {",
    """op tower(classes) = relu -> global_avg_pool -> linear(classes)

network larger(channels=6, depth=3, classes=3, auxiliary=true) {
  input     image(1, 8, 8)
  stem      conv(3, channels) -> batch_norm
  cells     depth of normal
  auxiliary tower(classes) at 1/3 weight 0.4 when auxiliary
  head      global_avg_pool -> linear(classes)
}

network other(channels=6, depth=3, classes=3) {
  input  image(1, 8, 8)
  stem   (conv(3, channels) | conv(1, channels)) -> batch_norm
  cells  depth of normal
  head   global_avg_pool -> linear(classes)
}

search {""",
)
AS_EVALUATED = TrainSettings(
    network=NetworkChoice("larger", (("depth", "4"),)),
    epochs=2,
    batch=6,
    optimizer=OptimizerSettings("adam", Schedule("constant", 0.01)),
    augment=(Augmentation("flip"),),
    drop_path=Schedule("linear", 0.0, 0.3),
    label_smoothing=0.1,
)
EVALUATED = replace(SETTINGS, epochs=1, seeds=2, random=1, score=AS_EVALUATED, score_epochs=None)


def search(settings, given=None, run=None, **options):
    checked = checked_text(LARGER)
    return run_search(checked, "tiny", given or {}, settings, small_digits(), Phase(3, CPU, run, **options))


def test_an_answer_is_scored_in_the_network_and_by_the_training_that_score_says():
    result = search(EVALUATED)
    checked = checked_text(LARGER)
    tiny = expand_network(checked, "tiny", {})
    program = discrete_program(checked, tiny, result.genotype, {"depth": "4"}, "larger")
    assert len(program.block.outputs) == 2 and program.name == "larger"
    settings = replace(EVALUATED, seed=3)
    assert result.score == accuracy_of(train_score(program, settings, small_digits(), Phase(3, CPU)))
    assert {trial.seed for trial in result.trials} == {3, 4}


@pytest.mark.parametrize(
    "change",
    [
        {"batch": 12},
        {"epochs": 3},
        {"drop_path": Schedule()},
        {"label_smoothing": 0.0},
        {"augment": ()},
        {"optimizer": OptimizerSettings()},
    ],
)
def test_everything_that_train_says_of_a_score_matters(change):
    checked = checked_text(LARGER)
    tiny = expand_network(checked, "tiny", {})
    genotype = random_genotype(tiny, random.Random(2))
    program = discrete_program(checked, tiny, genotype, {}, "larger")

    def losses(training):
        settings = replace(EVALUATED, score=training)
        return [r.train_loss for r in train_score(program, settings, small_digits(), Phase(3, CPU)).history]

    assert losses(AS_EVALUATED) != losses(replace(AS_EVALUATED, **change))


def test_the_short_form_is_the_same_training_as_the_long_one():
    long = TrainSettings(epochs=2, batch=SETTINGS.batch, optimizer=SETTINGS.score, augment=SETTINGS.augment)
    short = replace(SETTINGS, score_epochs=2, seeds=1, random=1, epochs=1)
    first, second = search(short), search(replace(short, score=long, score_epochs=None))
    assert (first.score, first.baseline) == (second.score, second.baseline)


def test_scores_in_a_network_with_other_choices_are_refused_before_anything_runs(tmp_path):
    other = replace(EVALUATED, score=replace(AS_EVALUATED, network=NetworkChoice("other")))
    with RunFolder.create(tmp_path, "", ("genoc",)) as run, pytest.raises(GenoError) as caught:
        search(other, run=run)
    (found,) = caught.value.diagnostics
    assert found.code == "G506" and "`other`" in found.message and "other.choice" in found.message
    assert [entry["of"] for entry in read_journal(tmp_path)] == ["run"]


def test_a_network_of_scores_that_cannot_be_is_said_before_anything_runs():
    narrow = replace(EVALUATED, score=replace(AS_EVALUATED, network=NetworkChoice("larger", (("channels", "0"),))))
    seen = []

    class Heard(SilentReporter):
        def epoch_started(self, phase, epoch, epochs):
            seen.append(phase)

    with pytest.raises(GenoError) as caught:
        search(narrow, reporter=Heard())
    assert caught.value.diagnostics[0].code == "G207" and not seen
