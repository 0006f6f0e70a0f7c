import random
from dataclasses import replace

import pytest
import torch
from search.tiny_space import COMMAND, CPU, SETTINGS, TEXT, StopAfter, checked_text, program_of, small_digits

from genolang.diagnostics import GenoError
from genolang.search.halves import Halves
from genolang.search.score import accuracy_of, fresh_module, train_score
from genolang.search.space import random_genotype
from genolang.search.writeback import discrete_program
from genolang.train.phase import Phase
from genolang.train.run_folder import RunFolder

LONGER = replace(SETTINGS, score_epochs=3)


def discrete():
    program = program_of()
    genotype = random_genotype(program, random.Random(1))
    return discrete_program(checked_text(TEXT), program, genotype, {})


def test_a_score_is_the_last_epochs_accuracy_on_the_half_that_trained_nothing():
    fitted = train_score(discrete(), LONGER, small_digits(), Phase(1, CPU))
    score = accuracy_of(train_score(discrete(), LONGER, small_digits(), Phase(1, CPU)))
    assert score == fitted.history[2].val_accuracy
    assert len(fitted.history) == 3

    # Only the weights' half may matter to the weights.
    data = small_digits()
    half = Halves(LONGER, data, CPU).choices
    other = replace(data, train_images=data.train_images.clone())
    other.train_images[half] = 0.5
    again = train_score(discrete(), LONGER, other, Phase(1, CPU))
    assert [r.train_loss for r in again.history] == [r.train_loss for r in fitted.history]
    assert again.history[2].val_loss != fitted.history[2].val_loss


def test_weights_come_from_the_seed_and_the_callers_generator_stays():
    state = torch.random.get_rng_state()
    first, again, other = (fresh_module(program_of(), Phase(seed, CPU)).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_score_stopped_at_any_step_goes_on_to_the_same_end(tmp_path):
    expected = train_score(discrete(), LONGER, small_digits(), Phase(1, CPU))
    for calls in range(1, 13, 2):
        path = tmp_path / str(calls)
        with RunFolder.create(path, "", COMMAND) as run, pytest.raises(GenoError):
            train_score(discrete(), LONGER, small_digits(), Phase(1, CPU, run, "score-1", reporter=StopAfter(calls)))
        with RunFolder.resume(path) as run:
            found = train_score(discrete(), LONGER, small_digits(), Phase(1, CPU, run, "score-1", resume=True))
        assert [replace(r, seconds=0) for r in found.history] == [replace(r, seconds=0) for r in expected.history]
