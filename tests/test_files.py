"""Files are written in one step, and in one place."""

import ast
import os
import stat
from pathlib import Path

import pytest

import genolang
from genolang import files
from genolang.diagnostics import GenoError
from genolang.files import write_atomically, write_text

PACKAGE = Path(genolang.__file__).parent
# A journal grows by lines, and a lock has no content.
OTHERS = {"files.py": 1, "train/journal.py": 1, "train/run_folder.py": 1}
WRITING = {"write_text", "write_bytes", "touch", "savez", "save_file"}


def writes(tree):
    """The calls that open a file for writing, or write one by its path."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            texts = [a.value for a in (*node.args, *(k.value for k in node.keywords)) if isinstance(a, ast.Constant)]
            mode = name == "open" and any(isinstance(t, str) and set(t) & set("wax+") and len(t) < 4 for t in texts)
            if mode or (name in WRITING and isinstance(node.func, ast.Attribute)):
                yield name


def test_the_package_writes_files_in_one_place():
    found = {}
    for path in PACKAGE.rglob("*.py"):
        if count := len(list(writes(ast.parse(path.read_text("utf-8"))))):
            found[path.relative_to(PACKAGE).as_posix()] = count
    assert found == OTHERS


@pytest.mark.parametrize("source", ["open(p, 'w')", "p.open('ab')", "p.open(mode='x')", "p.write_text(t)", "p.touch()"])
def test_what_writes_is_found(source):
    assert list(writes(ast.parse(source)))


@pytest.mark.parametrize("source", ["open(p)", "p.open('rb')", "write_text(p, t)", "job.open()"])
def test_what_reads_is_not(source):
    assert not list(writes(ast.parse(source)))


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
def test_a_file_that_could_not_be_written_is_the_one_that_was_there(tmp_path, monkeypatch, step):
    path = tmp_path / "a.geno"
    path.write_text("before")
    for error in (OSError(28, "No space left on device"), KeyboardInterrupt()):

        def fails(*_, error=error):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(files.os, step, fails)
            with pytest.raises((GenoError, KeyboardInterrupt)):
                write_atomically(path, b"after")
        assert path.read_text() == "before"
    # What a kill leaves behind is told by its name, what could be removed is.
    files.remove_temporary_files(tmp_path)
    assert os.listdir(tmp_path) == ["a.geno"]


def test_a_file_keeps_its_permissions(tmp_path):
    path = tmp_path / "a.geno"
    path.write_text("before")
    path.chmod(0o640)
    write_text(path, "after")
    assert path.read_text() == "after" and stat.S_IMODE(path.stat().st_mode) == 0o640
