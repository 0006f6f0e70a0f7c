import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from genolang.api import load
from genolang.cli.main import main
from genolang.compiler import driver
from genolang.semantics.check import expand_network
from genolang.semantics.modules import LIBRARY
from genolang.semantics.recipes import network_for
from genolang.semantics.sections import train_settings
from genolang.semantics.space import count_genotypes

# Parameters, open decisions and multiply-accumulates of convolutions and linear layers, as published or
# counted in the published code.
ROWS: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "data" / "sizes.json").read_text(encoding="utf-8"))
EXACT = ("params", "choices", "macs_conv_linear", "genotypes")


def _id(row: dict[str, Any]) -> str:
    return "-".join([row["spec"], row["network"], *(f"{k}={v}" for k, v in row["set"].items())])


EACH = pytest.mark.parametrize("row", ROWS, ids=_id)


def arguments(row: dict[str, Any]) -> list[str]:
    words = ["plan", row["spec"], "--network", row["network"], "--json"]
    for key, value in row["set"].items():
        words += ["--set", f"{key}={json.dumps(value)}"]
    return words


def assert_published(found: dict[str, Any], row: dict[str, Any]) -> None:
    expected = {key: row[key] for key in EXACT if key in row}
    assert {key: found[key] for key in expected} == expected
    if "choices" not in row:
        assert (found["choices"], found["genotypes"]) == (0, "1")
    if "total_with_running_statistics" in row:
        assert found["params"] + found["buffers"] == row["total_with_running_statistics"]
    if "classes" in row["set"]:
        assert found["output"] == [row["set"]["classes"]]


@EACH
def test_a_plan_in_python_gives_the_published_size(row: dict[str, Any]) -> None:
    plan = load(row["spec"]).network(row["network"], **row["set"]).plan()
    assert_published(json.loads(json.dumps(plan.to_json())), row)


@EACH
def test_genoc_plan_gives_the_published_size(row: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    # Memory takes most of a plan's time and is looked at elsewhere.
    monkeypatch.setattr(driver, "activation_bytes", lambda program, batch: 12_345)
    result = CliRunner().invoke(main, arguments(row))
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert_published(found, row)
    assert found["activation_bytes"] == 12_345


def test_genoc_plan_gives_the_published_size_in_a_process_of_its_own() -> None:
    row = next(r for r in ROWS if "imagenet" in r["network"])
    command = [sys.executable, "-m", "genolang.cli.main", *arguments(row)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr == ""
    assert_published(json.loads(done.stdout), row)


def test_a_module_holds_as_many_numbers_as_its_plan_says() -> None:
    for spec, network in (("darts/search", "supernet"), ("att_darts/found", "cifar")):
        found = load(spec).network(network, channels=4, depth=3)
        module, plan = found.module(), found.plan()
        assert sum(p.numel() for p in module.parameters()) == plan.params
        assert sum(b.numel() for b in module.buffers()) == plan.buffers


CELL = re.compile(r"^cell (\w+)\(.*?^\}\n", re.M | re.S)


@pytest.mark.parametrize(
    ("searched", "found", "params"),
    [
        ("darts/search", "darts/v1", 3_645_840),
        ("darts/search", "darts/v2", 3_825_768),
        ("att_darts/search", "att_darts/found", 3_707_769),
        ("att_darts/product", "darts/v2", 3_825_768),
    ],
)
def test_the_published_cells_in_the_file_of_their_search_train_as_published(
    searched: str, found: str, params: int, tmp_path: Path
) -> None:
    text, published = ((LIBRARY / f"{name}.geno").read_text("utf-8") for name in (searched, found))
    cells = {match[1]: match[0] for match in CELL.finditer(published)}
    assert set(cells) == {"normal", "reduction"}
    (tmp_path / "found.geno").write_text(CELL.sub(lambda match: cells[match[1]], text), "utf-8")
    for spec in (str(tmp_path / "found.geno"), found):
        checked = load(spec).checked
        settings = train_settings(checked.module.sections("train"), {})
        name, given = network_for(settings.network, None, {})
        assert expand_network(checked, name, given).params == params
        assert (settings.epochs, settings.batch, settings.split, settings.drop_path.end) == (600, 96, 0, 0.2)
        assert [change.kind for change in settings.augment] == ["crop", "flip", "cutout"]


def test_darts_supernet_costs_300_million_multiply_accumulates() -> None:
    _, without_matrix_products = load("darts/search").network().program.block.macs
    assert round(without_matrix_products / 1e6, 2) == 300.26


@pytest.mark.parametrize(("spec", "ways"), [("darts/search", 7), ("att_darts/search", 7 * 6)])
def test_the_number_of_genotypes_is_edges_kept_times_answers_on_each(spec: str, ways: int) -> None:
    # Two of 2, 3, 4 and 5 edges lead into the four nodes; `none` is never an answer; two kinds of cell.
    kept = math.prod(math.comb(n, 2) for n in (2, 3, 4, 5))
    assert kept == 180
    (row,) = [r for r in ROWS if r["spec"] == f"specs/{spec}.geno"]
    program = load(spec).network().program
    assert row["genotypes"] == str(count_genotypes(program)) == str((kept * ways**8) ** 2)


def test_the_parameters_that_a_spec_leaves_alone_are_those_of_its_paper() -> None:
    assert load("darts/search").network().program.params == 1_930_618
    assert load("darts/v2").network("cifar").program.params == 3_349_342
    assert load("darts/v2").network("imagenet").program.params == 4_718_752
