import random

import pytest
import torch

from genolang.train.datasets import _scattered, data_for, load_data
from genolang.train.datasets._density import density
from genolang.train.datasets._scattered import scatter
from genolang.train.datasets.digit_counts import counts
from genolang.train.datasets.digit_segments import segments
from genolang.train.tasks import IGNORED

# Tensors so small that threads cost more than they save.
torch.set_num_threads(1)


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def shades(count=4, size=16):
    """Digits that are squares of one brightness each, the darkest of them brighter than an edge."""
    brightness = torch.linspace(0.6, 0.9, count)
    return brightness[:, None, None].expand(-1, size, size)


def same(a, b):
    return all(
        torch.equal(getattr(a, part), getattr(b, part))
        for part in ("train_images", "train_labels", "test_images", "test_labels")
    )


@pytest.mark.parametrize("name", ["digit_segments", "digit_counts"])
def test_the_same_seed_gives_the_same_data_whatever_the_global_state(name):
    torch.manual_seed(1)
    first = load_data(name, seed=3)
    torch.manual_seed(2)
    random.seed(5)
    before = torch.get_rng_state()
    assert same(first, load_data(name, seed=3))
    assert torch.equal(before, torch.get_rng_state())
    assert not same(first, load_data(name, seed=4))


def test_data_are_listed_by_what_they_are_made_for():
    assert data_for("segmentation") == ("digit_segments", "segments:DIR")
    assert data_for("counting") == ("counts:DIR", "digit_counts")
    assert "digits" in data_for("classification")


def test_segments_are_balanced_and_sized():
    data = load_data("digit_segments")
    assert (data.task, data.classes) == ("segmentation", 11)
    assert data.class_names == ("background", *"0123456789")
    for images, masks, count in (
        (data.train_images, data.train_labels, 1000),
        (data.test_images, data.test_labels, 250),
    ):
        assert images.shape == (count, 1, 40, 40) and images.dtype == torch.uint8
        assert masks.shape == (count, 40, 40) and masks.dtype == torch.uint8
        pixels = masks.flatten().long().bincount(minlength=256)
        assert pixels[11:IGNORED].sum() == 0
        share = pixels[:11] / pixels.sum()
        assert 0.8 < share[0] < 0.9 and share[1:].min() > 0.005
        assert 0.03 < pixels[IGNORED] / pixels.sum() < 0.08


def test_counts_are_spread_evenly_and_densities_sum_up_to_them():
    data = load_data("digit_counts")
    assert (data.task, data.classes, data.image_shape) == ("counting", 1, (1, 40, 40))
    assert data.train_labels.shape == (1000, 40, 40) and data.train_labels.dtype == torch.float32
    sums = data.train_labels.double().sum((1, 2))
    assert (sums - sums.round()).abs().max() < 1e-5
    assert (data.train_labels >= 0).all()
    often = sums.round().long().bincount(minlength=17)
    assert len(often) == 17 and often.min() > 30


def test_every_pixel_of_a_digit_has_its_label_and_no_other_pixel_has_any():
    digits, labels = shades(), torch.tensor([3, 1, 7, 0])
    images, masks = segments(digits, labels, 40, draws())
    found = scatter(digits, 2, 40, draws())
    assert torch.equal(images, found.images)
    for image, mask, chosen, places in zip(images[:, 0], masks, found.digits, found.places.unbind(1), strict=True):
        expected = torch.zeros(40, 40, dtype=torch.uint8)
        for digit, (row, column) in zip(chosen.tolist(), places.T.tolist(), strict=True):
            if digit >= 0:
                square = slice(row, row + 16), slice(column, column + 16)
                expected[square] = labels[digit] + 1
                assert torch.equal(image[square], (255 * digits[digit]).round().byte())
        assert torch.equal(mask, expected)


def test_soft_edges_of_a_digit_belong_to_nobody():
    soft = torch.tensor([0.1, 0.3, 0.45, 0.5]).repeat_interleave(4)[None, None].expand(2, 16, -1)
    _, masks = segments(soft, torch.tensor([4, 4]), 30, draws())
    found = scatter(soft, 2, 30, draws())
    at = (found.digits[:, 0] >= 0).nonzero()[0, 0]
    row, column = found.places[:, at, 0].tolist()
    seen = masks[at, row : row + 16, column : column + 16]
    assert (seen[:, :4] == 0).all() and (seen[:, 4:12] == IGNORED).all() and (seen[:, 12:] == 5).all()


def test_the_middle_of_every_digit_is_a_peak_of_the_density():
    digits = shades(size=8)
    _, maps = counts(digits, 30, draws())
    found = scatter(digits, 4, 30, draws())
    for image, chosen, places in zip(maps, found.digits, found.places.unbind(1), strict=True):
        assert image.double().sum().item() == pytest.approx((chosen >= 0).sum().item(), abs=1e-6)
        for digit, (row, column) in zip(chosen.tolist(), places.T.tolist(), strict=True):
            # The middle of eight pixels lies between the fourth and the fifth.
            middle = image[row + 3 : row + 5, column + 3 : column + 5]
            assert (middle.min() > 0.015) == (digit >= 0)


def test_digits_stay_in_their_fields_and_fill_them_all():
    found = scatter(shades(size=8), 4, 400, draws())
    rows, columns = found.places
    field = torch.arange(16)
    for places, first in ((rows, 10 * (field // 4)), (columns, 10 * (field % 4))):
        assert ((places >= first) & (places <= first + 2)).all()
        assert all(len((places - first)[:, at].unique()) == 3 for at in range(16))
    assert ((found.digits >= 0).float().mean(0) - 0.5).abs().max() < 0.1


def test_pieces_of_digits_lie_about_that_no_label_knows():
    images, masks = segments(shades(), torch.arange(4), 40, draws())
    empty = (masks == 0).all((1, 2))
    assert empty.any() and (images[empty] > 0).any()
    assert _scattered.PIECES > 0


def test_train_and_test_are_made_from_different_digits(monkeypatch):
    seen = []

    def spy(digits, grid, count, generator):
        seen.append({digit.numpy().tobytes() for digit in digits})
        return scatter(digits, grid, count, generator)

    for name in ("digit_segments", "digit_counts"):
        module = __import__(f"genolang.train.datasets.{name}", fromlist=["scatter"])
        monkeypatch.setattr(module, "scatter", spy)
        load_data(name)
        train, test = seen[-2:]
        assert len(train) > 1400 and len(test) > 350 and not train & test


def gaussian(row, column, height, width, sigma):
    """An independent Gaussian: by its formula, cut off and scaled."""
    rows, columns = torch.arange(height).double()[:, None], torch.arange(width).double()
    bell = torch.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma**2))
    return bell / bell.sum()


def test_a_density_is_a_sum_of_cut_off_gaussians():
    rows = torch.tensor([[2.0, 0.5, 10.0], [4.25, 0.0, 3.0]])
    columns = torch.tensor([[3.0, 6.5, 0.0], [1.0, 0.0, 8.0]])
    there = torch.tensor([[True, True, True], [True, False, True]])
    maps = density(rows, columns, there, 11, 9, 1.5)
    assert maps.dtype == torch.float32 and maps.shape == (2, 11, 9)
    for image, r, c, t in zip(maps, rows, columns, there, strict=True):
        wanted = sum(gaussian(y, x, 11, 9, 1.5) for y, x, here in zip(r, c, t, strict=True) if here)
        assert torch.allclose(image.double(), wanted, atol=1e-7)
    assert torch.allclose(maps.double().sum((1, 2)), torch.tensor([3.0, 2.0]).double(), atol=1e-6)


def test_a_density_without_points_is_zero_and_a_narrow_one_still_sums_to_one():
    nobody = torch.zeros(1, 0)
    assert density(nobody, nobody, nobody.bool(), 5, 7, 2.0).abs().sum() == 0
    between = torch.full((1, 1), 2.5)
    narrow = density(between, between, torch.ones(1, 1).bool(), 5, 7, 1e-3)
    assert narrow.sum().item() == pytest.approx(1)
