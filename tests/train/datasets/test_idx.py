import gzip

import numpy as np
import pytest
import torch
from train.refused import refused

from genolang.diagnostics import GenoError
from genolang.train.datasets import idx, load_data

COUNTS = {"train": 7, "t10k": 4}
FORMS = pytest.mark.parametrize(("mark", "pack"), [("-", bytes), (".", bytes), ("-", gzip.compress)])


def numbers(part):
    draw = np.random.default_rng(len(part))
    labels = np.arange(COUNTS[part], dtype=np.uint8) % 3
    return draw.integers(0, 256, (COUNTS[part], 5, 6)).astype(np.uint8), labels


def idx_bytes(array):
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write(folder, mark="-", pack=bytes):
    end = ".gz" if pack is gzip.compress else ""
    for part in COUNTS:
        images, labels = numbers(part)
        (folder / f"{part}-images{mark}idx3-ubyte{end}").write_bytes(pack(idx_bytes(images)))
        (folder / f"{part}-labels{mark}idx1-ubyte{end}").write_bytes(pack(idx_bytes(labels)))
    return f"idx:{folder}"


@FORMS
def test_every_image_and_label_is_read_as_it_is_written(tmp_path, mark, pack):
    data = load_data(write(tmp_path, mark, pack))
    for part, images, labels in (
        ("train", data.train_images, data.train_labels),
        ("t10k", data.test_images, data.test_labels),
    ):
        pixels, classes = numbers(part)
        assert torch.equal(images, torch.from_numpy(pixels)[:, None]) and images.dtype == torch.uint8
        assert labels.tolist() == classes.tolist()
    assert data.image_shape == (1, 5, 6) and data.class_names == ("0", "1", "2")
    assert data.mean[0] == pytest.approx(numbers("train")[0].mean() / 255)


@FORMS
def test_a_file_that_is_cut_anywhere_is_refused(tmp_path, mark, pack):
    name = write(tmp_path, mark, pack)
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        for length in range(1, len(whole)):
            path.write_bytes(whole[:length])
            with pytest.raises(GenoError, match="expected") as error:
                load_data(name)
            assert error.value.diagnostics[0].code in ("G603", "G606")
        path.write_bytes(whole)
    load_data(name)


def test_what_is_missing_is_named(tmp_path):
    name = write(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with refused("G602", tmp_path, "t10k-labels-idx1-ubyte"):
        load_data(name)


def test_labels_and_shapes_that_do_not_fit_are_refused(tmp_path):
    name = write(tmp_path)
    images, labels = numbers("t10k")
    changes = {
        "t10k-labels-idx1-ubyte": [(labels + 3, "G604"), (labels[:2], "G604")],
        "t10k-images-idx3-ubyte": [(images[:, :4], "G605"), (images[:0], "G605"), (images[..., None], "G606")],
    }
    for file, wrong in changes.items():
        whole = (tmp_path / file).read_bytes()
        for array, code in wrong:
            (tmp_path / file).write_bytes(idx_bytes(array))
            with refused(code, tmp_path):
                load_data(name)
        (tmp_path / file).write_bytes(whole)


def test_a_small_file_that_unpacks_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(idx, "MAX_FILE", 1000)
    name = write(tmp_path, pack=gzip.compress)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(10**5)))
    with refused("G606", "at most 1000 bytes"):
        load_data(name)
