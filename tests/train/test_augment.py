import pytest
import torch

from genolang.semantics.settings import Augmentation
from genolang.train.augment import augment, crop, cutout, flip, normalise, shift

SIZES = pytest.mark.parametrize("size", [(5, 7), (8, 8), (1, 9), (32, 31)])


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def numbered(count, height, width, channels=2):
    """Images all of whose pixels differ and none of which is 0."""
    one = torch.arange(1, channels * height * width + 1).float().view(channels, height, width)
    return one.repeat(count, 1, 1, 1)


def window(image, top, left, height, width):
    """A window of an image that goes on as zeros; `top` and `left` may be negative."""
    pad = 50
    padded = torch.nn.functional.pad(image, (pad, pad, pad, pad))
    return padded[:, pad + top : pad + top + height, pad + left : pad + left + width]


@SIZES
def test_a_flip_mirrors_about_half_of_the_images_and_keeps_the_rest(size):
    images = numbered(400, *size)
    flipped = flip(images, draws())
    mirrored = (flipped == images.flip(3)).all((1, 2, 3))
    same = (flipped == images).all((1, 2, 3))
    assert (mirrored | same).all()
    assert 150 < mirrored.sum() < 250


@SIZES
@pytest.mark.parametrize("pad", [0, 1, 4])
def test_a_crop_is_a_window_of_the_padded_image(size, pad):
    images = numbered(300, *size)
    offsets = range(-pad, pad + 1)
    windows = {(y, x): window(images[0], y, x, *size) for y in offsets for x in offsets}
    found = set()
    for cropped in crop(images, pad, draws()):
        places = [place for place, cut in windows.items() if torch.equal(cut, cropped)]
        assert places
        found.add(places[0])
    assert len(found) >= min(len(windows), 40) * (size[0] > pad) * 0.9


def test_a_crop_reaches_every_place_equally_often():
    images = numbered(9000, 5, 5, 1)
    corner = crop(images, 1, draws())[:, 0, 2, 2]
    counts = corner.unique(return_counts=True)[1]
    assert len(counts) == 9
    assert (counts - 1000).abs().max() < 150


@SIZES
def test_a_shift_moves_up_to_its_share_and_repeats_the_edge(size):
    images = numbered(300, *size)
    height, width = size
    most = int(0.4 * height), int(0.4 * width)
    rows, columns = torch.arange(height), torch.arange(width)
    wanted = [
        images[0][:, (rows + y).clamp(0, height - 1)][:, :, (columns + x).clamp(0, width - 1)]
        for y in range(-most[0], most[0] + 1)
        for x in range(-most[1], most[1] + 1)
    ]
    moved = shift(images, 0.4, draws())
    assert all(any(torch.equal(one, want) for want in wanted) for one in moved)
    assert (moved != images).any()


def test_a_shift_by_less_than_a_pixel_changes_nothing():
    images = numbered(20, 5, 7)
    assert torch.equal(shift(images, 0.1, draws()), images)


@SIZES
@pytest.mark.parametrize("side", [1, 2, 3, 16])
def test_a_cutout_is_a_clipped_square_around_any_pixel(size, side):
    height, width = size
    images = numbered(300, *size)
    cut = cutout(images, side, draws())
    assert torch.equal(cut[cut != 0], images[cut != 0])
    holes = set()
    for hole in (cut == 0).any(1):
        rows, columns = hole.any(1).nonzero(), hole.any(0).nonzero()
        box = int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())
        assert hole.sum() == (box[1] - box[0] + 1) * (box[3] - box[2] + 1)
        holes.add(box)

    def spans(length):
        return {(max(0, c - side // 2), min(length, c - side // 2 + side) - 1) for c in range(length)}

    assert {box[:2] for box in holes} <= spans(height)
    assert {box[2:] for box in holes} <= spans(width)
    assert torch.equal((cut == 0).all(1), (cut == 0).any(1))


def test_a_cutout_of_even_size_is_the_published_one():
    images = torch.ones(500, 1, 9, 9)
    top = torch.randint(9, (500, 1), generator=(generator := draws(3)))
    left = torch.randint(9, (500, 1), generator=generator)
    for image, y, x in zip(cutout(images, 4, draws(3))[:, 0], top, left, strict=True):
        expected = torch.ones(9, 9)
        y1, y2, x1, x2 = (int(v.clamp(0, 9)) for v in (y - 2, y + 2, x - 2, x + 2))
        expected[y1:y2, x1:x2] = 0
        assert torch.equal(image, expected)


def test_images_of_a_batch_get_draws_of_their_own():
    images = numbered(64, 9, 9, 1)
    for change in (
        lambda: flip(images, draws()),
        lambda: crop(images, 3, draws()),
        lambda: shift(images, 0.3, draws()),
        lambda: cutout(images, 3, draws()),
    ):
        assert len({image.numpy().tobytes() for image in change()}) > 1


def test_uint8_and_float_images_are_normalised_alike():
    raw = torch.randint(0, 256, (4, 2, 5, 3), dtype=torch.uint8, generator=draws())
    mean, std = (0.5, 0.25), (0.1, 2.0)
    normal = normalise(raw, mean, std)
    assert normal.dtype == torch.float32
    assert torch.equal(normal, normalise(raw.float() / 255, mean, std))
    expected = (raw[:, 1].double() / 255 - 0.25) / 2.0
    assert torch.allclose(normal[:, 1].double(), expected, atol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_crop_pads_with_black_and_a_cutout_with_the_mean(dtype):
    white = torch.ones(200, 1, 6, 6) if dtype == "float32" else torch.full((200, 1, 6, 6), 255, dtype=torch.uint8)
    cropped = augment(white, (Augmentation("crop", 2),), (0.5,), (0.25,), draws())
    assert set(cropped.unique().tolist()) == {-2.0, 2.0}
    cut = augment(white, (Augmentation("cutout", 2),), (0.5,), (0.25,), draws())
    assert set(cut.unique().tolist()) == {0.0, 2.0}


def test_a_cutout_comes_last_wherever_it_is_written():
    images = torch.ones(200, 1, 6, 6)
    early = (Augmentation("cutout", 2), Augmentation("crop", 2))
    late = (Augmentation("crop", 2), Augmentation("cutout", 2))
    assert torch.equal(
        augment(images, early, (0.5,), (0.25,), draws()), augment(images, late, (0.5,), (0.25,), draws())
    )


def test_the_images_given_are_left_as_they_were():
    images = numbered(8, 5, 7)
    before = images.clone()
    every = tuple(Augmentation(*change) for change in (("flip",), ("crop", 2), ("shift", 0.3), ("cutout", 3)))
    augment(images, every, (0.0, 0.0), (1.0, 1.0), draws())
    assert torch.equal(images, before)
