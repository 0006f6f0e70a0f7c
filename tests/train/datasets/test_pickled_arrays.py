import collections
import datetime
import os
import pickle
import random
import tracemalloc

import numpy as np
import pytest
from train.refused import refused

from genolang.diagnostics import GenoError
from genolang.train.datasets import _pickled_arrays
from genolang.train.datasets._pickled_arrays import read_pickled_arrays


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data_batch_1"


def read(path, value, protocol=2):
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return read_pickled_arrays(path)


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, call, *arguments):
        self.made = call, arguments

    def __reduce__(self):
        return self.made


@pytest.mark.parametrize("protocol", [2, 3])
def test_plain_values_are_read_as_pickle_reads_them(path, protocol):
    value = {
        "data": np.arange(15, dtype=np.uint8).reshape(3, 5),
        "labels": [0, 255, 256, 70000, -1],
        "long": 1 << 200,
        "nested": [["a"], {"b": (1, 2, 3, 4, "ü")}, None, True, False],
    }
    found = read(path, value, protocol)
    assert np.array_equal(found.pop("data"), value.pop("data"))
    assert found == value


def test_a_list_of_thousands_comes_in_order(path):
    assert read(path, {"labels": list(range(5000))}) == {"labels": list(range(5000))}


def test_what_stands_twice_is_the_same_object(path):
    shared = [1]
    found = read(path, {"a": shared, "b": shared})
    assert found["a"] is found["b"]


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("where", ["value", "key", "whole", "list"])
def test_a_hostile_pickle_is_refused_without_being_run(path, tmp_path, protocol, where):
    mark = tmp_path / "owned"
    evil = Evil(os.system, f"touch {mark}")
    value = {"value": {"data": evil}, "key": {evil: 1}, "whole": evil, "list": {"labels": [0, evil]}}[where]
    with refused("G606", path, "nothing in the file was run"):
        read(path, value, protocol)
    assert not mark.exists()


@pytest.mark.parametrize(
    "value",
    [
        Evil(eval, "1"),
        Evil(exec, "1"),
        Evil(np.load, "x"),
        Evil(getattr, "a", "upper"),
        datetime.date(2020, 1, 1),
        collections.OrderedDict(a=1),
        {1, 2},
        1.5,
        np.float64(1),
        np.zeros(3),
        np.zeros(3, dtype=object),
        np.zeros(2, dtype=[("a", "u1")]),
        np.array(["a"]),
        np.zeros(2, dtype=np.int64),
        np.ma.zeros(2),
        Evil(np.ndarray, (3,)),
        Evil(np.dtype, "O"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_everything_outside_the_short_list_is_refused(path, value):
    with refused("G606", path):
        read(path, {"data": value})


def test_numpys_own_loader_behind_a_known_name_is_refused(path):
    # _reconstruct on another type would make an object of it.
    path.write_bytes(b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\ncos\nsystem\nK\x00\x85U\x01b\x87Rs.")
    with refused("G606", "os.system"):
        read_pickled_arrays(path)


@pytest.mark.parametrize("value", [[1], "text", 3, np.zeros(2, np.uint8), None])
def test_anything_but_a_dictionary_is_refused(path, value):
    with refused("G606", path):
        read(path, value)


@pytest.mark.parametrize("value", [{1: 2}, {("a",): 2}, {None: 1}])
def test_keys_are_text(path, value):
    with refused("G606", "keys"):
        read(path, value)


def test_a_file_cut_anywhere_is_refused_by_name(path):
    whole = pickle.dumps({"labels": [1, 2], "data": np.full((2, 3), 46, np.uint8), "n": "abc"}, protocol=2)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(GenoError) as error:
            read_pickled_arrays(path)
        (diagnostic,) = error.value.diagnostics
        assert diagnostic.code in ("G603", "G606")
        assert str(path) in diagnostic.message
        if length and not whole[:length].endswith(b"."):
            assert length == 0 or diagnostic.code == "G603"


@pytest.mark.parametrize("content", [b"hello", b"\x89PNG....", b"\x1f\x8b.", b"(dp0\n."])
def test_other_formats_are_refused(path, content):
    path.write_bytes(content)
    with refused("G606", path):
        read_pickled_arrays(path)


def test_damaged_bytes_end_in_a_diagnostic_or_a_dictionary(path):
    whole = pickle.dumps({"labels": [1, 2, 300], "data": np.zeros((2, 3), np.uint8)}, protocol=2)
    draw = random.Random(0)
    for _ in range(3000):
        damaged = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            assert type(read_pickled_arrays(path)) is dict
        except GenoError as error:
            assert error.diagnostics[0].code in ("G603", "G606")


@pytest.mark.parametrize(
    "body",
    [
        b"e",
        b"u",
        b"t",
        b"\x85",
        b"R",
        b"b",
        b"a",
        b"s",
        b"q\x00",
        b"h\x07",
        b"]}b",
        b"}K\x01a",
        b"}(U\x01au",
        b"(K\x01\x86",
        b"}}",
    ],
)
def test_operations_without_operands_are_refused(path, body):
    path.write_bytes(b"\x80\x02" + body + b".")
    with refused("G606", path):
        read_pickled_arrays(path)


def test_an_array_that_is_never_filled_is_refused(path):
    path.write_bytes(b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87Rs.")
    with refused("G606", "without content"):
        read_pickled_arrays(path)


def test_a_small_file_cannot_ask_for_much_memory(path):
    encode = b"c_codecs\nencode\nq\x01X\x01\x00\x00\x00aq\x02X\x06\x00\x00\x00latin1q\x0300000"
    path.write_bytes(b"\x80\x02" + encode.rstrip(b"0") + b"]" + b"h\x01h\x02h\x03\x86R" * 65 + b".")
    with refused("G606", f"more than {_pickled_arrays.MAX_BUILT}"):
        read_pickled_arrays(path)


def test_a_file_of_a_few_bytes_takes_no_memory_by_the_numbers_in_it(path):
    # Python's own Unpickler makes room for as many objects as the number says, NumPy for as many elements.
    most_objects, elements = (2**32 - 1).to_bytes(4, "little"), (10**9).to_bytes(4, "little")
    array = b"cnumpy.core.multiarray\n_reconstruct\n"
    tracemalloc.start()
    path.write_bytes(b"\x80\x02}(U\x04dataU\x01ar" + most_objects + b"u.")
    assert read_pickled_arrays(path) == {"data": b"a"}
    for call in (
        b"cnumpy\nndarray\nJ" + elements + b"\x85R.",
        array + b"(cnumpy\nndarray\nJ" + elements + b"\x85U\x01btR.",
    ):
        path.write_bytes(b"\x80\x02" + call)
        with refused("G606", "nothing in the file was run"):
            read_pickled_arrays(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1 << 20


def shared_encode(count, text):
    """A pickle that turns one text into bytes many times."""
    size = len(text).to_bytes(4, "little")
    first = b"c_codecs\nencode\nq\x01X" + size + text + b"q\x02X\x06\x00\x00\x00latin1q\x03\x86R"
    again = b"h\x01h\x02h\x03\x86R"
    items = (b"U\x02" + f"{number:02}".encode() + (again if number else first) for number in range(count))
    return b"\x80\x02}(" + b"".join(items) + b"u."


def test_no_more_is_made_of_a_file_than_twice_its_size(path):
    text = b"a" * 3_000_000
    path.write_bytes(shared_encode(1, text))
    assert read_pickled_arrays(path) == {"00": text}
    path.write_bytes(shared_encode(60, text))
    tracemalloc.start()
    with refused("G606", "more to be made of it than it holds"):
        read_pickled_arrays(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 6 * len(text)


def test_an_array_written_as_text_is_within_what_may_be_made(path):
    data = np.random.default_rng(0).integers(0, 256, (400, 3072)).astype(np.uint8)
    for protocol in (2, 3):
        found = read(path, {"data": data, "labels": list(range(400))}, protocol) if protocol else None
        assert np.array_equal(found["data"], data)


def test_work_and_size_are_limited(path, monkeypatch):
    monkeypatch.setattr(_pickled_arrays, "MAX_OPERATIONS", 20)
    with refused("G606", "more than 20 operations"):
        read(path, {"labels": list(range(30))})
    monkeypatch.setattr(_pickled_arrays, "MAX_FILE", 20)
    with refused("G606", "at most 20 bytes"):
        read(path, {"labels": list(range(30))})
