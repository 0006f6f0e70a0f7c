import io
import pickle
import zipfile

import numpy as np
import pytest
import torch
from train.refused import refused

from genolang.train.datasets import _base, load_data, npz
from genolang.train.datasets._base import channel_statistics

DRAW = np.random.default_rng(0)
X = DRAW.integers(0, 256, (12, 5, 7, 3)).astype(np.uint8)
Y = np.arange(12) % 3


@pytest.fixture
def path(tmp_path):
    return tmp_path / "my data.npz"


def save(path, x_train=X, y_train=Y, x_test=X[:4], y_test=Y[:4]):
    np.savez_compressed(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return f"npz:{path}"


def test_every_layout_of_images_becomes_channels_first(path):
    expected = torch.from_numpy(X.transpose(0, 3, 1, 2).copy())
    last = load_data(save(path))
    assert torch.equal(last.train_images, expected)
    first = load_data(save(path, X.transpose(0, 3, 1, 2), x_test=X[:4].transpose(0, 3, 1, 2)))
    assert torch.equal(first.train_images, expected)
    assert torch.equal(first.test_images, expected[:4])
    grey = load_data(save(path, X[..., 0], x_test=X[:4, ..., 0]))
    assert torch.equal(grey.train_images, expected[:, :1])
    assert grey.image_shape == (1, 5, 7)
    assert (last.classes, last.class_names, last.name) == (3, ("0", "1", "2"), "my data")
    assert last.mean == pytest.approx(X.mean((0, 1, 2)) / 255)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_float_images_are_kept_as_float32(path, dtype):
    x = (X / 255).astype(dtype)
    data = load_data(save(path, x, x_test=x[:4]))
    assert data.train_images.dtype == torch.float32
    assert np.array_equal(data.train_images.numpy(), x.astype(np.float32).transpose(0, 3, 1, 2))


@pytest.mark.parametrize("dtype", ["uint8", "int32", "uint64", ">i2"])
def test_labels_may_be_any_whole_numbers_also_as_a_column(path, dtype):
    y = Y.astype(dtype)[:, None]
    data = load_data(save(path, y_train=y, y_test=y[:4]))
    assert data.train_labels.tolist() == Y.tolist()
    assert data.train_labels.dtype == torch.int64


def test_x_and_y_are_split_by_class(path):
    np.savez(path, x=np.repeat(X, 5, 0), y=np.repeat(Y, 5))
    data = load_data(f"npz:{path}")
    assert data.test_labels.bincount().tolist() == [4, 4, 4]
    assert len(data.train_labels) == 48
    assert torch.equal(data.test_images, load_data(f"npz:{path}").test_images)


@pytest.mark.parametrize(
    ("arrays", "code", "mentions"),
    [
        ({"x_train": X[:11]}, "G604", ("y_train", "12 labels for 11 images")),
        ({"y_test": Y[:3]}, "G604", ("y_test", "3 labels for 4 images")),
        ({"y_train": Y + 1}, "G604", ("y_train", "none of class 0")),
        ({"y_train": Y - 1}, "G604", ("from -1 to 1",)),
        ({"y_train": Y * 2}, "G604", ("none of class 1",)),
        ({"y_train": Y * 10**15}, "G604", ("none of class 1",)),
        ({"y_train": Y * 0}, "G604", ("at least two classes",)),
        ({"y_test": Y[:4] + 1}, "G604", ("y_test", "found 3 at image 2")),
        ({"y_train": Y.astype(float)}, "G606", ("y_train", "float64")),
        ({"y_train": np.eye(12)[Y].astype(int)}, "G605", ("y_train", "(12, 12)")),
        ({"x_train": X[:, :3]}, "G605", ("x_train", "both could be")),
        ({"x_train": np.concatenate([X, X], 3)}, "G605", ("(12, 5, 7, 6)", "neither")),
        ({"x_train": X[:, 0, 0]}, "G605", ("(12, 3)",)),
        ({"x_test": X[:4, :4]}, "G605", ("x_test", "(4, 4, 7, 3)", "(5, 7, 3)")),
        ({"x_train": X[:0], "y_train": Y[:0]}, "G604", ("found 0",)),
        ({"x_test": X[:0], "y_test": Y[:0]}, "G605", ("x_test", "expected images")),
        ({"x_train": X.astype(int)}, "G606", ("int64", "astype(numpy.uint8)")),
        ({"x_train": X.astype(bool)}, "G606", ("bool",)),
        ({"x_train": X * np.nan}, "G606", ("NaN",)),
        ({"x_train": X * 1e300}, "G606", ("infinity",)),
    ],
)
def test_wrong_arrays_are_refused_by_what_is_wrong(path, arrays, code, mentions):
    with refused(code, path, *mentions):
        load_data(save(path, **arrays))


def test_missing_arrays_are_named(path):
    np.savez(path, images=X, labels=Y)
    with refused("G606", path, "x_train, y_train, x_test, y_test, or x and y", "images, labels"):
        load_data(f"npz:{path}")


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


def test_arrays_of_objects_are_refused_without_being_run(path, tmp_path):
    mark = tmp_path / "owned"
    np.savez(path, x=np.array([Evil(mark)], dtype=object), y=Y)
    with refused("G606", path, "objects"):
        load_data(f"npz:{path}")
    path.write_bytes(pickle.dumps(Evil(mark)))
    with refused("G606", path, "another format"):
        load_data(f"npz:{path}")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", pickle.dumps(Evil(mark)))
        archive.writestr("y.npy", b"")
    with refused("G606", path):
        load_data(f"npz:{path}")
    assert not mark.exists()


def test_a_file_cut_anywhere_is_refused_by_name(path):
    name = save(path)
    whole = path.read_bytes()
    for length in (0, 2, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with refused("G603", path):
            load_data(name)


def test_damaged_content_is_refused(path):
    name = save(path)
    raw = bytearray(path.read_bytes())
    raw[150:160] = bytes(10)
    path.write_bytes(raw)
    with refused("G603", path):
        load_data(name)


def test_a_header_that_asks_for_more_memory_than_there_is_is_refused(path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 50, 1 << 12)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", header.getvalue())
        archive.writestr("y.npy", header.getvalue())
    with refused("G606", path):
        load_data(f"npz:{path}")


def header(shape, descr="|u1"):
    written = io.BytesIO()
    np.lib.format.write_array_header_1_0(written, {"descr": descr, "fortran_order": False, "shape": shape})
    return written.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        header((3, 4, 4)).replace(b"(3, 4, 4)", b"(True, 4)") + bytes(48),
        header((-1, 4, 4)) + bytes(48),
        header((3, 4, 4)) + bytes(47),
        header((3, 4, 4)) + bytes(49),
        header((3, 4, 4)).replace(b"(3, 4, 4)", b"[3, 4, 4]"),
        header((3, 4, 4)).replace(b"'|u1'", b"'|O1'"),
        header((3, 4, 4)).replace(b"(3, 4, 4)", b"(((((((( "),
        b"\x93NUMPY\x09\x00" + header((3, 4, 4))[8:],
        header((2,), "|u9"),
        b"\x93NUMPY",
        b"no array",
    ],
)
def test_a_header_that_says_nonsense_is_refused(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", content)
        archive.writestr("y.npy", header((3,)) + b"012")
    with refused("G606", path):
        load_data(f"npz:{path}")


def test_the_shape_of_truths_is_refused(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", header((True, True, True)) + b"1")
        archive.writestr("y.npy", header((1,)) + b"0")
    with refused("G606", path, "True"):
        load_data(f"npz:{path}")


def test_a_small_file_does_not_unpack_to_much(path, monkeypatch):
    monkeypatch.setattr(npz, "ALWAYS_UNPACKED", 1 << 16)
    np.savez_compressed(path, x=np.zeros((200, 100, 100), np.uint8), y=np.arange(200) % 2)
    with refused("G606", path, "200 times its size"):
        load_data(f"npz:{path}")
    draw = np.random.default_rng(0)
    np.savez_compressed(path, x=draw.integers(0, 9, (200, 100, 100)).astype(np.uint8), y=np.arange(200) % 2)
    assert load_data(f"npz:{path}").image_shape == (1, 100, 100)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_statistics_are_the_same_part_by_part(dtype, monkeypatch):
    images = torch.from_numpy(X.transpose(0, 3, 1, 2).copy()).to(dtype)
    whole = channel_statistics(images)
    monkeypatch.setattr(_base, "AT_ONCE", 11)
    for first, second in zip(whole, channel_statistics(images), strict=True):
        assert first == pytest.approx(second, rel=1e-12)
    scale = 255 if dtype == torch.uint8 else 1
    assert whole[0] == pytest.approx(X.mean((0, 1, 2)) / scale)
    assert whole[1] == pytest.approx(X.std((0, 1, 2)) / scale)


def test_a_folder_is_no_npz_file(tmp_path):
    with refused("G602", tmp_path, "found a folder"):
        load_data(f"npz:{tmp_path}")
