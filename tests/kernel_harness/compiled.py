"""Compile kernels ahead of time for GPUs that are not there, and look at what came out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
# Bytes of shared memory that one block may use, and that the blocks of a multiprocessor share.
SHARED = {"cuda:80": 163 * 1024, "cuda:90": 227 * 1024, "hip:gfx942": 64 * 1024}
TOGETHER = {"cuda:80": 164 * 1024, "cuda:90": 228 * 1024, "hip:gfx942": 64 * 1024}

Type = str | tuple["Type", ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """One form of a kernel to compile.

    `arguments` holds types by name as Triton writes them; ':16' marks what 16 divides ('*fp32:16', 'i32:16').
    Global loads are at least `narrowest` and somewhere `widest` bytes, on AMD half of that (0: not looked at).
    `blocks` must fit into one multiprocessor. A thread computes at most `exps` exponentials in one go (-1: not
    looked at). `products` demands matrix units: 'matrix', or 'wgmma' where there are those. `copies`: loads into
    shared memory run beside the computation, 16 bytes at a time but for so many narrower ones, on the targets in
    `copied`.
    """

    name: str
    function: Any
    arguments: Mapping[str, Type]
    constants: Mapping[str, Any]
    warps: int = 4
    stages: int = 2
    narrowest: int = 0
    widest: int = 0
    blocks: int = 2
    exps: int = -1
    products: str = ""
    copies: int = 0
    copied: tuple[str, ...] = ()
    may_spill: frozenset[str] = field(default=frozenset())
    targets: tuple[str, ...] = tuple(SHARED)
    options: Mapping[str, Any] = field(default_factory=dict)


LIMITS = ("narrowest", "widest", "blocks", "warps", "exps", "products", "copies", "copied")


@dataclass(frozen=True, slots=True)
class Family:
    """Compiled measurements of all of a file's variants, by 'variant @ target'."""

    found: dict[str, dict[str, Any]]
    limits: dict[str, dict[str, Any]]
    triton: str

    def check(self) -> None:
        """Every limit of every variant holds, and there are no atomics: fails with all that is broken."""
        faults = [f"{name}: {fault}" for name, row in self.found.items() for fault in self.faults(name, row)]
        assert self.found and not faults, "\n".join(faults)

    def faults(self, name: str, row: Mapping[str, Any]) -> list[str]:
        target, limits = name.rsplit(" @ ", 1)[1], self.limits[name]
        nvidia = target.startswith("cuda")
        copies = {int(width): count for width, count in row["copies"].items()}
        widths = [int(width) for width in row["loads"]] + list(copies)
        # An NVIDIA multiprocessor has 64 Ki registers; an AMD SIMD gives a wave 512 of them.
        registers = row["registers"] * limits["blocks"]
        room = 65536 // (32 * limits["warps"]) if nvidia else 512
        widest = limits["widest"] if nvidia else limits["widest"] // 2
        narrow = sum(count for width, count in copies.items() if width < 16)
        no_products = limits["products"] and not sum(row["matrix"].values())
        no_wgmma = limits["products"] == "wgmma" and target == "cuda:90" and not row["matrix"]["wgmma"]
        tests = {
            f"spills {row['spills']} bytes": row["spills"] > 0 and target not in limits["may_spill"],
            f"{row['atomics']} atomics": row["atomics"] > 0,
            f"{row['shared']} bytes of shared memory": row["shared"] > SHARED[target]
            or (row["shared"] + 1024 * nvidia) * limits["blocks"] > TOGETHER[target],
            f"{row['registers']} registers": registers > room or (nvidia and row["registers"] > 255),
            f"loads of {widths} bytes": bool(widths) and limits["narrowest"] > min(widths),
            f"no load of {widest} bytes in {widths}": widest > max(widths, default=0),
            f"{row['exps']} exponentials a thread": 0 <= limits["exps"] < row["exps"],
            f"products on {row['matrix']}, {row['plain_products']} on none": bool(
                no_products or no_wgmma or (limits["products"] and row["plain_products"])
            ),
            f"copies of {copies} bytes": target in limits["copied"] and (16 not in copies or narrow > limits["copies"]),
        }
        return [fault for fault, broken in tests.items() if broken]

    def compare(self, golden: Path) -> None:
        """Compare with the kept figures, or keep these where REFRESH is set; skips under another Triton."""
        if os.environ.get("REFRESH"):
            rows = [
                f"  {json.dumps(name)}: {json.dumps(row, sort_keys=True)}" for name, row in sorted(self.found.items())
            ]
            golden.write_text(
                f'{{\n "triton": "{self.triton}",\n "kernels": {{\n' + ",\n".join(rows) + "\n }\n}\n", encoding="utf-8"
            )
        wanted = json.loads(golden.read_text(encoding="utf-8"))
        if wanted["triton"] != self.triton:
            pytest.skip(f"the figures are of Triton {wanted['triton']}, this is {self.triton}")
        assert self.found == wanted["kernels"]


def compile_families(files: Mapping[Path, Path | None]) -> list[Family]:
    """Compile what `variants()` of each file lists, but for what its golden file keeps of the same kernels.

    In a process of its own, since a failed assertion in the compiler ends it.
    """
    pytest.importorskip("triton")
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    pairs = [str(part) for file, golden in files.items() for part in (file, golden or "")]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("ahead.py")), *pairs],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-6000:]
    return [Family(**answer) for answer in json.loads(done.stdout.splitlines()[-1])]
