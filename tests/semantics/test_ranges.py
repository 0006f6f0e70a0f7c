"""Numbers that a spec may not give, since what they compute would be infinite or nothing at all."""

import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner

import genolang
from genolang.cli.main import main
from genolang.semantics.space import in_digits

NETWORK = """\
geno 1
op change = {change}
network n {{
  input image(1, 8, 8)
  body  change
  head  {head}
}}
train {{ data digits  epochs 1  {more} }}
"""


def spec(change: str = "relu", head: str = "global_avg_pool -> linear(10)", more: str = "") -> str:
    return NETWORK.format(change=change, head=head, more=more)


def codes(text: str) -> list[str]:
    return [d.code for d in genolang.check(text)]


@pytest.mark.parametrize(
    "change",
    [
        "x * 1e15 * 1e15",
        "relu * 1e15 * 1e15 * 1e15",
        "x + 1e15 + 1e15",
        "relu + 1e15 + 1",
        "x / 1e-30",
        "dropout(-1)",
        "dropout(1.1)",
        "dropout(p=7)",
        "batch_norm(eps=-1)",
        "batch_norm(momentum=2)",
        "batch_norm(momentum=-0.1)",
        "layer_norm(eps=-1e-5)",
    ],
)
def test_a_number_out_of_its_range_is_refused(change: str) -> None:
    assert codes(spec(change)) == ["G207"]


@pytest.mark.parametrize(
    "change",
    [
        "x * 1e15",
        "relu * 1e5 * 1e10",
        "x + 1e15",
        "x / 1e-15",
        "dropout(0)",
        "dropout(1)",
        "batch_norm(eps=0, momentum=1)",
        "-1 * x * -1e15",
    ],
)
def test_a_number_at_the_end_of_its_range_is_taken(change: str) -> None:
    assert codes(spec(change)) == []


@pytest.mark.parametrize(
    "schedule",
    [
        "1",
        "1.5",
        "cosine(1, 0)",
        "linear(0, 1)",
        "step(0.1, factor=2, at=3)",
        "exponential(0.5, factor=1.1)",
        "constant(1, warmup=3)",
    ],
)
def test_drop_path_stays_below_one(schedule: str) -> None:
    assert codes(spec(more=f"drop_path {schedule}")) == ["G503"]
    assert codes(spec(more="drop_path linear(0, 0.99)")) == []


@pytest.mark.parametrize("command", ["train", "search"])
def test_a_network_without_weights_is_not_trained(command: str, tmp_path: Path) -> None:
    change = "relu" if command == "train" else "relu | sigmoid"
    text = (
        spec(change, "global_avg_pool -> repeat_channels(10)", "").replace("op change", "choice change")
        if command == "search"
        else spec(change, "global_avg_pool -> repeat_channels(10)")
    )
    path = tmp_path / "a.geno"
    path.write_text(text)
    words = [command, str(path), "--out", str(tmp_path / "run"), *(["--method", "darts"] * (command == "search"))]
    done = CliRunner().invoke(main, [*words, "--data", "digits"], catch_exceptions=False)
    assert done.exit_code == 1 and "G509" in done.stderr and not (tmp_path / "run").exists()


def test_a_number_of_genotypes_is_written_in_full_however_long() -> None:
    number = random.Random(1).getrandbits(40_000)
    digits = in_digits(number)
    assert len(digits) > 12_000 and digits[0] != "0"
    value = 0
    for start in range(0, len(digits), 1000):
        part = digits[start : start + 1000]
        value = value * 10 ** len(part) + int(part)
    assert value == number and in_digits(0) == "0"


def test_a_space_of_more_genotypes_than_python_writes_is_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.geno"
    path.write_text(spec("relu | sigmoid").replace("op change", "choice change"))
    monkeypatch.setattr("genolang.api.count_genotypes", lambda program: 7**6000)
    done = CliRunner().invoke(main, ["plan", str(path)], catch_exceptions=False)
    assert done.exit_code == 0 and "3.874e5070" in done.stdout
    done = CliRunner().invoke(main, ["plan", str(path), "--json"], catch_exceptions=False)
    assert len(json.loads(done.stdout)["genotypes"]) == 5071
