"""`genoc new`: a shipped spec becomes a file, and a file that is there stays."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from genolang.cli.main import main
from genolang.semantics.modules import LIBRARY, library_names


def new(*words: str) -> Result:
    return CliRunner().invoke(main, ["new", *words])


@pytest.mark.parametrize("parts", library_names(), ids="/".join)
def test_every_shipped_spec_can_be_begun_with(parts: tuple[str, ...], tmp_path: Path) -> None:
    shipped = LIBRARY.joinpath(*parts).with_suffix(".geno").read_bytes()
    for i, name in enumerate(("/".join(parts), f"specs/{'/'.join(parts)}.geno")):
        target = tmp_path / f"{i}.geno"
        done = new(str(target), "--from", name)
        assert (done.exit_code, done.stdout) == (0, "") and str(target) in done.stderr
        assert target.read_bytes() == shipped


def test_without_a_name_it_is_the_quickstart(tmp_path: Path) -> None:
    assert new(str(tmp_path / "a.geno")).exit_code == 0
    assert (tmp_path / "a.geno").read_bytes() == (LIBRARY / "quickstart.geno").read_bytes()


@pytest.mark.parametrize("there", ["file", "link to a file", "link to nothing"])
def test_what_is_there_stays_unless_it_is_forced(tmp_path: Path, there: str) -> None:
    target = tmp_path / "mine.geno"
    kept = tmp_path / "kept.geno"
    if there == "file":
        target.write_text("mine", "utf-8")
    else:
        target.symlink_to(kept)
        if there == "link to a file":
            kept.write_text("mine", "utf-8")
    refused = new(str(target))
    assert refused.exit_code == 2 and "G707" in refused.stderr and "--force" in refused.stderr
    assert target.read_text("utf-8") == "mine" if target.exists() else not kept.exists()
    assert new(str(target), "--force").exit_code == 0
    assert target.read_bytes() == (LIBRARY / "quickstart.geno").read_bytes()


def test_a_name_that_is_not_shipped_is_answered_with_those_that_are(tmp_path: Path) -> None:
    near = new(str(tmp_path / "a.geno"), "--from", "quickstrat")
    assert near.exit_code == 2 and "G001" in near.stderr and "did you mean `quickstart`?" in near.stderr
    far = new(str(tmp_path / "a.geno"), "--from", "zzzzzzzzzzz")
    assert all("/".join(parts) in far.stderr for parts in library_names())
    assert not (tmp_path / "a.geno").exists()
