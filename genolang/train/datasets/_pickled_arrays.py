"""Reads the one kind of pickle that CIFAR is published as, as data: nothing in it is ever run.

A pickle is a program. `pickletools.genops` only takes it apart into its operations, and of these
the few that build dictionaries, lists, strings, numbers and uint8 arrays are understood here; names
are compared with a list and never looked up. An `Unpickler` whose `find_class` knows these names
alone would do for what is called, not for what it costs: under it a file of nine bytes takes 900 MB
for its memory of objects (`LONG_BINPUT`), and one of 25 asks `numpy.ndarray` for as much as it likes.
Source: Python's `pickletools`, protocols 2 and 3; NumPy's `ndarray.__reduce__`.
"""

from __future__ import annotations

import math
import pickletools
import struct
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genolang.diagnostics import GenoError, fail
from genolang.train.datasets._base import read_bytes

# CIFAR-100 has 155 megabytes, and half as many again where bytes are written as text.
MAX_FILE = 1 << 28
MAX_OPERATIONS = 2_000_000
MAX_BUILT = 64
# How many bytes of text and of arrays may be made of a file: so many times its size, and so many more.
MOST_MADE = 2
ALWAYS_MADE = 1 << 20

_NAMES = {
    "numpy.core.multiarray _reconstruct": "array",
    "numpy._core.multiarray _reconstruct": "array",
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
    "_codecs encode": "encode",
    "codecs encode": "encode",
}


@dataclass(frozen=True, slots=True)
class _Name:
    """A name in the file that stands for one of the constructors above."""

    means: str


class _Type:
    """The element type uint8, the only one that these files use."""


class _Array:
    """An array that is announced first and filled later, as pickles do."""

    value: NDArray[np.uint8] | None = None


class _RefusedError(Exception):
    """What stands in the file that cannot be taken."""


def read_pickled_arrays(path: Path) -> dict[str, Any]:
    """The dictionary in a pickle: text keys; lists, ints, bytes, text and uint8 arrays as values.

    Strings of Python 2 come as bytes. Raises G602, G603 for a file that ends too early and G606 for
    anything but such a dictionary.
    """
    content = read_bytes(path, MAX_FILE)
    machine = _Machine(MOST_MADE * len(content) + ALWAYS_MADE)
    try:
        # The last operation of every whole pickle; without it the file was cut off.
        stopped = False
        with warnings.catch_warnings():
            # Decoding text of protocol 0, which is refused a line later, may warn of its escapes.
            warnings.simplefilter("ignore", DeprecationWarning)
            for number, (operation, argument, _) in enumerate(pickletools.genops(content)):
                if number >= MAX_OPERATIONS:
                    raise _RefusedError(f"more than {MAX_OPERATIONS} operations")
                stopped = operation.name == "STOP"
                if not stopped:
                    machine.step(operation.name, argument)
        assert stopped, "genops ends with STOP or raises"
        return _dictionary(machine.stack)
    except _RefusedError as refused:
        raise _not_ours(path, str(refused)) from refused
    except MemoryError as error:
        raise _not_ours(path, "more than fits into memory") from error
    except (ValueError, struct.error, OverflowError, IndexError) as error:
        raise _cut_or_foreign(path, content, error) from error


def _not_ours(path: Path, found: str) -> GenoError:
    return fail(
        "G606",
        f"{path}: expected a dictionary of lists, numbers, text and uint8 arrays as CIFAR is published, found {found}",
        help="nothing in the file was run; fetch the data again from where it is published",
    )


def _cut_or_foreign(path: Path, content: bytes, error: Exception) -> GenoError:
    if content[:1] != b"\x80":
        return _not_ours(path, "no pickle of protocol 2")
    if content[-1:] != b"." or "exhausted" in str(error) or "expected" in str(error):
        return fail("G603", f"{path}: expected a whole pickle, found one that breaks off after {len(content)} bytes")
    return _not_ours(path, "a damaged pickle")


def _dictionary(stack: list[Any]) -> dict[str, Any]:
    if len(stack) != 1 or type(stack[0]) is not dict:
        raise _RefusedError("something else")
    found: dict[str, Any] = {}
    for key, value in stack[0].items():
        text = key.decode("latin-1") if isinstance(key, bytes) else key
        if isinstance(value, _Array):
            if value.value is None:
                raise _RefusedError("an array without content")
            value = value.value
        found[text] = value
    return found


class _Machine:
    """The stack of a pickle, its marks and its memory."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.made = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memory: dict[int, Any] = {}
        self.built = 0

    def make(self, size: int) -> None:
        """Counts bytes that come to be beside those of the file, before they are made."""
        self.made += size
        if self.made > self.most:
            raise _RefusedError("more to be made of it than it holds")

    def step(self, name: str, argument: Any) -> None:
        """Does one operation of the short list; raises _RefusedError for every other."""
        if name in _PUSHES:
            if isinstance(argument, str | bytes):
                self.make(sys.getsizeof(argument) if len(argument) > 1000 else 0)
            self.stack.append(_PUSHES[name](argument))
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memory[argument] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            if argument not in self.memory:
                raise _RefusedError("a reference to nothing")
            self.stack.append(self.memory[argument])
        elif name == "MARK":
            self.marks.append(len(self.stack))
        elif name in _TUPLES:
            self.stack.append(tuple(self.pop(_TUPLES[name])))
        elif name == "TUPLE":
            self.stack.append(tuple(self.pop_to_mark()))
        elif name in ("APPEND", "APPENDS"):
            self.extend(self.pop(1) if name == "APPEND" else self.pop_to_mark())
        elif name in ("SETITEM", "SETITEMS"):
            self.update(self.pop(2) if name == "SETITEM" else self.pop_to_mark())
        elif name == "REDUCE":
            self.construct(*self.pop(2))
        elif name == "BUILD":
            self.fill(*self.pop(2))
        elif name != "PROTO":
            raise _RefusedError(f"the operation {name}")

    def pop(self, count: int) -> list[Any]:
        floor = self.marks[-1] if self.marks else 0
        if len(self.stack) - count < floor:
            raise _RefusedError("an operation without its operands")
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def pop_to_mark(self) -> list[Any]:
        if not self.marks:
            raise _RefusedError("an end without a beginning")
        start = self.marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def top(self, kind: type) -> Any:
        if not self.stack or type(self.stack[-1]) is not kind:
            raise _RefusedError(f"no {kind.__name__} where one should be")
        return self.stack[-1]

    def extend(self, items: list[Any]) -> None:
        self.top(list).extend(items)

    def update(self, items: list[Any]) -> None:
        target = self.top(dict)
        keys, values = items[::2], items[1::2]
        if len(keys) != len(values) or any(type(key) not in (str, bytes) for key in keys):
            raise _RefusedError("a dictionary whose keys are not text")
        target.update(zip(keys, values, strict=True))

    def construct(self, name: Any, arguments: Any) -> None:
        """`name(*arguments)` for the three names that there are, each only as NumPy writes it."""
        self.built += 1
        if self.built > MAX_BUILT:
            raise _RefusedError(f"more than {MAX_BUILT} arrays")
        if type(name) is not _Name or type(arguments) is not tuple:
            raise _RefusedError("a call of something unknown")
        match name.means, arguments:
            case "array", (_Name(means="ndarray"), (0,), b"b" | "b"):
                self.stack.append(_Array())
            case "dtype", (b"u1" | "u1", 0 | 1, 0 | 1):
                self.stack.append(_Type())
            case "encode", (str(text), b"latin1" | "latin1"):
                self.make(len(text))
                self.stack.append(text.encode("latin-1"))
            case _:
                raise _RefusedError(f"an unknown use of {name.means}")

    def fill(self, target: Any, state: Any) -> None:
        """The second half of an element type or an array."""
        self.stack.append(target)
        match target, state:
            case _Type(), (3, b"|" | "|", None, None, None, -1, -1, 0):
                return
            case _Array(value=None), (1, tuple(shape), _Type(), 0 | 1 as by_column, bytes(raw)):
                if not all(type(size) is int and size >= 0 for size in shape) or len(shape) > 8:
                    raise _RefusedError("an array of impossible shape")
                if math.prod(shape) != len(raw):
                    raise _RefusedError(f"an array with {len(raw)} bytes for its shape")
                flat = np.frombuffer(raw, np.uint8)
                target.value = flat.reshape(shape, order="F" if by_column else "C")
            case _:
                raise _RefusedError("an unknown kind of array")


def _name(text: str) -> _Name:
    if text not in _NAMES:
        raise _RefusedError(f"a call of `{text.replace(' ', '.')[:80]}`")
    return _Name(_NAMES[text])


def _as_it_is(argument: Any) -> Any:
    return argument


def _python2_string(argument: str) -> bytes:
    return argument.encode("latin-1")


_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUSHES: dict[str, Callable[[Any], Any]] = {
    "EMPTY_DICT": lambda _: {},
    "EMPTY_LIST": lambda _: [],
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "BININT": _as_it_is,
    "BININT1": _as_it_is,
    "BININT2": _as_it_is,
    "LONG1": _as_it_is,
    "BINUNICODE": _as_it_is,
    "BINBYTES": _as_it_is,
    "SHORT_BINBYTES": _as_it_is,
    "BINSTRING": _python2_string,
    "SHORT_BINSTRING": _python2_string,
    "GLOBAL": _name,
}
