"""Run files of kernel tests where Triton interprets; that is decided when Triton is imported, so: elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def passes_interpreted(*files: Path) -> None:
    """Run files of tests with TRITON_INTERPRET=1 and fail with their output if they do not all pass."""
    pytest.importorskip("triton")
    command = [
        sys.executable,
        "-m",
        "pytest",
        *map(str, files),
        "-p",
        "no:xdist",
        "-p",
        "no:cacheprovider",
        "--tb=short",
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
