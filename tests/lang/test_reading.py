"""Files from outside: what is no plain file is refused at once, and no more is read than asked for."""

import errno
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genolang.lang.reading import open_plain, read_plain


@given(st.binary(max_size=40), st.integers(0, 45))
def test_a_file_is_read_to_one_byte_beyond_what_is_allowed(content: bytes, most: int) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        assert read_plain(file.name, most) == content[: most + 1]
        # What is allowed is not set aside before it is there.
        assert read_plain(file.name, 1 << 60) == content


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="no files without a size here")
def test_a_file_that_says_it_is_empty_is_read_as_far() -> None:
    whole = Path("/proc/self/status").read_bytes()
    assert len(read_plain("/proc/self/status", 1 << 20)) > 1
    assert read_plain("/proc/self/status", 9) == whole[:10]


def test_what_is_no_plain_file_is_refused_without_waiting_and_left_closed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    handles = "/proc/self/fd" if os.path.exists("/proc/self/fd") else "/dev/fd"
    before = len(os.listdir(handles))
    for path, code in (
        (tmp_path, errno.EISDIR),
        (tmp_path / "pipe", errno.EINVAL),
        (Path("/dev/zero"), errno.EINVAL),
        (tmp_path / "missing", errno.ENOENT),
    ):
        with pytest.raises(OSError) as caught:
            read_plain(path, 10)
        assert caught.value.errno == code and caught.value.filename == str(path)
    with pytest.raises(IsADirectoryError):
        open_plain(tmp_path)
    with pytest.raises(ValueError):
        open_plain("a\0b")
    assert len(os.listdir(handles)) == before


def test_a_file_is_open_for_reading_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\r\n\xff")
    with open_plain(tmp_path / "a") as file:
        assert file.read() == b"\r\n\xff" and not file.writable()
