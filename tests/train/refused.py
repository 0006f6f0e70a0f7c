"""Checks that something is refused with a diagnostic that says what it should."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from genolang.diagnostics import GenoError


@contextmanager
def refused(code: str, *mentions: object) -> Iterator[None]:
    with pytest.raises(GenoError) as error:
        yield
    (diagnostic,) = error.value.diagnostics
    said = f"{diagnostic.message} {diagnostic.help}"
    assert diagnostic.code == code, said
    for mention in mentions:
        assert str(mention) in said
