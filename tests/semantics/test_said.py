"""All that is said of wrong specs, word for word: the place, its labels, the help, and what is not said beside it.

Each file of `said/` holds texts and, below each, what genolang says of it. `REFRESH=1 pytest tests/semantics/test_said.py`
writes what it says now, to be read in review.
"""

import os
from pathlib import Path

import pytest

import genolang
from genolang.diagnostics import render_all

FOLDER = Path(__file__).parent / "said"
BETWEEN, BELOW = "=" * 60 + "\n", "-" * 60 + "\n"


def cases(path: Path) -> list[str]:
    return [case.partition(BELOW)[0] for case in path.read_text("utf-8").split(BETWEEN)]


def said(text: str) -> str:
    return render_all(genolang.check(text, "s.geno")) + "\n"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_what_is_said_of_a_wrong_spec_is_what_was_read_in_review(path: Path) -> None:
    now = BETWEEN.join(text + BELOW + said(text) for text in cases(path))
    if os.environ.get("REFRESH"):
        path.write_text(now, "utf-8")
    assert path.read_text("utf-8") == now


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_of_every_wrong_spec_something_is_said(path: Path) -> None:
    assert all(genolang.check(text, "s.geno") for text in cases(path))
