"""The public face in Python: load a spec, look at its networks, build them."""

from __future__ import annotations

from pathlib import Path

from genolang.diagnostics import Diagnostic, GenoError, Source
from genolang.semantics.check import Checked, check_source, expand_network
from genolang.semantics.modules import LIBRARY, read_source
from genolang.semantics.program import Program
from genolang.semantics.sections import search_settings, train_settings
from genolang.semantics.settings import SearchSettings, TrainSettings


def check(text: str, name: str = "<text>") -> list[Diagnostic]:
    """Every diagnostic of a spec given as text; an empty list means that nothing is wrong."""
    return check_source(Source(name, text)).diagnostics
