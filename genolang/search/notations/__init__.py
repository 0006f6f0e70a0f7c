"""Other people's notations for found networks, to and from the text of the language. Without torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from genolang.diagnostics import Source
    from genolang.semantics.modules import Module

FORMATS = {
    "darts": "a `Genotype(normal=[...], ...)` of DARTS, PC-DARTS, P-DARTS or Att-DARTS",
    "nasbench201": "a cell of NAS-Bench-201: `|nor_conv_3x3~0|+|skip_connect~0|none~1|+|...|`",
    "ean": "the scheme of an efficient attention network, in bits per stage: `001100,000111,101100`",
}


class Notation(Protocol):
    """A module of this package."""

    def read(self, source: Source, name: str | None) -> str:
        """The spec that a text stands for, `name` choosing where it holds several. Error: G610."""
        ...

    def write(self, module: Module, name: str | None) -> str:
        """A spec in the notation, `name` choosing a definition. Error: G609."""
        ...


def read_spec(format: str, source: Source, name: str | None) -> str:
    """The spec that a text in one of FORMATS stands for, which checks. Errors: G002, G610."""
    from genolang.diagnostics import Source, fail
    from genolang.semantics.check import check_source

    text = notation(format).read(source, name)
    wrong = [d for d in check_source(Source("imported.geno", text)).diagnostics if d.severity == "error"]
    if wrong:
        called = f"with the name `{name}`" if name else "as it stands"
        raise fail(
            "G610",
            f"{called} this would be a spec that does not check: {wrong[0].message}",
            help="choose another --name" if name else None,
        )
    return text


def notation(format: str) -> Notation:
    """The notation of one of FORMATS."""
    return cast(Notation, importlib.import_module(f"genolang.search.notations.{format}"))
