import pickle

import numpy as np
import pytest
import torch
from train.refused import refused

from genolang.train.datasets import load_data

COUNT = 6
FILES = {"cifar10": ([f"data_batch_{i}" for i in range(1, 6)], "test_batch"), "cifar100": (["train"], "test")}
FOLDERS = {
    ("cifar10", "binary"): "cifar-10-batches-bin",
    ("cifar10", "python"): "cifar-10-batches-py",
    ("cifar100", "binary"): "cifar-100-binary",
    ("cifar100", "python"): "cifar-100-python",
}
BOTH = pytest.mark.parametrize("name", ["cifar10", "cifar100"])


def content(name, index):
    draw = np.random.default_rng(index)
    labels = draw.integers(0, int(name[5:]), COUNT)
    return draw.integers(0, 256, (COUNT, 3072)).astype(np.uint8), labels.tolist()


def python2(value):
    """Protocol 2 as Python 2 wrote it: byte strings, and the published NumPy names of its time."""
    if isinstance(value, dict):
        items = b"".join(python2(k) + python2(v) for k, v in value.items())
        return b"}q\x01(" + items + b"u"
    if isinstance(value, str | bytes):
        raw = value.encode() if isinstance(value, str) else value
        if len(raw) < 256:
            return b"U" + bytes([len(raw)]) + raw
        return b"T" + len(raw).to_bytes(4, "little") + raw
    if isinstance(value, list):
        return b"]q\x05(" + b"".join(python2(item) for item in value) + b"e"
    if isinstance(value, int):
        return b"M" + value.to_bytes(2, "little")
    assert isinstance(value, np.ndarray)
    rows, columns = (b"M" + size.to_bytes(2, "little") for size in value.shape)
    return (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x06cnumpy\nndarray\nq\x07K\x00\x85U\x01b\x87Rq\x0a("
        b"K\x01" + rows + columns + b"\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN"
        b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89" + python2(value.tobytes()) + b"tb"
    )


def python2_file(value):
    return b"\x80\x02" + python2(value) + b"."


def entries(name, index, spell=lambda key: key):
    pixels, labels = content(name, index)
    if name == "cifar10":
        return {
            spell("batch_label"): f"training batch {index} of 5",
            spell("labels"): labels,
            spell("data"): pixels,
            spell("filenames"): ["a.png"] * COUNT,
        }
    return {
        spell("filenames"): ["a.png"] * COUNT,
        spell("fine_labels"): labels,
        spell("coarse_labels"): [0] * COUNT,
        spell("data"): pixels,
    }


def write(root, name, layout, encode=None, subfolder=True):
    folder = root / FOLDERS[name, layout] if subfolder else root
    folder.mkdir(parents=True, exist_ok=True)
    train, test = FILES[name]
    for index, file in enumerate([*train, test]):
        if layout == "python":
            encoded = (encode or (lambda v: pickle.dumps(v, protocol=2)))(entries(name, index))
            (folder / file).write_bytes(encoded)
            continue
        pixels, labels = content(name, index)
        column = np.array(labels, dtype=np.uint8)[:, None]
        coarse = [np.full_like(column, 3)] if name == "cifar100" else []
        records = np.concatenate([*coarse, column, pixels], axis=1)
        path = folder / (file + ".bin")
        path.write_bytes(records.tobytes())
    return folder


def assert_content(data, name):
    train = FILES[name][0]
    parts = [content(name, index) for index in range(len(train) + 1)]
    pixels = np.concatenate([part[0] for part in parts[:-1]]).reshape(-1, 3, 32, 32)
    assert np.array_equal(data.train_images.numpy(), pixels)
    assert data.train_labels.tolist() == [label for part in parts[:-1] for label in part[1]]
    assert np.array_equal(data.test_images.numpy().reshape(-1, 3072), parts[-1][0])
    assert data.test_labels.tolist() == parts[-1][1]
    assert data.train_images.dtype == torch.uint8
    assert data.train_labels.dtype == torch.int64


@BOTH
@pytest.mark.parametrize("layout", ["binary", "python"])
@pytest.mark.parametrize("subfolder", [True, False])
def test_both_layouts_are_read_from_the_folder_or_its_parent(name, layout, subfolder, tmp_path):
    write(tmp_path, name, layout, subfolder=subfolder)
    data = load_data(f"{name}:{tmp_path}")
    assert_content(data, name)
    assert data.image_shape == (3, 32, 32)
    assert data.classes == len(data.class_names) == int(name[5:])
    assert data.mean[0] == {"cifar10": 0.49139968, "cifar100": 0.5071}[name]
    assert data.std[2] == {"cifar10": 0.26158768, "cifar100": 0.2761}[name]


@BOTH
@pytest.mark.parametrize(
    "encode",
    [
        python2_file,
        lambda value: pickle.dumps(value, protocol=3),
        lambda value: pickle.dumps({k.encode(): v for k, v in value.items()}, protocol=2),
        lambda value: pickle.dumps({**value, "data": np.asfortranarray(value["data"])}, protocol=2),
    ],
    ids=["python2", "protocol3", "byte-keys", "column-order"],
)
def test_every_way_in_which_pythons_wrote_the_files_is_read(name, encode, tmp_path):
    write(tmp_path, name, "python", encode)
    assert_content(load_data(f"{name}:{tmp_path}"), name)


def test_the_python2_fixture_is_what_python_reads_itself():
    value = pickle.loads(python2_file(entries("cifar10", 1)), encoding="latin1")
    assert np.array_equal(value["data"], content("cifar10", 1)[0])
    assert value["labels"] == content("cifar10", 1)[1]


def test_class_names_come_from_the_lists_beside_the_data(tmp_path):
    names = [f"kind {i}" for i in range(10)]
    folder = write(tmp_path / "py", "cifar10", "python")
    meta = {"num_cases_per_batch": COUNT, "label_names": names, "num_vis": 3072}
    (folder / "batches.meta").write_bytes(python2_file(meta))
    assert load_data(f"cifar10:{tmp_path / 'py'}").class_names == tuple(names)
    folder = write(tmp_path / "bin", "cifar10", "binary")
    (folder / "batches.meta.txt").write_text("\n".join(names) + "\n\n")
    assert load_data(f"cifar10:{tmp_path / 'bin'}").class_names == tuple(names)
    (folder / "batches.meta.txt").write_text("cat\ndog\n")
    with refused("G604", "batches.meta.txt", "10 class names", "found 2"):
        load_data(f"cifar10:{tmp_path / 'bin'}")


def test_a_batch_with_fewer_images_than_the_meta_file_says_is_cut_off(tmp_path):
    folder = write(tmp_path, "cifar10", "python")
    (folder / "batches.meta").write_bytes(
        pickle.dumps({"num_cases_per_batch": 10000, "label_names": ["x"] * 10}, protocol=2)
    )
    with refused("G603", folder / "data_batch_1", "10000", f"found {COUNT}"):
        load_data(f"cifar10:{tmp_path}")


@BOTH
def test_a_binary_file_that_ends_inside_a_record_is_cut_off(name, tmp_path):
    folder = write(tmp_path, name, "binary")
    path = folder / (FILES[name][1] + ".bin")
    path.write_bytes(path.read_bytes()[:-5])
    with refused("G603", path, "multiple of", "bytes"):
        load_data(f"{name}:{tmp_path}")


@pytest.mark.parametrize("layout", ["binary", "python"])
def test_an_empty_file_is_cut_off(layout, tmp_path):
    folder = write(tmp_path, "cifar100", layout)
    path = folder / ("test.bin" if layout == "binary" else "test")
    path.write_bytes(b"")
    with refused("G603", path, "empty"):
        load_data(f"cifar100:{tmp_path}")


def test_a_missing_batch_is_named(tmp_path):
    folder = write(tmp_path, "cifar10", "binary")
    (folder / "data_batch_4.bin").unlink()
    with refused("G602", folder / "data_batch_4.bin"):
        load_data(f"cifar10:{tmp_path}")


def test_the_other_cifar_is_told_from_this_one(tmp_path):
    write(tmp_path, "cifar100", "python")
    with refused("G602", tmp_path, "cifar10", f"write `cifar100:{tmp_path}`"):
        load_data(f"cifar10:{tmp_path}")
    (tmp_path / "empty").mkdir()
    with refused("G602", "found neither"):
        load_data(f"cifar10:{tmp_path / 'empty'}")


def test_an_archive_is_to_be_unpacked(tmp_path):
    archive = tmp_path / "cifar-10-python.tar.gz"
    archive.write_bytes(b"\x1f\x8b")
    with refused("G602", archive, "unpack"):
        load_data(f"cifar10:{archive}")


def test_a_binary_label_out_of_range_is_refused(tmp_path):
    folder = write(tmp_path, "cifar10", "binary")
    path = folder / "data_batch_2.bin"
    raw = bytearray(path.read_bytes())
    raw[3073 * 2] = 10
    path.write_bytes(raw)
    with refused("G604", path, "0 to 9", "found 10 at image 2"):
        load_data(f"cifar10:{tmp_path}")


@pytest.mark.parametrize(
    ("change", "code", "mention"),
    [
        ({"labels": [0] * 5}, "G604", "5 labels for 6 images"),
        ({"labels": [0, 1, 2, 3, 4, 10]}, "G604", "found 10 at image 5"),
        ({"labels": [0, 1, 2, 3, 4, 1 << 70]}, "G604", "at image 5"),
        ({"labels": [0, 1, 2, 3, 4, "5"]}, "G606", "whole numbers"),
        ({"labels": None}, "G606", "`labels`"),
        ({"data": np.zeros((6, 3071), np.uint8)}, "G605", "3071"),
        ({"data": np.zeros((6, 3, 32, 32), np.uint8)}, "G605", "(6, 3, 32, 32)"),
        ({"data": [1, 2]}, "G605", "list"),
    ],
)
def test_a_wrong_batch_is_refused_by_what_is_wrong(change, code, mention, tmp_path):
    folder = write(tmp_path, "cifar10", "python")
    path = folder / "data_batch_3"
    path.write_bytes(pickle.dumps({**entries("cifar10", 3), **change}, protocol=2))
    with refused(code, path, mention):
        load_data(f"cifar10:{tmp_path}")


def test_a_batch_without_images_is_cut_off(tmp_path):
    folder = write(tmp_path, "cifar10", "python")
    nothing = {"labels": [], "data": np.zeros((0, 3072), np.uint8)}
    (folder / "test_batch").write_bytes(python2_file(nothing))
    with refused("G603", folder / "test_batch", "found none"):
        load_data(f"cifar10:{tmp_path}")
