"""`segments:DIR` and `counts:DIR`: images with a file of labels each."""

import json
import sys

import numpy as np
import pytest
import torch
from train.refused import refused

from genolang.train.datasets import load_data
from genolang.train.datasets._density import density
from genolang.train.datasets.counts import SIGMA
from genolang.train.tasks import IGNORED

Image = pytest.importorskip("PIL.Image")
SIZE = (5, 7)


def write(path, pixels, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path)
    return pixels


def photo(seed, size=SIZE):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)


def mask(seed, classes=3, size=SIZE):
    drawn = np.random.default_rng(seed).integers(0, classes, size).astype(np.uint8)
    drawn[0, 0] = IGNORED
    drawn[0, 1] = classes - 1
    return drawn


def fill(root, count=5, seed=0):
    """Photos, and masks under the same names; what was written, by name."""
    return {
        f"{seed + i}": (
            write(root / "images" / f"{seed + i}.png", photo(seed + i)),
            write(root / "masks" / f"{seed + i}.png", mask(100 + seed + i)),
        )
        for i in range(count)
    }


def pin(root, name, points):
    write(root / "images" / f"{name}.png", photo(ord(name), (9, 11)))
    (root / "points").mkdir(exist_ok=True)
    (root / "points" / f"{name}.json").write_text(json.dumps(points))


def stack(written):
    images = np.stack([image.transpose(2, 0, 1) for image, _ in written.values()])
    return torch.from_numpy(images), torch.from_numpy(np.stack([m for _, m in written.values()]))


def test_images_and_masks_of_one_name_belong_together(tmp_path):
    written = fill(tmp_path, 10)
    data = load_data(f"segments:{tmp_path}")
    assert (data.task, data.classes, data.class_names) == ("segmentation", 3, ("0", "1", "2"))
    assert (len(data.train_labels), len(data.test_labels)) == (8, 2)
    pairs = {
        (image.numpy().tobytes(), labels.numpy().tobytes())
        for image, labels in zip(
            [*data.train_images, *data.test_images], [*data.train_labels, *data.test_labels], strict=True
        )
    }
    assert pairs == {(i.transpose(2, 0, 1).tobytes(), m.tobytes()) for i, m in written.values()}
    assert torch.equal(load_data(f"segments:{tmp_path}").test_labels, data.test_labels)
    assert not torch.equal(load_data(f"segments:{tmp_path}", seed=1).test_labels, data.test_labels)


def test_train_and_test_folders_are_taken_as_they_are(tmp_path):
    train, test = fill(tmp_path / "train", 3), fill(tmp_path / "test", 2, seed=50)
    data = load_data(f"segments:{tmp_path}")
    for part, written in (("train", train), ("test", test)):
        images, masks = stack(written)
        assert torch.equal(getattr(data, f"{part}_images"), images)
        assert torch.equal(getattr(data, f"{part}_labels"), masks)
    fill(tmp_path / "alone" / "train", 5)
    assert len(load_data(f"segments:{tmp_path / 'alone'}").test_labels) == 1


def test_a_mask_with_a_palette_is_read_by_its_numbers(tmp_path):
    fill(tmp_path, 4)
    numbers = mask(3)
    with_palette = Image.frombytes("P", SIZE[::-1], numbers.tobytes())
    with_palette.putpalette([channel for i in range(256) for channel in (255 - i, i, 7)])
    with_palette.save(tmp_path / "masks" / "0.png")
    data = load_data(f"segments:{tmp_path}")
    every = [*data.train_labels, *data.test_labels]
    assert any(np.array_equal(labels.numpy(), numbers) for labels in every)


def test_a_mask_of_colours_is_refused(tmp_path):
    fill(tmp_path, 4)
    write(tmp_path / "masks" / "2.png", photo(1))
    with refused("G606", "2.png", "class numbers"):
        load_data(f"segments:{tmp_path}")


def test_a_mask_of_another_size_than_its_image_is_refused(tmp_path):
    fill(tmp_path, 4)
    for i in range(4):
        write(tmp_path / "masks" / f"{i}.png", mask(i, size=(7, 5)))
    with refused("G605", "7x5", "5x7"):
        load_data(f"segments:{tmp_path}")
    write(tmp_path / "masks" / "3.png", mask(3, size=(6, 6)))
    with refused("G605", "3.png"):
        load_data(f"segments:{tmp_path}")


def test_masks_without_any_class_are_refused(tmp_path):
    fill(tmp_path, 2)
    for i in range(2):
        write(tmp_path / "masks" / f"{i}.png", np.full(SIZE, IGNORED, dtype=np.uint8))
    with refused("G604", "255 alone"):
        load_data(f"segments:{tmp_path}")


def test_an_image_without_labels_and_labels_without_an_image_are_refused(tmp_path):
    fill(tmp_path, 3)
    (tmp_path / "masks" / "1.png").rename(tmp_path / "masks" / "other.png")
    with refused("G604", "1.png", "found nothing"):
        load_data(f"segments:{tmp_path}")
    (tmp_path / "images" / "1.png").unlink()
    with refused("G604", "other.png", "found none"):
        load_data(f"segments:{tmp_path}")


@pytest.mark.parametrize(("kind", "labels"), [("segments", "masks"), ("counts", "points")])
def test_missing_folders_are_named(tmp_path, kind, labels):
    with refused("G602", "nowhere"):
        load_data(f"{kind}:{tmp_path / 'nowhere'}")
    (tmp_path / "images").mkdir()
    with refused("G602", tmp_path / labels, "found nothing"):
        load_data(f"{kind}:{tmp_path}")
    (tmp_path / labels).mkdir()
    with refused("G604", "found none"):
        load_data(f"{kind}:{tmp_path}")


def test_without_pillow_it_says_what_to_install(tmp_path, monkeypatch):
    fill(tmp_path, 2)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with refused("G607", "pillow"):
        load_data(f"segments:{tmp_path}")


def test_points_become_densities_whose_sums_are_their_numbers(tmp_path):
    points = {"a": [[5.5, 4.5], [0.0, 0.0]], "b": [], "c": [[11, 9]], "d": [[3.25, 8]] * 7, "e": [[1, 1]]}
    for name, places in points.items():
        pin(tmp_path / "train", name, places)
    pin(tmp_path / "test", "z", [[2, 3], [4, 4], [10, 1]])
    data = load_data(f"counts:{tmp_path}")
    assert (data.task, data.classes, data.image_shape) == ("counting", 1, (3, 9, 11))
    sums = data.train_labels.double().sum((1, 2))
    assert sums.tolist() == pytest.approx([len(places) for places in points.values()], abs=1e-5)
    assert data.test_labels.double().sum().item() == pytest.approx(3, abs=1e-5)
    # The place (5.5, 4.5), in pixels from the corner, is the middle of the pixel in row 4, column 5.
    one = torch.tensor([[4.0]]), torch.tensor([[5.0]]), torch.tensor([[True]])
    rest = torch.tensor([[0.0]]), torch.tensor([[0.0]]), torch.tensor([[True]])
    wanted = density(*one, 9, 11, SIGMA)[0] + density(*rest, 9, 11, SIGMA)[0]
    assert torch.allclose(data.train_labels[0], wanted, atol=1e-7)


def test_points_beyond_the_border_count_at_the_border(tmp_path):
    pin(tmp_path / "train", "a", [[-5, 40], [2, 2]])
    pin(tmp_path / "train", "b", [[0, 9], [2, 2]])
    pin(tmp_path / "test", "c", [])
    data = load_data(f"counts:{tmp_path}")
    assert torch.equal(data.train_labels[0], data.train_labels[1])


def test_points_may_be_arrays(tmp_path):
    for name in ("a", "b", "c", "d", "e"):
        pin(tmp_path, name, [[3, 4], [5, 1.5]])
    (tmp_path / "points" / "b.json").unlink()
    np.savez(tmp_path / "points" / "b.npz", points=np.array([[3, 4], [5, 1.5]]), other=np.zeros(3))
    data = load_data(f"counts:{tmp_path}")
    every = torch.cat([data.train_labels, data.test_labels])
    assert all(torch.equal(one, every[0]) for one in every)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[",
        "3",
        "[[1, 2, 3]]",
        "[[1], [2, 3]]",
        '{"x": 1}',
        '[["a", "b"]]',
        "[[1, NaN]]",
        "null",
        "[[1, 1e400]]",
        "[" * 100_000,
    ],
)
def test_what_are_no_points_is_refused_by_name(tmp_path, content):
    pin(tmp_path / "train", "a", [])
    pin(tmp_path / "test", "b", [])
    (tmp_path / "train" / "points" / "a.json").write_text(content)
    with refused("G606" if content else "G603", "a.json"):
        load_data(f"counts:{tmp_path}")


def test_arrays_without_points_or_of_objects_are_refused(tmp_path):
    pin(tmp_path, "a", [])
    (tmp_path / "points" / "a.json").unlink()
    for arrays in ({"p": np.zeros((2, 2))}, {"points": np.array([None])}, {"points": np.zeros((2, 3))}):
        np.savez(tmp_path / "points" / "a.npz", **arrays)
        with refused("G606", "a.npz"):
            load_data(f"counts:{tmp_path}")
