"""Fused kernels: a leaf package that imports torch and triton and nothing of genolang."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if __name__ != "genolang.kernels":
    raise ImportError("this folder is the package genolang.kernels; import it by that name")

if TYPE_CHECKING:
    from genolang.kernels.record import Kernel


@cache
def found_by_pattern() -> Mapping[str, Kernel]:
    """By name, the kernels that stand wherever their pattern does: `KERNELS` of this package's folders."""
    folders = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__) if found.ispkg]
    return {name: kernel for folder in folders for name, kernel in getattr(folder, "KERNELS", {}).items()}
