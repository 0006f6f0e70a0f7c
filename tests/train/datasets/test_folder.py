import sys

import numpy as np
import pytest
import torch
from train.refused import refused

from genolang.train.datasets import load_data
from genolang.train.datasets._image_files import image_shape, read_image, read_images

Image = pytest.importorskip("PIL.Image")
ImageOps = pytest.importorskip("PIL.ImageOps")


def write(path, seed=0, size=(5, 7), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (*size, 3) if mode == "RGB" else size
    pixels = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def fill(root, count=5, classes=("cat", "dog"), **options):
    return {
        (name, i): write(root / name / f"{i}.png", seed=100 * c + i, **options)
        for c, name in enumerate(classes)
        for i in range(count)
    }


def test_one_folder_per_class_is_split_by_class(tmp_path):
    written = fill(tmp_path, 10)
    data = load_data(f"folder:{tmp_path}")
    assert data.class_names == ("cat", "dog")
    assert data.image_shape == (3, 5, 7)
    assert data.train_labels.bincount().tolist() == [8, 8]
    assert data.test_labels.bincount().tolist() == [2, 2]
    kept = {image.numpy().tobytes() for image in [*data.train_images, *data.test_images]}
    assert kept == {pixels.transpose(2, 0, 1).tobytes() for pixels in written.values()}
    assert torch.equal(load_data(f"folder:{tmp_path}").test_images, data.test_images)


def test_train_and_test_folders_are_taken_as_they_are(tmp_path):
    train = fill(tmp_path / "train", 3, mode="L")
    test = fill(tmp_path / "test", 2, mode="L")
    data = load_data(f"folder:{tmp_path}")
    assert data.image_shape == (1, 5, 7)
    assert np.array_equal(data.train_images[:, 0].numpy(), np.stack(list(train.values())))
    assert np.array_equal(data.test_images[:, 0].numpy(), np.stack(list(test.values())))
    assert data.train_labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.mean[0] == pytest.approx(np.stack(list(train.values())).mean() / 255)


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_an_image_stands_as_its_camera_was_held(tmp_path, orientation, suffix):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels).save(path, exif=exif)
    with Image.open(path) as image:
        shown = ImageOps.exif_transpose(image) if 1 <= orientation <= 8 else image
        expected = np.array(shown.convert("RGB")).transpose(2, 0, 1)
    assert image_shape(path, 4096) == expected.shape
    assert np.array_equal(read_image(path, 3).numpy(), expected)
    assert np.array_equal(read_images(tmp_path, [path])[0].numpy(), expected)


def test_damaged_metadata_turn_nothing(tmp_path):
    pixels = write(tmp_path / "a.png")
    for number in range(40):
        exif = bytearray(b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0")
        exif[number % len(exif)] = 0xFF
        Image.fromarray(pixels).save(tmp_path / "b.png", exif=bytes(exif[: max(4, number)]))
        assert sorted(read_image(tmp_path / "b.png", 3).shape) == [3, 5, 7]


def test_a_train_folder_alone_is_split(tmp_path):
    fill(tmp_path / "train", 5)
    assert len(load_data(f"folder:{tmp_path}").test_labels) == 2


def test_a_class_may_be_called_train(tmp_path):
    fill(tmp_path, 5, classes=("car", "train"))
    assert load_data(f"folder:{tmp_path}").class_names == ("car", "train")


def test_hidden_and_foreign_files_are_passed_over(tmp_path):
    fill(tmp_path)
    (tmp_path / ".cache").mkdir()
    (tmp_path / "README.md").write_text("notes")
    (tmp_path / "cat" / "notes.txt").write_text("notes")
    (tmp_path / "cat" / "._0.png").write_bytes(b"\0")
    data = load_data(f"folder:{tmp_path}")
    assert len(data.train_labels) + len(data.test_labels) == 10


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK"])
def test_colour_comes_as_three_channels_whatever_its_mode(tmp_path, mode):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        file = tmp_path / name / ("x.jpg" if mode == "CMYK" else "x.png")
        Image.new("RGB", (7, 5), (255, 0, 0)).convert(mode).save(file)
    data = load_data(f"folder:{tmp_path}")
    assert data.image_shape == (3, 5, 7)
    assert (data.train_images.float().mean((0, 2, 3)) - torch.tensor([255.0, 0, 0])).abs().max() < 5


def test_a_size_that_differs_is_refused_with_both_files(tmp_path):
    fill(tmp_path)
    write(tmp_path / "dog" / "3.png", size=(5, 8))
    with refused("G605", tmp_path / "dog" / "3.png", tmp_path / "cat" / "0.png", "7x5 colour", "8x5 colour"):
        load_data(f"folder:{tmp_path}")


def test_grey_among_colour_is_refused(tmp_path):
    fill(tmp_path)
    write(tmp_path / "dog" / "3.png", mode="L")
    with refused("G605", tmp_path / "dog" / "3.png", "grey"):
        load_data(f"folder:{tmp_path}")


def test_a_cut_off_image_is_refused_by_name(tmp_path):
    fill(tmp_path, size=(30, 30))
    path = tmp_path / "dog" / "2.png"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with refused("G603", path):
        load_data(f"folder:{tmp_path}")
    path.write_bytes(b"")
    with refused("G603", path, "empty"):
        load_data(f"folder:{tmp_path}")


@pytest.mark.parametrize("content", [b"no image at all", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"GIF89a"])
def test_other_formats_are_refused_by_name(tmp_path, content):
    fill(tmp_path)
    path = tmp_path / "cat" / "2.png"
    path.write_bytes(content)
    with refused("G606", path):
        load_data(f"folder:{tmp_path}")


def test_sixteen_bit_images_are_refused(tmp_path):
    fill(tmp_path)
    path = tmp_path / "cat" / "0.png"
    Image.fromarray(np.zeros((5, 7), np.uint16)).save(path)
    with refused("G606", path, "I;16"):
        load_data(f"folder:{tmp_path}")


@pytest.mark.parametrize("side", [4097, 14000])
def test_huge_images_are_refused_before_they_are_decoded(tmp_path, side):
    fill(tmp_path)
    path = tmp_path / "cat" / "0.png"
    Image.new("1", (side, side)).save(path)
    with refused("G605", path, "4096"):
        load_data(f"folder:{tmp_path}")


def test_a_class_without_images_is_refused(tmp_path):
    fill(tmp_path)
    (tmp_path / "cow").mkdir()
    with refused("G604", tmp_path / "cow"):
        load_data(f"folder:{tmp_path}")


def test_a_test_class_that_training_lacks_is_refused(tmp_path):
    fill(tmp_path / "train")
    fill(tmp_path / "test", classes=("cat", "cow"))
    with refused("G604", tmp_path / "test" / "cow", "cat, dog"):
        load_data(f"folder:{tmp_path}")


def test_fewer_than_two_classes_are_refused(tmp_path):
    with refused("G604", tmp_path, "found 0"):
        load_data(f"folder:{tmp_path}")
    fill(tmp_path, classes=("cat",))
    with refused("G604", tmp_path, "found 1"):
        load_data(f"folder:{tmp_path}")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK")
    with refused("G602", tmp_path / "x.zip", "found a file"):
        load_data(f"folder:{tmp_path / 'x.zip'}")


def test_without_pillow_it_says_what_to_install(tmp_path, monkeypatch):
    fill(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with refused("G607", "Pillow"):
        load_data(f"folder:{tmp_path}")
