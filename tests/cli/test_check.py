"""`genoc check`: what it answers, to people and to programs, with which exit code, and what it costs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from genolang.cli.main import main
from genolang.cli.output import exit_code
from genolang.diagnostics import Diagnostic, GenoError
from genolang.diagnostics.codes import CODES

FINE = "geno 1\n\nop f {\n  return x\n}\n"
WARNED = "geno 1\n\nop f {\n  y = relu(x)\n  return x\n}\n"
WRONG = "geno 1\n\nop f {\n  return y\n}\n"
GARBLED = "geno 1\n\nop f {\n  return x x\n}\n"


def check(*words: str) -> Result:
    return CliRunner().invoke(main, ["check", *words])


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    texts = {"fine": FINE, "warned": WARNED, "wrong": WRONG, "garbled": GARBLED}
    for name, text in texts.items():
        (tmp_path / f"{name}.geno").write_text(text, "utf-8")
    return {name: str(tmp_path / f"{name}.geno") for name in [*texts, "missing"]}


@pytest.mark.parametrize(
    ("names", "code", "severities"),
    [
        (["fine"], 0, []),
        (["warned"], 0, ["warning"]),
        (["fine", "warned"], 0, ["warning"]),
        (["wrong"], 1, ["error"]),
        (["garbled"], 1, ["error"]),
        (["fine", "wrong"], 1, ["error"]),
        (["wrong", "fine"], 1, ["error"]),
        (["warned", "wrong"], 1, ["warning", "error"]),
        (["missing"], 2, ["error"]),
        (["missing", "wrong"], 2, ["error", "error"]),
        (["wrong", "missing", "fine"], 2, ["error", "error"]),
    ],
)
def test_the_answer_and_the_exit_code_agree(
    files: dict[str, str], names: list[str], code: int, severities: list[str]
) -> None:
    given = [files[name] for name in names]
    said = check("--json", *given)
    answer = json.loads(said.stdout)
    assert (said.exit_code, answer["ok"]) == (code, code == 0)
    assert [d["severity"] for d in answer["diagnostics"]] == severities
    shown = check(*given)
    assert (shown.exit_code, shown.stdout) == (code, "")
    counted = " and ".join(
        f"{severities.count(kind)} {kind}{'s' * (severities.count(kind) > 1)}"
        for kind in ("error", "warning")
        if kind in severities
    )
    assert shown.stderr.splitlines()[-1] == f"{counted or 'no problems'} in {len(names)} file{'s' * (len(names) > 1)}"
    assert all(d["code"] in shown.stderr for d in answer["diagnostics"])


def test_a_check_imports_neither_torch_nor_numpy_nor_what_draws() -> None:
    code = (
        "import sys\nfrom genolang.cli.main import main\n"
        "try: main(['check', 'quickstart', 'att_darts/search', 'ean/resnet164'])\n"
        "except SystemExit as end: assert not end.code\n"
        "print({'torch', 'numpy', 'networkx', 'lark', 'rich', 'triton', 'scipy', 'sklearn'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"


CALLS = {
    "G001",
    "G408",
    "G409",
    "G601",
    "G602",
    "G607",
    "G608",
    "G703",
    "G704",
    "G706",
    "G707",
    "G708",
    "G712",
    "G713",
    "G714",
    "G715",
}


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_wrong_call_exits_with_2_a_wrong_program_with_1_a_stop_with_130(code: str) -> None:
    expected = 130 if code == "G710" else 2 if code in CALLS else 1
    assert exit_code(GenoError([Diagnostic(code, "said", None)])) == expected
    both = GenoError([Diagnostic(code, "said", None), Diagnostic("G101", "said", None)])
    assert exit_code(both) == (130 if code == "G710" else 1)
