import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from genolang.cli.fmt import fmt

UGLY, FINE, WRONG = "geno 1\nop a=x\n", "geno 1\nop a = x\n", "geno 1\nop a = )\n"


def call(*args: str | Path, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(fmt, [str(a) for a in args], input=io.BytesIO(stdin))


def spec(folder: Path, text: str, name: str = "a.geno") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def printed(result: Result) -> Any:
    return json.loads(result.stdout)


def test_a_file_is_written_in_place(tmp_path: Path) -> None:
    path = spec(tmp_path, UGLY)
    result = call(path)
    assert (result.exit_code, result.stdout) == (0, "")
    assert path.read_text() == FINE
    assert result.stderr == f"changed: {path}\n"
    assert os.listdir(tmp_path) == ["a.geno"]


def test_a_canonical_file_is_not_touched(tmp_path: Path) -> None:
    path = spec(tmp_path, FINE)
    os.utime(path, (1, 1))
    assert call(path).exit_code == 0
    assert path.stat().st_mtime == 1


def test_permissions_and_links_stay(tmp_path: Path) -> None:
    path = spec(tmp_path, UGLY)
    path.chmod(0o640)
    link = tmp_path / "link.geno"
    link.symlink_to(path)
    assert call(link).exit_code == 0
    assert link.is_symlink() and path.read_text() == FINE
    assert path.stat().st_mode & 0o777 == 0o640


def test_check_writes_nothing_and_exits_1_for_a_file_that_would_change(tmp_path: Path) -> None:
    ugly, fine = spec(tmp_path, UGLY), spec(tmp_path, FINE, "b.geno")
    result = call("--check", ugly, fine)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"would change: {ugly}\n"
    assert ugly.read_text() == UGLY
    assert call("--check", fine).exit_code == 0


def test_diff_is_printed_and_nothing_written(tmp_path: Path) -> None:
    path = spec(tmp_path, UGLY)
    result = call("--diff", path)
    assert result.exit_code == 0
    assert "-op a=x\n+op a = x\n" in result.stdout
    assert path.read_text() == UGLY


def test_line_ends_count_as_a_change(tmp_path: Path) -> None:
    path = spec(tmp_path, FINE.replace("\n", "\r\n"))
    assert call("--check", "--diff", path).exit_code == 1
    assert call(path).exit_code == 0
    assert path.read_bytes() == FINE.encode()


def test_stdin_goes_to_stdout() -> None:
    result = call("-", stdin=UGLY.encode())
    assert (result.exit_code, result.stdout) == (0, FINE)
    assert call("--check", "-", stdin=UGLY.encode()).exit_code == 1
    assert printed(call("--json", "-", stdin=UGLY.encode()))["text"] == FINE


def test_a_file_with_errors_is_left_alone_and_the_others_are_formatted(tmp_path: Path) -> None:
    wrong, ugly = spec(tmp_path, WRONG), spec(tmp_path, UGLY, "b.geno")
    result = call(wrong, ugly)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "error[G006]" in result.stderr and f"not formatted: {wrong}" in result.stderr
    assert wrong.read_text() == WRONG and ugly.read_text() == FINE


def test_json_is_one_object(tmp_path: Path) -> None:
    names = [spec(tmp_path, t, f"{n}.geno") for n, t in enumerate((UGLY, FINE, WRONG))]
    found = printed(call("--json", "--diff", *names))
    changed, unchanged, failed = map(str, names)
    assert found["changed"] == [changed] and found["unchanged"] == [unchanged]
    assert found["failed"] == [failed] and found["diagnostics"][0]["code"] == "G006"
    assert list(found["diffs"]) == [changed]


@pytest.mark.parametrize("args", [[], ["--nonsense", "a.geno"], ["missing.geno"], ["."]])
def test_a_wrong_call_exits_2(args: list[str]) -> None:
    assert call(*args).exit_code == 2


def test_a_folder_that_cannot_be_written_is_a_diagnostic(tmp_path: Path) -> None:
    path = spec(tmp_path, UGLY)
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    result = call(path)
    tmp_path.chmod(0o700)
    assert result.exit_code == 1 and "G709" in result.stderr


def test_formatting_imports_neither_torch_nor_numpy(tmp_path: Path) -> None:
    code = (
        "import contextlib, sys\n"
        "from genolang.cli.fmt import fmt\n"
        "with contextlib.suppress(SystemExit):\n"
        "    fmt.main(sys.argv[1:])\n"
        "print({'torch', 'numpy', 'networkx', 'lark'} & set(sys.modules))\n"
    )
    command = [sys.executable, "-c", code, str(spec(tmp_path, FINE))]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")
