"""Benchmarks: compiled, plain and hand-written networks, interleaved in one process."""

import sys
from pathlib import Path

# The hand-written networks are those that the tests hold ours against.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
