import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from train.refused import refused

from genolang.semantics.datasets import DATA_SETS
from genolang.train import datasets
from genolang.train.datasets import known_data, load_data
from genolang.train.datasets._base import channel_statistics, stratified_split


def same(a, b):
    return all(
        torch.equal(getattr(a, part), getattr(b, part))
        for part in ("train_images", "train_labels", "test_images", "test_labels")
    )


def test_the_known_data_are_listed_with_what_they_take():
    assert known_data() == (
        "cifar100:DIR",
        "cifar10:DIR",
        "cluttered_digits",
        "counts:DIR",
        "digit_counts",
        "digit_segments",
        "digits",
        "folder:DIR",
        "idx:DIR",
        "npz:FILE",
        "segments:DIR",
    )


@pytest.mark.parametrize(("name", "meant"), [("digit", "digits"), ("cifar-10:/data", "cifar10"), ("Digits", "digits")])
def test_an_unknown_name_is_refused_with_the_nearest(name, meant):
    with refused("G601", f"`{name}`", f"did you mean `{meant}`?"):
        load_data(name)


def test_every_name_that_a_spec_may_have_is_loaded_here():
    assert datasets._sources().keys() == DATA_SETS.keys()


def test_a_plugin_name_is_no_data_of_this_layer():
    with refused("G601"):
        load_data("os:system")


def test_data_without_a_path_refuses_one():
    with refused("G601", "takes no path"):
        load_data("digits:/data")


@pytest.mark.parametrize("name", ["cifar10", "cifar100:", "folder", "idx", "npz:"])
def test_data_with_a_path_needs_one(name):
    with refused("G602", name.partition(":")[0]):
        load_data(name)


@pytest.mark.parametrize("kind", ["cifar10", "cifar100", "folder", "idx", "npz"])
def test_a_path_to_nothing_is_refused_by_name(kind, tmp_path):
    with refused("G602", tmp_path / "nowhere", "found nothing"):
        load_data(f"{kind}:{tmp_path / 'nowhere'}")
    with refused("G602", "null character"):
        load_data(f"{kind}:a\0b")
    with refused("G602"):
        load_data(f"{kind}:~nobody-of-this-name/x")


@pytest.mark.parametrize("kind", ["cifar10", "folder", "idx", "npz"])
def test_what_the_system_refuses_to_read_is_refused_by_name(kind):
    with refused("G602", "a" * 5000, "cannot be read"):
        load_data(f"{kind}:{'a' * 5000}")


def test_listing_the_data_imports_no_heavy_package():
    code = (
        "import sys, genolang.train.datasets as d; d.known_data(); "
        "print([m for m in ('sklearn', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_digits_are_all_there_in_a_stratified_split():
    data = load_data("digits")
    assert data.image_shape == (1, 8, 8)
    assert (len(data.train_labels), len(data.test_labels)) == (1438, 359)
    every = torch.cat([data.train_labels, data.test_labels]).bincount()
    assert ((data.test_labels.bincount() / every - 0.2).abs() < 0.01).all()
    assert data.train_images.dtype == torch.float32
    assert (data.train_images.min(), data.train_images.max()) == (0, 1)
    assert data.class_names == tuple("0123456789")
    assert data.classes == 10


@pytest.mark.parametrize("name", ["digits", "cluttered_digits"])
def test_the_same_seed_gives_the_same_data_whatever_the_global_state(name):
    torch.manual_seed(1)
    first = load_data(name, seed=3)
    torch.manual_seed(2)
    random.seed(5)
    before = torch.get_rng_state()
    assert same(first, load_data(name, seed=3))
    assert torch.equal(before, torch.get_rng_state())
    assert not same(first, load_data(name, seed=4))


def test_digits_without_scikit_learn_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with refused("G607", "scikit-learn"):
        load_data("digits")


def test_cluttered_digits_are_balanced_and_sized():
    data = load_data("cluttered_digits")
    assert data.train_images.shape == (4000, 1, 32, 32)
    assert data.test_images.shape == (1000, 1, 32, 32)
    assert data.train_images.dtype == torch.uint8
    assert data.train_labels.bincount().min() > 380
    assert data.test_labels.bincount().min() > 80


def test_a_cluttered_image_holds_its_digit_whole_and_pieces_of_others_only():
    from genolang.train.datasets.cluttered_digits import clutter

    # Two classes told apart by their brightness.
    digits = torch.stack([torch.full((16, 16), 0.4), torch.full((16, 16), 0.6)]).repeat(3, 1, 1)
    generator = torch.Generator().manual_seed(0)
    images, labels = clutter(digits, torch.tensor([0, 1] * 3), 50, generator)
    for image, label in zip(images[:, 0], labels, strict=True):
        own, other = (102, 153) if label == 0 else (153, 102)
        rows, columns = (image == own).nonzero().unbind(1)
        assert len(rows) == 16 * 16
        assert rows.max() - rows.min() == columns.max() - columns.min() == 15
        assert (image == other).any()


def test_train_and_test_clutter_come_from_different_digits(monkeypatch):
    from genolang.train.datasets import cluttered_digits

    seen = []
    original = cluttered_digits.clutter

    def spy(digits, labels, count, generator):
        seen.append({digit.numpy().tobytes() for digit in digits})
        return original(digits, labels, count, generator)

    monkeypatch.setattr(cluttered_digits, "clutter", spy)
    load_data("cluttered_digits")
    train, test = seen
    assert len(train) > 1400 and len(test) > 350
    assert not train & test


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_channel_statistics_are_those_of_numpy(dtype):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 3, 5, 3)).astype(np.uint8)
    scaled = pixels / 255
    images = torch.from_numpy(pixels if dtype == "uint8" else scaled.astype(np.float32))
    mean, std = channel_statistics(images)
    assert mean == pytest.approx(scaled.mean((0, 2, 3)), abs=1e-6)
    assert std == pytest.approx(scaled.std((0, 2, 3)), abs=1e-6)


def test_a_constant_channel_can_be_divided_by():
    assert channel_statistics(torch.full((3, 1, 2, 2), 255, dtype=torch.uint8)) == ((1,), (1,))


def test_a_stratified_split_leaves_every_class_an_image():
    labels = torch.tensor([0, 1, 1, 2, 2, 2, 2, 2, 2, 2])
    for share in (0.2, 0.5, 0.99):
        rest, part = stratified_split(labels, share, 0)
        assert sorted([*rest.tolist(), *part.tolist()]) == list(range(10))
        assert set(labels[rest].tolist()) == {0, 1, 2}
    assert [len(half) for half in stratified_split(labels, 0.2, 0)] == [8, 2]
