"""`genoc train` for segmentation and counting, on the shipped examples made small."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from genolang.api import load
from genolang.cli.main import main

torch.set_num_threads(1)

SPEC = """geno 1
import transfer.backbone, std.attention, std.heads

op once(classes) = global_avg_pool -> linear(classes)

network segmenter(classes=11) = backbone(head=fcn_head(classes, width=4), width=2, blocks=1)
  with se(r=2) at residual shared per stage where ["1", "0", "1"]

network counter = backbone(head=density_head(widths=[4]), width=2, blocks=1)

network classifier = backbone(head=once(11), width=2, blocks=1)

train {
  task      segmentation
  data      digit_segments
  epochs    1
  batch     50
  optimizer adam(lr=0.01)
}
"""


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.geno").write_text(SPEC, "utf-8")


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["train", "s.geno", *words], catch_exceptions=False)


def answer(*words: str) -> dict[str, Any]:
    found = run(*words, "--json", "--threads", "1")
    assert found.exit_code == 0, found.output
    answered: dict[str, Any] = json.loads(found.stdout)
    return answered


def refusal(*words: str) -> tuple[str, str]:
    found = run(*words, "--json")
    assert found.exit_code != 0
    (diagnostic,) = json.loads(found.stdout)["diagnostics"]
    return diagnostic["code"], f"{diagnostic['message']} {diagnostic['help']}"


def test_segmentation_answers_with_accuracies_over_pixels_and_means_over_classes() -> None:
    found = answer("--network", "segmenter", "--out", "run")
    assert (found["task"], found["metric"]) == ("segmentation", "miou")
    for part in ("train", "val", "test"):
        assert 0 < found[f"{part}_accuracy"] < 1
        assert 0 <= found[f"{part}_miou"] <= found[f"{part}_mean_accuracy"] < 1
    written = json.loads(Path("run/metrics.json").read_text("utf-8"))
    assert {key: written[key] for key in found} == found


def test_counting_answers_with_errors_and_accuracies_that_are_null() -> None:
    words = ["--network", "counter", "--set", "task=counting", "--set", "data=digit_counts"]
    found = answer(*words, "--out", "run")
    assert (found["task"], found["metric"]) == ("counting", "mae")
    for part in ("train", "val", "test"):
        assert found[f"{part}_accuracy"] is None
        assert 0 < found[f"{part}_mae"] <= found[f"{part}_rmse"]
    again = run(*words, "--resume", "run", "--threads", "1")
    assert again.exit_code == 0 and f"test mae             {found['test_mae']:.4f}" in again.stdout


def test_data_for_another_task_are_refused_with_those_that_fit() -> None:
    code, said = refusal("--network", "segmenter", "--data", "digits")
    assert code == "G608" and "digit_segments" in said and "task classification" in said
    code, said = refusal("--network", "segmenter", "--data", "digit_counts")
    assert code == "G608" and "made for counting" in said


def test_a_network_whose_end_does_not_fit_the_task_is_refused() -> None:
    code, said = refusal("--network", "classifier")
    assert code == "G309" and "resize(like=input)" in said
    code, said = refusal("--network", "segmenter", "--set", "task=classification", "--set", "data=digits")
    assert code == "G309" and "one value per class" in said


def test_the_number_of_classes_must_be_that_of_the_data() -> None:
    code, said = refusal("--network", "segmenter", "--set", "classes=5")
    assert code == "G604" and "classes=11" in said
    code, _ = refusal("--network", "segmenter", "--set", "task=counting", "--set", "data=digit_counts")
    assert code == "G604"


def test_an_unknown_task_is_refused() -> None:
    code, said = refusal("--network", "segmenter", "--set", "task=counts")
    assert code == "G503" and "counting" in said


@pytest.mark.parametrize("spec, output", [("transfer/segmentation", (11, 40, 40)), ("transfer/counting", (1, 40, 40))])
def test_shipped_examples_answer_for_every_pixel_of_images_of_any_size(spec: str, output: tuple[int, ...]) -> None:
    network = load(spec).network()
    assert network.plan().output == output
    module = network.module().eval()
    assert module(torch.zeros(2, 1, 24, 33)).shape == (2, output[0], 24, 33)
    assert "stage1.residual.se.se_mask.linear.weight" in module.state_dict()
