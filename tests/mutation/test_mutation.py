"""What faults are planted, which tests are asked, and that a fault is noticed by the test that it breaks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation import __main__ as command
from tests.mutation.operators import Mutant, mutants, parses
from tests.mutation.recording import ROOT, Recording, Test, scope_of
from tests.mutation.sampling import sample, task


def planted(source: str) -> dict[str, set[str]]:
    """The changed texts, by operator."""
    found: dict[str, set[str]] = {}
    for mutant in mutants(source):
        assert parses(source, mutant)
        found.setdefault(mutant.operator, set()).add(mutant.apply(source))
    return found


@pytest.mark.parametrize(
    ("source", "operator", "changed"),
    [
        ("if a < b:\n    f()", "condition negated", ["if (not (a < b)):\n    f()"]),
        ("x = a < b <= c", "comparison swapped", ["x = a <= b <= c", "x = a < b < c"]),
        ("x = not a", "`not` dropped", ["x = (a)"]),
        ("x = a and b", "`and`/`or` swapped", ["x = (a or b)"]),
        ("x = a or b or c", "operand dropped", ["x = (b or c)", "x = (a or c)", "x = (a or b)"]),
        ("x = 7", "number off by one", ["x = 8"]),
        ("x = True", "truth flipped", ["x = False"]),
        ("x = é + 'é' if a else b - c", "arithmetic swapped", ["x = é + 'é' if a else (b + c)"]),
        ("raise ValueError(é)", "statement dropped", ["pass"]),
        (
            "x.y = z; x += y; f(x)",
            "statement dropped",
            ["pass; x += y; f(x)", "x.y = z; pass; f(x)", "x.y = z; x += y; pass"],
        ),
        ("def f(): return a", "nothing returned", ["def f(): return None"]),
        (
            "if a:\n    f()\nelif b:\n    g()\nelse:\n    h()\n",
            "else dropped",
            ["if a:\n    f()\n", "if a:\n    f()\nelif b:\n    g()\n"],
        ),
        ("x = [a, b]", "literal emptied", ["x = []"]),
        ("x = f(a, key=b)", "keyword dropped", ["x = f(a)"]),
        (
            "x = {'a': y['b']} if z == 'c' else d",
            "key changed",
            [
                "x = {'a_': y['b']} if z == 'c' else d",
                "x = {'a': y['b_']} if z == 'c' else d",
                "x = {'a': y['b']} if z == 'c_' else d",
            ],
        ),
        ("x = [y for y in z if y.a]", "filter dropped", ["x = [y for y in z if True]"]),
        ("x = sorted(y, key=z)", "call swapped", ["x = list(y)"]),
        ("x = -y", "sign dropped", ["x = (y)"]),
    ],
)
def test_each_operator_changes_what_it_says(source: str, operator: str, changed: list[str]) -> None:
    assert planted(source)[operator] == set(changed)


@pytest.mark.parametrize(
    "source",
    [
        '"""1 + 1"""',
        "def f(x: List[1] = y) -> 'a' | 'b': ...",
        "__all__ = ['a', 'b']",
        "if TYPE_CHECKING:\n    import a",
        "@cache(maxsize=2)\ndef f(): pass",
        "assert a == 1, 'b'",
        "x = f'{a + 1} of {b == 2}'",
        "x = cast(a | b, y)",
        "raise AssertionError(1)",
        "x = zip(a, b, strict=True)",
        "x = fail('a', help='b')",
        "def f(): return None",
    ],
)
def test_what_changes_no_behaviour_is_left_alone(source: str) -> None:
    wrong = planted(source)
    wrong.pop("truth flipped", None)
    assert not wrong


def test_a_mutant_keeps_its_name_when_lines_above_come_and_go() -> None:
    before, after = "x = 1\ny = a < b\n", "import z\n\nx = 1\ny = a < b\n"
    keys = [[m.key("m", text) for m in mutants(text)] for text in (before, after)]
    assert keys[0] == keys[1] and len({*keys[0]}) == len(keys[0])
    assert keys[0] != [m.key("other", before) for m in mutants(before)]


def test_what_runs_on_import_is_told_from_what_a_function_does() -> None:
    source = "a = 1\ndef f(b=2):\n    def g(c=3): return 4\nclass C:\n    d = 5\n    def h(self): return 6\n"
    found = {m.text: (m.scope, m.on_import) for m in mutants(source) if m.operator == "number off by one"}
    assert found == {
        "2": ("", True),
        "3": ("f", True),
        "4": ("f.g", False),
        "5": ("f.g", False),
        "6": ("C", True),
        "7": ("C.h", False),
    }


def test_a_scope_is_the_innermost_thing_with_a_name() -> None:
    class Inner:
        def method(self) -> object:
            return lambda: [x.y for x in ()]

    made = Inner().method()
    assert scope_of(Inner.method.__code__) == scope_of(made.__code__)  # type: ignore[attr-defined]
    assert scope_of(made.__code__).endswith("Inner.method")  # type: ignore[attr-defined]


def test_every_file_is_asked_its_quickest_test_first_and_within_the_time(tmp_path: Path) -> None:
    recording = Recording(
        {
            "tests/cli/test_new.py::near": Test(0.1, ["genolang/lang/tokens.py:_reasonable"]),
            "tests/lang/test_tokens.py::slow": Test(5.0, ["genolang/lang/tokens.py:_reasonable"]),
            "tests/lang/test_tokens.py::quick": Test(0.2, ["genolang/lang/tokens.py:_reasonable"]),
            "tests/lang/test_tokens.py::beside": Test(0.1, []),
            "tests/cli/test_fmt.py::other": Test(0.1, []),
        }
    )
    recording.write(tmp_path / "calls.json")
    assert Recording.read(tmp_path / "calls.json") == recording
    Recording({"tests/gone.py::test": Test(1.0, []), **recording.tests}).write(tmp_path / "calls.json")
    assert Recording.read(tmp_path / "calls.json") == recording
    names = recording.for_function("genolang/lang/tokens.py", "_reasonable")
    assert [name.partition("::")[2] for name in names] == ["quick", "near", "slow", "beside"]
    mutant = Mutant("number off by one", "_reasonable", 1, 0, 0, "", False)
    chosen = task("genolang/lang/tokens.py", mutant, recording, 0.35)
    assert [name.partition("::")[2] for name in chosen.tests] == ["quick", "near"]
    assert chosen.seconds == pytest.approx(0.3)


def test_a_sample_is_the_same_for_a_seed_and_part_of_a_larger_one() -> None:
    some = sample("genolang/lang/tokens.py", 9, 3)
    assert some == sample("genolang/lang/tokens.py", 30, 3)[:9] != sample("genolang/lang/tokens.py", 9, 4)


MODULE = "genolang/lang/limits.py"


def run_faults(folder: str) -> None:
    """Plants four faults twice: two that a test notices, one that it does not, one that no test calls."""
    source = (ROOT / MODULE).read_text("utf-8")
    faults = [
        next(m for m in mutants(source) if m.scope == "limit" and m.operator == "nothing returned"),
        next(m for m in mutants(source) if m.on_import and m.text == "'words_'"),
        next(m for m in mutants(source) if m.on_import and m.text == "10001"),
        next(m for m in mutants(source) if m.scope == "variable"),
    ]
    command.sample = lambda *_: faults
    sys.argv = ["mutation", "run", MODULE, "--folder", folder, "--jobs", "1"]
    for _ in range(2):
        assert command.main() == 0


def test_faults_are_noticed_by_the_tests_that_they_break_and_no_file_is_changed(tmp_path: Path) -> None:
    name = "tests/lang/test_parser.py::test_a_text_of_too_many_words_is_read_no_further"
    Recording({name: Test(1.0, [f"{MODULE}:limit"])}).write(tmp_path / "calls.json")
    before = (ROOT / MODULE).read_bytes()
    code = f"from tests.mutation.test_mutation import run_faults; run_faults({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    lines = (tmp_path / "results.jsonl").read_text("utf-8").splitlines()
    # The second time everything is known.
    assert sorted(json.loads(line)["end"] for line in lines) == ["alive", "killed", "killed", "not called"]
    assert (ROOT / MODULE).read_bytes() == before
