"""How much one program may ask for, so that any text at all is answered soon. One table.

Each can be raised by whoever runs genolang, through the environment (`GENOC_LIMIT_STEPS=5000000`),
and by no spec. A diagnostic about a limit names it.
"""

from __future__ import annotations

import os
from functools import cache

LIMITS: dict[str, tuple[int, str]] = {
    "bytes": (4_000_000, "bytes of one file"),
    "graph_bytes": (64_000_000, "bytes of one graph in a file"),
    "words": (100_000, "words, signs and comments in one file"),
    "chain": (1_000, "stages of one pipeline, alternatives of one choice, terms of one sum or product"),
    "steps": (300_000, "steps that working out one file's definitions may take"),
    "parts": (50_000, "parts of one compile-time value: a list with its lists, an operation with its own"),
    "repeat": (10_000, "rounds of one `repeat`, numbers of one `range`"),
    "edges": (10_000, "edges of one cell"),
    "cells": (2_000, "cells of one network"),
    "layers": (20_000, "layers of one definition, calls counted once"),
    "expanded_layers": (2_000_000, "layers of one network, calls counted in full"),
    "parameters": (100_000_000_000, "learnable numbers of one network"),
    "map": (1_000_000_000_000, "numbers of one feature map of one image"),
    "problems": (100, "problems reported at once"),
}


@cache
def limit(name: str) -> int:
    """The value of a limit, as raised in the environment if it is; what is not a number there is ignored."""
    default = LIMITS[name][0]
    given = os.environ.get(variable(name), "")
    return int(given) if given.isdecimal() and len(given) < 19 else default


def variable(name: str) -> str:
    return f"GENOC_LIMIT_{name.upper()}"


def limit_note(name: str) -> str:
    """The line by which a diagnostic says which limit it is about and how it is raised."""
    return f"the limit on {name} is {limit(name):,}; {variable(name)} in the environment changes it"
