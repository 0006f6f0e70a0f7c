"""genolang: a small language for convolutional networks with attention."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from genolang.version import __version__ as __version__

if TYPE_CHECKING:
    from genolang.api import Network, Plan, Spec, check, load, load_graph
    from genolang.diagnostics import Diagnostic, GenoError
    from genolang.train.pouring import pour
    from genolang.train.trained import Run, load_run

__all__ = [
    "Diagnostic",
    "GenoError",
    "Network",
    "Plan",
    "Run",
    "Spec",
    "check",
    "load",
    "load_graph",
    "load_run",
    "pour",
]
_HOMES = {
    "Diagnostic": "genolang.diagnostics",
    "GenoError": "genolang.diagnostics",
    "Run": "genolang.train.trained",
    "load_run": "genolang.train.trained",
    "pour": "genolang.train.pouring",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'genolang' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "genolang.api")), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
