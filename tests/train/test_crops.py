import math

import numpy as np
import pytest
import torch

from genolang.train.crops import centre_crop, draw_crops, random_box, random_crop

Image = pytest.importorskip("PIL.Image")
SIZES = pytest.mark.parametrize("height, width", [(40, 57), (57, 40), (33, 33), (9, 200), (200, 9), (1, 1), (7, 500)])


def picture(height, width, seed=0):
    """A smooth picture, as photographs are: uint8 (H, W, 3)."""
    rough = np.random.default_rng(seed).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    return np.array(Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC))


def tensor(pixels):
    return torch.from_numpy(pixels).permute(2, 0, 1)


def draws(count, seed=0):
    return draw_crops(count, torch.Generator().manual_seed(seed))


@SIZES
def test_a_window_lies_inside_and_has_the_recipes_area_and_ratio(height, width):
    whole = height * width
    for one in draws(300):
        top, left, h, w = random_box(height, width, one)
        assert 0 <= top <= height - h and 0 <= left <= width - w and h >= 1 and w >= 1
        # Sides are rounded to pixels; in narrow images no window may be as large as it should.
        assert (h - 0.5) * (w - 0.5) <= whole
        assert (w - 0.5) / (h + 0.5) <= 4 / 3 + 1e-9 and (w + 0.5) / (h - 0.5) >= 3 / 4 - 1e-9
        if max(height, width) <= 2 * min(height, width):
            assert (h + 0.5) * (w + 0.5) >= 0.08 * whole


def test_areas_and_log_ratios_are_spread_evenly_and_places_reach_all_borders():
    boxes = torch.tensor([random_box(400, 400, one) for one in draws(4000)]).double()
    top, left, h, w = boxes.unbind(1)
    ratio = (w / h).log() / math.log(4 / 3)
    assert ratio.mean().abs() < 0.05 and 0.9 < ratio.max() <= 1.02 and -1.02 <= ratio.min() < -0.9
    small = (h * w / 160_000 < 0.54).double().mean()
    # Half of the areas drawn are below 54 %; large ones fit less often.
    assert 0.5 < small < 0.6
    assert (top == 0).any() and (left == 0).any() and (top + h == 400).any() and (left + w == 400).any()


def test_an_image_too_narrow_for_any_window_gives_its_middle():
    assert random_box(10, 1000, torch.full((10, 4), 0.99, dtype=torch.float64)) == (0, 493, 10, 13)
    assert random_box(1000, 10, torch.full((10, 4), 0.99, dtype=torch.float64)) == (493, 0, 13, 10)


@pytest.mark.parametrize("size", [8, 32, 41])
def test_a_random_crop_is_what_pillow_makes_of_the_window(size):
    pixels = picture(75, 100)
    for one in draws(25, seed=size):
        top, left, h, w = random_box(75, 100, one)
        expected = (
            Image.fromarray(pixels).crop((left, top, left + w, top + h)).resize((size, size), Image.Resampling.BILINEAR)
        )
        found = random_crop(tensor(pixels), size, one)
        assert found.shape == (3, size, size) and found.dtype == torch.uint8
        assert np.abs(found.permute(1, 2, 0).numpy().astype(int) - np.asarray(expected)).max() <= 1


@pytest.mark.parametrize("height, width", [(300, 400), (401, 300), (256, 256), (100, 77)])
def test_the_middle_is_that_of_the_shorter_side_at_256(height, width):
    pixels = picture(height, width)
    scale = 256 / min(height, width)
    w, h = (256 if side == min(height, width) else int(side * scale) for side in (width, height))
    resized = Image.fromarray(pixels).resize((w, h), Image.Resampling.BILINEAR)
    left, top = round((w - 224) / 2), round((h - 224) / 2)
    expected = np.asarray(resized.crop((left, top, left + 224, top + 224)))
    found = centre_crop(tensor(pixels), 224)
    assert found.shape == (3, 224, 224)
    assert np.abs(found.permute(1, 2, 0).numpy().astype(int) - expected).max() <= 1


@SIZES
@pytest.mark.parametrize("size", [1, 13])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_any_image_gives_a_square_of_its_kind_within_its_values(height, width, size, dtype):
    image = tensor(picture(height, width))[:1].to(dtype)
    for found in (centre_crop(image, size), *(random_crop(image, size, one) for one in draws(5))):
        assert found.shape == (1, size, size) and found.dtype == dtype
        assert found.min() >= image.min() - 1e-3 and found.max() <= image.max() + 1e-3


def test_a_very_long_image_is_not_blown_up():
    stripe = torch.zeros(1, 4, 9000, dtype=torch.uint8)
    stripe[:, :, 4400:4600] = 200
    # Were its short side made 256, the long one would have half a million pixels.
    found = centre_crop(stripe, 224)
    assert found.shape == (1, 224, 224) and (found == 200).all()


def test_draws_do_not_depend_on_the_images():
    assert torch.equal(draws(7), draws(7)) and draws(7).shape == (7, 10, 4)
    assert torch.equal(draws(3), draws(7)[:3])
