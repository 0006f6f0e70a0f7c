from dataclasses import replace

import pytest
import torch
from search.tiny_space import CPU, SETTINGS, small_digits

from genolang.diagnostics import GenoError
from genolang.search.halves import Halves


def test_the_halves_share_nothing_and_leave_nothing_out():
    halves = Halves(replace(SETTINGS, split=0.7), small_digits(50), CPU)
    assert (len(halves.weights), len(halves.choices)) == (35, 15)
    assert sorted([*halves.weights.tolist(), *halves.choices.tolist()]) == list(range(50))


def test_data_sorted_by_class_is_mixed_before_it_is_cut():
    data = small_digits(60)
    data = replace(data, train_labels=data.train_labels.sort().values)
    halves = Halves(SETTINGS, data, CPU)
    for half in (halves.weights, halves.choices):
        assert set(data.train_labels[half].tolist()) == {0, 1, 2}


def test_the_settings_seed_alone_draws_them():
    first, again = (Halves(SETTINGS, small_digits(), CPU) for _ in range(2))
    other = Halves(replace(SETTINGS, seed=4), small_digits(), CPU)
    assert torch.equal(first.weights, again.weights)
    assert not torch.equal(first.weights, other.weights)


def test_answers_are_measured_on_all_images_of_the_choices_half_unchanged():
    data = small_digits(30)
    halves = Halves(SETTINGS, data, CPU)
    batches = list(halves.measured())
    labels = torch.cat([labels for _, labels in batches])
    images = torch.cat([images for images, _ in batches])
    assert torch.equal(labels, data.train_labels[halves.choices])
    assert torch.allclose(images * data.std[0] + data.mean[0], data.train_images[halves.choices], atol=1e-6)


@pytest.mark.parametrize("split", [0.05, 0.95])
def test_a_half_without_images_is_refused(split):
    with pytest.raises(GenoError) as error:
        Halves(replace(SETTINGS, split=split), small_digits(20), CPU)
    assert error.value.diagnostics[0].code == "G604"
