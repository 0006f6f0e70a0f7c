"""Every code has a page whose bad example raises exactly it and whose good one raises nothing.

`REFRESH=1 pytest tests/diagnostics/test_pages.py` writes what genolang says now into the pages.
"""

import contextlib
import os
import re
from pathlib import Path

import pytest
from markdown import Block, blocks, with_block

from genolang.diagnostics import Diagnostic, GenoError, render_all
from genolang.diagnostics.codes import CODES
from genolang.diagnostics.pages import FOLDER, find_code, page
from genolang.lang.limits import limit
from genolang.semantics.check import check_source
from genolang.semantics.modules import read_source

MAIN = "example.geno"
# Codes about how a command was called or about a run; their examples are command lines.
COMMANDS = {"G001", "G002", "G003", "G408", "G409", "G415", "G416", "G423", "G505", "G310", "G506", "G508", "G509"}
# A wrong name of data is one in a spec, too.
TEXT_CODES = [c for c in CODES if (c[1] in "012345" and c not in COMMANDS) or c == "G601"]


def said_of(code: str, kind: str, folder: Path) -> list[Diagnostic]:
    """What is said of an example with the files that its page describes beside it."""
    block, around = example(code, kind)
    for other in around:
        (folder / other.info.removeprefix("geno file=")).write_text(other.text, "utf-8")
    (folder / MAIN).write_text(block.text, "utf-8")
    with contextlib.chdir(folder):
        return check_source(read_source(MAIN), Path(MAIN)).diagnostics


def example(code: str, kind: str) -> tuple[Block, list[Block]]:
    """An example and the files beside it: those between it and the next example."""
    found = blocks(page(code))
    (number,) = [i for i, b in enumerate(found) if b.info == f"geno {kind}"]
    around = []
    for block in found[number + 1 :]:
        if block.info in ("geno bad", "geno good"):
            break
        if block.info.startswith("geno file="):
            around.append(block)
    if not around and kind == "good":
        around = [b for b in found if b.info.startswith("geno file=")]
    return found[number], around


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    assert {path.stem for path in FOLDER.glob("*.md")} == set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_page_begins_with_its_code_and_says_what_it_means(code: str) -> None:
    lines = page(code).splitlines()
    assert lines[0] == f"# {code}: {CODES[code]}"
    assert lines[1] == "" and len(lines[2]) > 30


@pytest.mark.parametrize("code", TEXT_CODES)
def test_bad_example_raises_exactly_its_code(code: str, tmp_path: Path) -> None:
    said = said_of(code, "bad", tmp_path)
    assert {d.code for d in said} == {code}, render_all(said)


@pytest.mark.parametrize("code", TEXT_CODES)
def test_page_shows_what_is_said_of_its_bad_example(code: str, tmp_path: Path) -> None:
    rendered = render_all(said_of(code, "bad", tmp_path)) + "\n"
    (shown,) = [b for b in blocks(page(code)) if b.info == "text"]
    if os.environ.get("REFRESH"):
        (FOLDER / f"{code}.md").write_text(with_block(page(code), shown, rendered), "utf-8")
    else:
        assert shown.text == rendered


@pytest.mark.parametrize("code", TEXT_CODES)
def test_good_example_raises_nothing(code: str, tmp_path: Path) -> None:
    assert not said_of(code, "good", tmp_path)


@pytest.mark.parametrize("code", sorted(set(CODES) - set(TEXT_CODES)))
def test_page_about_a_command_shows_command_lines(code: str) -> None:
    (shown,) = [b for b in blocks(page(code)) if b.info == "sh"]
    assert re.search(
        r"^(genoc (new|check|plan|search|train|compile|evaluate|predict)|python) ", shown.text, re.MULTILINE
    )


def test_file_that_is_not_there_is_g001_and_names_a_similar_one(tmp_path: Path) -> None:
    (tmp_path / "first.geno").write_text("geno 1\n")
    with pytest.raises(GenoError) as error:
        read_source(str(tmp_path / "frist.geno"))
    (found,) = error.value.diagnostics
    assert found.code == "G001" and found.help == "did you mean `first.geno`?"


def test_bytes_that_are_no_text_are_g002_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "latin.geno").write_bytes(b"geno 1\nop f = \xffrelu\n")
    with pytest.raises(GenoError) as error:
        read_source(str(tmp_path / "latin.geno"))
    (found,) = error.value.diagnostics
    assert found.code == "G002" and "byte 14" in found.message


def test_file_over_the_limit_is_g003_and_names_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "big.geno"
    file.write_bytes(b" " * (limit("bytes") + 1))
    with pytest.raises(GenoError) as error:
        read_source(str(file))
    (found,) = error.value.diagnostics
    assert found.code == "G003" and "GENOC_LIMIT_BYTES" in found.notes[0]


def test_code_is_found_by_number_and_by_name() -> None:
    assert find_code("g301") == find_code("shapes-differ") == find_code("Shapes_Differ") == "G301"
    assert find_code("G999") is None
