import colorsys

import numpy as np
import pytest
import torch

from genolang.semantics.settings import Augmentation
from genolang.train.augment import augment
from genolang.train.jitter import brightness, contrast, jitter, saturation, turn_hue

enhance = pytest.importorskip("PIL.ImageEnhance")
Image = pytest.importorskip("PIL.Image")


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(count=6, height=9, width=7, channels=3, seed=0):
    return torch.rand(count, channels, height, width, generator=draws(seed))


def factors(*values):
    return torch.tensor(values).view(-1, 1, 1)


@pytest.mark.parametrize("change, name", [(brightness, "Brightness"), (contrast, "Contrast"), (saturation, "Color")])
@pytest.mark.parametrize("factor", [0.0, 0.6, 1.0, 1.4])
def test_a_change_is_pillows_up_to_its_rounding(change, name, factor):
    for image in pictures():
        pixels = (image * 255).round().byte()
        made = getattr(enhance, name)(Image.fromarray(pixels.permute(1, 2, 0).numpy())).enhance(factor)
        found = change(pixels[None].float() / 255, factors(factor))[0] * 255
        difference = np.abs(found.permute(1, 2, 0).numpy() - np.asarray(made).astype(float))
        assert difference.max() < 2.1


def test_a_turned_hue_is_that_of_the_standard_library():
    images = pictures(3, 4, 5)
    images[0, :, 0, :3] = torch.tensor([[0.5, 1.0, 0.0], [0.5, 1.0, 0.0], [0.5, 0.0, 0.0]])
    by = (0.2, -0.2, 0.5)
    found = turn_hue(images, factors(*by))
    for image, turned, share in zip(images, found, by, strict=True):
        for pixel, other in zip(image.flatten(1).T.tolist(), turned.flatten(1).T, strict=True):
            h, s, v = colorsys.rgb_to_hsv(*pixel)
            wanted = torch.tensor(colorsys.hsv_to_rgb((h + share) % 1, s, v))
            assert torch.allclose(other, wanted, atol=1e-5)


def test_no_amount_changes_nothing_and_values_stay_in_bounds():
    images = pictures(50)
    before = images.clone()
    assert torch.allclose(jitter(images, 0.0, 0.0, draws()), images, atol=1e-6)
    changed = jitter(images, 1.0, 0.5, draws())
    assert torch.equal(images, before) and changed.shape == images.shape
    assert changed.isfinite().all() and changed.min() >= 0 and changed.max() <= 1


def test_images_have_draws_and_orders_of_their_own_and_a_seed_repeats_them():
    images = pictures(1).expand(64, -1, -1, -1)
    changed = jitter(images, 0.4, 0.2, draws(1))
    assert len({image.numpy().tobytes() for image in changed}) == 64
    assert torch.equal(changed, jitter(images, 0.4, 0.2, draws(1)))
    assert not torch.equal(changed, jitter(images, 0.4, 0.2, draws(2)))


def test_brightness_is_drawn_from_its_range():
    grey = torch.full((2000, 1, 2, 2), 0.4)
    # Of an even grey image the contrast is nothing: what is left is brightness.
    factor = jitter(grey, 0.4, 0.2, draws())[:, 0, 0, 0] / 0.4
    assert 0.6 <= factor.min() < 0.62 and 1.38 < factor.max() <= 1.4
    assert (factor.mean() - 1).abs() < 0.02


def test_a_jitter_comes_after_what_moves_and_before_a_cutout():
    raw = (pictures(40, 8, 8) * 255).byte()
    changes = [Augmentation("jitter", 0.4, 0.1), Augmentation("crop", 3), Augmentation("cutout", 3)]
    one = augment(raw, changes, (0.5,) * 3, (0.2,) * 3, draws())
    other = augment(raw, [changes[1], changes[2], changes[0]], (0.5,) * 3, (0.2,) * 3, draws())
    assert torch.equal(one, other)
    # What a crop brings in is black and what a cutout takes is the mean, both still exactly.
    assert (one == 0).any()
