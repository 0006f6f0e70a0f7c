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

from genolang.api import Network, load_graph
from genolang.cli.compile import compile_command
from genolang.cli.main import main
from genolang.cli.plan import plan
from genolang.compiler.passes import TRAINING
from genolang.compiler.torch import exported

SMALL = ["--set", "channels=4", "--set", "depth=2"]
ALL = ["module", "python", "export", "ir", "graph"]


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
    # What its search would pass is the matter of a plan alone.
    del planned["statistics"]
    assert {key: found[key] for key in planned} == planned
    assert found["artifacts"] == []
    assert set(found) == {*planned, "kernels", "artifacts"}
    assert list(tmp_path.iterdir()) == []


def test_a_folder_alone_asks_for_weights_and_spec() -> None:
    found = answer("darts/v2", "--network", "cifar", *SMALL, "-o", "deep/out")
    assert found["artifacts"] == [str(Path("deep/out") / n) for n in ("weights.safetensors", "spec.geno")]
    assert Path("deep/out/spec.geno").read_text("utf-8").startswith("geno 1\n")


def test_every_form_is_written_where_the_answer_says() -> None:
    found = answer("darts/v2", "--network", "cifar", *SMALL, "--emit", ",".join(ALL))
    names = [
        "weights.safetensors",
        "spec.geno",
        "network.py",
        "network.pt2",
        "network.ir",
        "network.json",
        "network.graphml",
    ]
    assert found["artifacts"] == [str(Path("build/cifar") / name) for name in names]
    assert sorted(p.name for p in Path("build/cifar").iterdir()) == sorted(names)
    assert Path("build/cifar/network.ir").read_text("utf-8").startswith("graph ")
    for name in names[-2:]:
        assert load_graph(Path("build/cifar") / name).plan().params == found["params"]


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


def test_an_archive_for_inference_answers_as_the_given_weights_do_and_has_no_norms() -> None:
    found = small("resnet/cifar", "se_resnet20")
    network = ["resnet/cifar", "--network", "se_resnet20", "--set", "depth=8", "--set", "classes=3"]
    module = found.module().eval()
    safetensors.torch.save_file(module.state_dict(), "given.safetensors")
    answer(*network, "--weights", "given.safetensors", "--inference", "--emit", "export", "-o", "out")
    exported = torch.export.load("out/network.pt2")
    image = images(found, 2).float()
    with torch.no_grad():
        torch.testing.assert_close(exported.module()(image), module(image), atol=1e-4, rtol=1e-4)
    assert not [name for name in exported.state_dict if "running" in name]


def test_weights_that_do_not_fit_are_said() -> None:
    safetensors.torch.save_file({"a": torch.zeros(3)}, "other.safetensors")
    for file, code in (("other.safetensors", "G714"), ("absent.safetensors", "G001")):
        found = run("compile", "quickstart", *SMALL, "--weights", file, "-o", "out")
        assert (found.exit_code, code in found.output) == (2, True), found.output
    assert not Path("out").exists()


def test_two_compilations_write_the_same_bytes() -> None:
    for folder in ("one", "two"):
        torch.rand(3)
        answer("quickstart", *SMALL, "--emit", "module,python,ir,graph", "-o", folder)
    for path in Path("one").iterdir():
        assert path.read_bytes() == Path("two", path.name).read_bytes(), path.name


def test_compiling_leaves_the_random_state_alone() -> None:
    before = torch.random.get_rng_state()
    answer("quickstart", *SMALL)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_explain_names_each_pass_and_the_lines_it_changed() -> None:
    found = run("compile", "quickstart", *SMALL, "--explain")
    assert found.exit_code == 0
    for line in (
        "inline: puts definitions in the place of their calls",
        "zeros: leaves zeros out",
        "share: computes once",
        "prune: drops what no output reads",
    ):
        assert f"\n{line}" in found.stdout
    assert re.search(r"^  left out \d+ zeros  std/ops\.geno:\d+$", found.stdout, re.M)
    assert re.search(r"^  merged \d+ relu  std/ops\.geno:\d+$", found.stdout, re.M)
    assert re.search(r"^  took over \d+ conv  std/ops\.geno:\d+$", found.stdout, re.M)
    assert re.search(r"^  joined \d+ batch_norm  std/ops\.geno:\d+$", found.stdout, re.M)
    assert re.search(r"^  nodes [\d,]+ -> [\d,]+$", found.stdout, re.M)


MASKED = """geno 1
import std.attention
op unit {
  m = x -> conv(3)
  return x -> conv(1) -> masked_by(m=m)
}
op masked_by(m: map) = x * (1 + sigmoid(m))
network n {
  input image(3, 97, 95)
  stem  conv(3, 16)
  body  repeat(3, unit) -> se(r=2)
  head  global_avg_pool -> linear(3)
}
"""


def test_json_tells_kernels_with_their_lines() -> None:
    Path("n.geno").write_text(MASKED, "utf-8")
    found = answer("n.geno")
    assert found["kernels"] == [{"name": "residual_mask", "count": 3, "lines": ["n.geno:7"]}]
    assert "plain" not in found
    digits = answer("quickstart", *SMALL)["kernels"]
    assert {"mixed_sum", "depthwise", "norm_conv", "pointwise"} <= {kernel["name"] for kernel in digits}
    assert all(re.fullmatch(r".*\.geno:\d+", line) for kernel in digits for line in kernel["lines"])


def test_layers_that_are_kernels_as_they_stand_are_told() -> None:
    found = answer("aacn/clutter", "--network", "shares", "--set", "width=8", "--set", "classes=3")
    (kernel,) = found["kernels"]
    assert kernel["name"] == "relative_attention" and kernel["lines"] == ["std/augmented.geno:7"]


def test_explain_says_which_lines_became_which_kernel_and_why_others_did_not() -> None:
    Path("n.geno").write_text(MASKED, "utf-8")
    found = run("compile", "n.geno", "--explain").stdout
    kernels, plain = found.split("\nkernels: ")[1].split("\nplain operations: ")
    assert kernels.splitlines()[1:] == ["  n.geno:7  residual_mask  x 3  op masked_by(m: map) = x * (1 + sigmoid(m))"]
    reason, title, *_ = plain.splitlines()[1:]
    assert title.startswith("left to the library: ")
    assert re.fullmatch(r"  std/attention\.geno:\d+  naive_mask  x 1  the mask has another shape than its map", reason)
    rows = answer("n.geno", "--explain")["plain"]
    assert [(row["kernel"], row["count"]) for row in rows] == [("naive_mask", 1)]


def test_explain_says_what_the_device_runs_instead() -> None:
    text = MASKED.replace("x * (1 + sigmoid(m))", "x * sigmoid(m)")
    Path("n.geno").write_text(text, "utf-8")
    rows = answer("n.geno", "--explain")["plain"]
    assert {
        "kernel": "naive_mask",
        "count": 3,
        "line": "n.geno:7",
        "reason": "on a CPU, for 2 images: naive_mask runs as reference: plain operations do the same passes on a CPU.",
    } in rows


def test_explain_says_where_there_is_no_kernel() -> None:
    Path("n.geno").write_text(MASKED.replace(" -> masked_by(m=m)", "").replace(" -> se(r=2)", ""), "utf-8")
    found = run("compile", "n.geno", "--explain").stdout
    assert "in one forward pass\n  none\nleft to the library: " in found


def test_explain_gives_every_kind_of_layers_that_no_kernel_computes_a_reason() -> None:
    Path("n.geno").write_text(MASKED, "utf-8")
    found = run("compile", "n.geno", "--explain").stdout
    left = found.split("\nleft to the library: layers that no kernel computes, and why\n")[1].splitlines()
    # Three units, the stem and the two products of the SE module.
    assert left[:4] == [
        "  convolution x 4: the library's (cuDNN, oneDNN) is the fastest form known",
        "    n.geno:4, 10",
        "  1x1 convolution x 3: a product of matrices, and the library's is the fastest form known",
        "    n.geno:5",
    ]
    rows = {row["kind"]: row for row in answer("n.geno", "--explain")["library"]}
    assert list(rows) == ["convolution", "1x1 convolution", "product", "pooling", "element by element"]
    assert rows["convolution"]["count"] == 4 and rows["convolution"]["lines"] == ["n.geno:4", "n.geno:10"]
    assert rows["product"]["count"] == 3 and rows["product"]["lines"][0] == "n.geno:12"
    assert all(row["reason"] for row in rows.values())
    assert "library" not in answer("n.geno")


def test_a_long_list_of_lines_is_wrapped() -> None:
    found = run("compile", "darts/v2", "--network", "cifar", *SMALL, "--explain").stdout
    left = found.split("\nleft to the library: ")[1]
    assert all(len(line) <= 110 for line in left.splitlines())


def test_explain_says_that_a_cpu_has_nothing_to_record() -> None:
    found = run("compile", "quickstart", *SMALL, "--explain").stdout
    assert re.search(r"^capture: records .*\n  nodes [\d,]+\n  not a GPU: nothing to record$", found, re.M)
    assert "\ncapture: " not in run("compile", "quickstart", *SMALL, "--explain", "--without", "capture").stdout


def test_a_pass_is_switched_off_by_its_name() -> None:
    Path("n.geno").write_text(MASKED, "utf-8")
    whole, plain = answer("n.geno"), answer("n.geno", "--without", "recognise,open", "--explain", "--emit", "ir")
    assert plain["kernels"] == []
    assert plain["activation_bytes"] > whole["activation_bytes"]
    assert [p["name"] for p in plain["passes"]] == [
        step.name for step in TRAINING if step.name not in ("recognise", "open")
    ]
    row = {"kernel": "residual_mask", "count": 3, "line": "n.geno:7", "reason": "switched off: `open`, `recognise`"}
    assert row in plain["plain"]
    assert "kernel[" not in Path("build/n/network.ir").read_text("utf-8")
    found = run("compile", "n.geno", "--without", "recognize")
    assert found.exit_code == 2 and "'recognize' is none of inline, open" in found.stderr


def test_explain_has_its_place_in_json() -> None:
    found = answer("quickstart", *SMALL, "--explain")
    assert [p["name"] for p in found["passes"]] == [step.name for step in TRAINING]
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
def test_a_network_that_does_not_fit_into_memory_is_said(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def module(network: Network) -> None:
        raise error

    monkeypatch.setattr(Network, "module", module)
    found = run("compile", "quickstart", *SMALL, "--json")
    assert found.exit_code == 1
    assert json.loads(found.stdout)["diagnostics"][0]["code"] == "G507"


def test_the_command_is_reached_by_its_name() -> None:
    assert isinstance(compile_command, click.Command)
    assert "readable PyTorch source" in run("compile", "--help").stdout
