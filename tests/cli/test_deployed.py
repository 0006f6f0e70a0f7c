"""A trained answer where it is used: measured, asked, written out with its normalisation inside."""

import copy
import importlib.util
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import genolang
from genolang.cli.main import main
from genolang.diagnostics import GenoError
from genolang.train.datasets import load_data

torch.set_num_threads(1)

SPEC = """geno 1
network tiny(width=6, classes=3) {
  input image(3, 12, 10)
  stem  conv(3, width, stride=2) -> batch_norm -> relu
  head  global_avg_pool -> linear(classes)
}

train {
  network   tiny(width=8)
  data      "folder:images"
  epochs    4
  batch     16
  split     0.2
  optimizer adam(lr=0.02)
}
"""
CLASSES = ("dark", "green ones", "red")


def draw(folder: Path, seed: int, count: int) -> None:
    """Images whose class is their colour, far from what a network begins with: dark ones."""
    generator = np.random.default_rng(seed)
    for number, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            pixels = generator.integers(10, 40, (12, 10, 3))
            if number:
                pixels[..., 2 - number] += 60
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{index}.png")


def genoc(*words: str) -> str:
    found = CliRunner().invoke(main, list(words), catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.stdout


def refused(*words: str) -> str:
    found = CliRunner().invoke(main, list(words), catch_exceptions=False)
    assert found.exit_code != 0
    return found.output


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deployed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        draw(folder / "images" / "train", 0, 20)
        draw(folder / "images" / "test", 1, 6)
        Path("s.geno").write_text(SPEC, "utf-8")
        genoc("train", "s.geno", "--threads", "1", "--out", "run")
    return folder


@pytest.fixture(autouse=True)
def there(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)


def test_an_evaluation_finds_what_the_training_said_and_more() -> None:
    metrics = json.loads(Path("run/metrics.json").read_text("utf-8"))
    found = json.loads(genoc("evaluate", "run", "--json"))
    assert found["test_accuracy"] == metrics["test_accuracy"] > 0.9 and found["images"] == 18
    assert found["top5_accuracy"] == 1
    assert [row["name"] for row in found["classes"]] == list(CLASSES)
    matrix = np.array(found["confusion"])
    assert matrix.sum(1).tolist() == [6, 6, 6] and matrix.trace() / 18 == found["test_accuracy"]
    assert [row["accuracy"] for row in found["classes"]] == pytest.approx((matrix.diagonal() / 6).tolist())
    said = json.loads(genoc("evaluate", "s.geno", "--weights", "run/weights.safetensors", "--json", "--batch", "5"))
    assert said["confusion"] == found["confusion"] and said["loss"] == pytest.approx(found["loss"], rel=1e-5)


def test_a_prediction_is_the_class_of_the_image_by_its_name() -> None:
    lines = genoc("predict", "run", *(f"images/test/{name}" for name in CLASSES), "--json").splitlines()
    found = [json.loads(line) for line in lines]
    right = [Path(one["image"]).parent.name == one["class"] for one in found]
    assert len(found) == 18 and sum(right) / 18 == json.loads(genoc("evaluate", "run", "--json"))["test_accuracy"]
    for one in found:
        assert list(one["probabilities"]) == list(CLASSES)
        assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert one["probabilities"][one["class"]] == max(one["probabilities"].values())
    (text,) = genoc("predict", "run", "images/test/red/0.png", "--top", "1").splitlines()
    assert text.startswith("images/test/red/0.png  ") and text.count("  ") == 1


def test_an_image_of_another_size_or_colour_is_brought_to_the_networks() -> None:
    Image.open("images/test/red/0.png").resize((50, 60)).save("large.png")
    assert json.loads(genoc("predict", "run", "large.png", "--json"))["class"] == "red"
    Image.open("images/test/dark/0.png").convert("L").save("grey.png")
    assert json.loads(genoc("predict", "run", "grey.png", "--json"))["class"] == "dark"


def test_what_is_missing_is_said() -> None:
    assert "G715" in refused("predict", "s.geno", "large.png")
    assert "G602" in refused("predict", "run", "no.png")
    assert "G001" in refused("evaluate", "s.geno", "--weights", "run/weights.safetensor")
    Path("published.pt").unlink(missing_ok=True)
    torch.save(genolang.load_run("run").module.state_dict(), "published.pt")
    words = "s.geno", "--weights", "published.pt", "--set", "width=8"
    assert "G715" in refused("predict", *words, "images/test/red/0.png")
    assert "G715" in refused("compile", *words, "--emit", "onnx", "--with-input-norm")
    # The images' own statistics stand in where weights know nothing.
    assert json.loads(genoc("evaluate", *words, "--json")) == json.loads(genoc("evaluate", "run", "--json"))


@pytest.mark.parametrize("norm", ["unit", "uint8"])
def test_files_that_normalise_inside_answer_raw_images_as_the_run_does(norm: str, tmp_path: Path) -> None:
    import onnx
    from onnx.reference import ReferenceEvaluator

    words = ("--weights", "run/weights.safetensors", "--emit", "onnx,export", "-o", str(tmp_path))
    genoc("compile", "s.geno", *words, "--with-input-norm", norm)
    data = load_data("folder:images")
    raw = data.test_images if norm == "uint8" else data.test_images.float() / 255
    run = genolang.load_run("run")
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (data.mean, data.std))
    with torch.no_grad():
        wanted = run.module((data.test_images.float() / 255 - mean) / std)
    model = onnx.load(tmp_path / "network.onnx")
    (logits,) = ReferenceEvaluator(model).run(None, {"images": raw.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(torch.export.load(tmp_path / "network.pt2").module()(raw), wanted, rtol=1e-4, atol=1e-4)
    told = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(told["mean"]) == list(data.mean) and json.loads(told["classes"]) == list(CLASSES)
    extra = {"card.json": ""}
    torch.export.load(tmp_path / "network.pt2", extra_files=extra)
    assert json.loads(extra["card.json"])["std"] == list(data.std)


def test_the_emitted_source_prepares_raw_images(tmp_path: Path) -> None:
    genoc("compile", "s.geno", "--weights", "run/weights.safetensors", "--emit", "python,module", "-o", str(tmp_path))
    spec = importlib.util.spec_from_file_location("deployed_network", tmp_path / "network.py")
    assert spec is not None and spec.loader is not None
    emitted = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(emitted)
    assert emitted.CLASSES == CLASSES
    network = emitted.Tiny().eval()
    network.load_state_dict(genolang.load_run("run").module.state_dict())
    data = load_data("folder:images")
    with torch.no_grad():
        right = (network(emitted.prepare(data.test_images)).argmax(1) == data.test_labels).float().mean()
    assert float(right) == pytest.approx(json.loads(genoc("evaluate", "run", "--json"))["test_accuracy"])
    # The written weights carry the card on.
    again = json.loads(genoc("evaluate", "s.geno", "--weights", str(tmp_path / "weights.safetensors"), "--json"))
    assert again == json.loads(genoc("evaluate", "run", "--json"))


def test_a_run_is_loaded_with_all_that_it_came_to() -> None:
    run = genolang.load_run("run")
    assert run.network.program.params == sum(p.numel() for p in run.module.parameters())
    assert run.metrics["test_accuracy"] > 0.9 and len(run.history) == 4 and run.history[0]["epoch"] == 0
    assert run.card is not None and run.card.set == {"width": "8"} and run.card.classes == CLASSES
    assert not run.module.training and run.command[:3] == ("genoc", "train", "s.geno")
    with pytest.raises(GenoError):
        genolang.load_run("images")


def test_a_trained_network_is_an_ordinary_module(tmp_path: Path) -> None:
    module = genolang.load_run("run").module
    images = torch.randn(2, 3, 12, 10)
    with torch.no_grad():
        wanted = module(images)
        for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
            assert torch.equal(other(images), wanted)
        torch.save(module, tmp_path / "m.pt")
        assert torch.equal(torch.load(tmp_path / "m.pt", weights_only=False)(images), wanted)
