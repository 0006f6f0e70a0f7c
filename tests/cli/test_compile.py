import io
import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner, Result
from shipped import images, small

from genolang.api import Network
from genolang.cli.compile import compile_command
from genolang.cli.main import main
from genolang.cli.plan import plan
from genolang.compiler.backends import exported
from genolang.compiler.passes import PIPELINE

SMALL = ["--set", "channels=4", "--set", "depth=2"]
ALL = ["module", "python", "export", "ir"]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*words: str, command: click.Command = main) -> Result:
    return CliRunner().invoke(command, list(words), catch_exceptions=False)


def answer(*words: str) -> dict[str, Any]:
    found = run("compile", *words, "--json")
    assert found.exit_code == 0, found.output
    answered: dict[str, Any] = json.loads(found.stdout)
    return answered


def test_json_holds_the_plan_and_nothing_is_written_unasked(tmp_path: Path) -> None:
    found = answer("quickstart", *SMALL)
    planned = json.loads(run("quickstart", *SMALL, "--json", command=plan).stdout)
    assert {key: found[key] for key in planned} == planned
    assert (found["kernels"], found["artifacts"]) == ([], [])
    assert set(found) == {*planned, "kernels", "artifacts"}
    assert list(tmp_path.iterdir()) == []


def test_a_folder_alone_asks_for_weights_and_spec() -> None:
    found = answer("darts/v2", "--network", "cifar", *SMALL, "-o", "deep/out")
    assert found["artifacts"] == [str(Path("deep/out") / n) for n in ("weights.safetensors", "spec.geno")]
    assert Path("deep/out/spec.geno").read_text("utf-8").startswith("geno 1\n")


def test_every_form_is_written_where_the_answer_says() -> None:
    found = answer("darts/v2", "--network", "cifar", *SMALL, "--emit", ",".join(ALL))
    names = ["weights.safetensors", "spec.geno", "network.py", "network.pt2", "network.ir"]
    assert found["artifacts"] == [str(Path("build/cifar") / name) for name in names]
    assert sorted(p.name for p in Path("build/cifar").iterdir()) == sorted(names)
    assert Path("build/cifar/network.ir").read_text("utf-8").startswith("graph ")


def test_the_weights_load_into_the_network_that_they_belong_to() -> None:
    answer("darts/v2", "--network", "cifar", *SMALL, "--set", "auxiliary=true", "-o", "out")
    network = small("darts/v2", "cifar", depth=2, classes=10)
    module = network.module()
    module.load_state_dict(safetensors.torch.load_file("out/weights.safetensors"))
    with safetensors.safe_open("out/weights.safetensors", "pt") as file:
        about = json.loads(file.metadata()["genolang"])
    assert about["network"] == "cifar"
    assert about["set"] == {"channels": "4", "depth": "2", "auxiliary": "true"}


def test_the_archive_holds_the_weights_that_were_written() -> None:
    answer("darts/v2", "--network", "cifar", *SMALL, "--emit", "module,export", "-o", "out")
    network = small("darts/v2", "cifar", depth=2, classes=10, auxiliary=False)
    module = network.module().eval()
    module.load_state_dict(safetensors.torch.load_file("out/weights.safetensors"))
    archive: Any = torch.export.load(io.BytesIO(Path("out/network.pt2").read_bytes()))
    image = images(network, 3).float()
    torch.testing.assert_close(archive.module()(image), module(image), rtol=1e-6, atol=1e-6)


def test_two_compilations_write_the_same_bytes() -> None:
    for folder in ("one", "two"):
        torch.rand(3)
        answer("quickstart", *SMALL, "--emit", "module,python,ir", "-o", folder)
    for path in Path("one").iterdir():
        assert path.read_bytes() == Path("two", path.name).read_bytes(), path.name


def test_compiling_leaves_the_random_state_alone() -> None:
    before = torch.random.get_rng_state()
    answer("quickstart", *SMALL)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_explain_names_each_pass_and_the_lines_it_changed() -> None:
    found = run("compile", "quickstart", *SMALL, "--explain")
    assert found.exit_code == 0
    for line in ("inline: puts definitions in the place of their calls", "zeros: leaves zeros out",
                 "share: computes once", "prune: drops what no output reads"):  # fmt: skip
        assert f"\n{line}" in found.stdout
    assert re.search(r"^  left out \d+ zeros  std/ops\.geno:\d+$", found.stdout, re.M)
    assert re.search(r"^  merged \d+ relu  std/ops\.geno:\d+$", found.stdout, re.M)
    assert re.search(r"^  took over \d+ conv  std/ops\.geno:\d+$", found.stdout, re.M)
    assert re.search(r"^  joined \d+ batch_norm  std/ops\.geno:\d+$", found.stdout, re.M)
    assert re.search(r"^  nodes [\d,]+ -> [\d,]+$", found.stdout, re.M)


def test_explain_has_its_place_in_json() -> None:
    found = answer("quickstart", *SMALL, "--explain")
    assert [p["name"] for p in found["passes"]] == [step.name for step in PIPELINE]
    assert set(found["passes"][2]["changes"][0]) == {"layer", "file", "line", "count"}


def test_people_read_the_plan_and_what_was_written() -> None:
    found = run("compile", "quickstart", *SMALL, "--emit", "ir")
    assert "parameters" in found.stdout and "MACs per image" in found.stdout
    assert f"wrote {Path('build/digits/network.ir')}" in found.stderr
    assert "wrote" not in found.stdout


def test_onnx_without_its_packages_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported, "find_spec", lambda name: None)
    found = run("compile", "quickstart", *SMALL, "--emit", "module,onnx", "-o", "out", "--json")
    assert found.exit_code == 2
    (diagnostic,) = json.loads(found.stdout)["diagnostics"]
    assert diagnostic["code"] == "G713" and "pip install onnx onnxscript" in diagnostic["help"]
    assert not Path("out").exists()


def test_an_unknown_form_is_a_wrong_call() -> None:
    found = run("compile", "quickstart", "--emit", "python,jit")
    assert found.exit_code == 2
    assert "'jit' is none of module, python, export, onnx, ir" in found.stderr


def test_a_folder_that_cannot_be_made_is_said() -> None:
    Path("file").write_text("in the way", "utf-8")
    found = run("compile", "quickstart", *SMALL, "-o", "file/out", "--json")
    assert found.exit_code == 1
    assert json.loads(found.stdout)["diagnostics"][0]["code"] == "G709"


def test_a_spec_that_is_wrong_is_said() -> None:
    Path("wrong.geno").write_text("geno 1\nnetwork n {\n  input image(3, 4, 4)\n  stem nothing\n}\n", "utf-8")
    found = run("compile", "wrong.geno", "--json")
    assert found.exit_code == 1
    assert json.loads(found.stdout)["diagnostics"][0]["code"] == "G101"


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")]
)
def test_a_network_that_does_not_fit_into_memory_is_said(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def module(network: Network) -> None:
        raise error

    monkeypatch.setattr(Network, "module", module)
    found = run("compile", "quickstart", *SMALL, "--json")
    assert found.exit_code == 1
    assert json.loads(found.stdout)["diagnostics"][0]["code"] == "G507"


def test_the_command_is_reached_by_its_name() -> None:
    assert isinstance(compile_command, click.Command)
    assert "readable PyTorch source" in run("compile", "--help").stdout
