import io
import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from reference.pouring import compiled
from shipped import images, randomise, small
from train.refused import refused

from genolang.api import Network
from genolang.compiler import driver
from genolang.compiler.torch import exported

ODD = """geno 1
import std.ops, std.attention
network n(classes=3) {
  input image(3, 11, 6)
  stem  conv(3, 4) -> batch_norm -> sep_conv(3, stride=2) -> double_attention -> bam_code(r=2) -> ge(r=2)
  stem  factorized_reduce(6) -> drop_path -> dropout
  head  global_avg_pool -> linear(classes)
}
"""


def reloaded(network: Network, module: Any) -> Any:
    content = driver.to_exported(module, network.program)
    return torch.export.load(io.BytesIO(content)).module()


@pytest.mark.parametrize("training", [True, False])
def test_an_archive_gives_the_same_logits_for_any_batch(training: bool) -> None:
    network = small("darts/v2", "cifar", depth=2)
    module = network.module().double().train(training)
    randomise(module)
    found = reloaded(network, module)
    assert module.training == training
    module.eval()
    for batch in (1, 5):
        image = images(network, batch)
        torch.testing.assert_close(found(image), module(image), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", [(11, 6), (7, 13)])
def test_odd_sizes_are_exported_anew(size: tuple[int, int]) -> None:
    network = compiled(ODD.replace("(3, 11, 6)", f"(3, {size[0]}, {size[1]})"))
    module = network.module().double().eval()
    randomise(module)
    found = reloaded(network, module)
    for batch in (1, 3):
        image = images(network, batch)
        torch.testing.assert_close(found(image), module(image), rtol=1e-10, atol=1e-10)


def test_a_supernet_is_exported_at_its_present_logits() -> None:
    network = small("quickstart", depth=1)
    module = network.module().double().eval()
    randomise(module)
    before = dict(module.choices)
    found = reloaded(network, module)
    image = images(network, 2)
    torch.testing.assert_close(found(image), module(image), rtol=1e-10, atol=1e-10)
    assert all(module.choices[key] is tensor and tensor.requires_grad for key, tensor in before.items())


@pytest.mark.parametrize("missing", [["onnx", "onnxscript"], ["onnxscript"]])
def test_onnx_without_its_packages_says_how_to_get_them(missing: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported, "find_spec", lambda name: None if name in missing else object())
    network = compiled(ODD)
    with refused("G713", f"pip install {' '.join(missing)}"):
        driver.to_onnx(network.module(), network.program)


def test_onnx_is_asked_for_in_evaluation_with_a_free_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    class Model:
        class model_proto:
            @staticmethod
            def SerializeToString() -> bytes:
                return b"model"

    def export(module: Any, args: Any, **options: Any) -> Model:
        asked.update(options, training=module.network.training, shape=args[0].shape)
        return Model()

    stand_in = ModuleType("torch.onnx")
    monkeypatch.setattr(stand_in, "export", export, raising=False)
    monkeypatch.setitem(sys.modules, "torch.onnx", stand_in)
    monkeypatch.setattr(torch, "onnx", stand_in)
    monkeypatch.setattr(exported, "find_spec", lambda name: object())
    network = compiled(ODD)
    module = network.module().train()
    assert driver.to_onnx(module, network.program) == b"model"
    assert asked["training"] is False and module.training
    assert asked["shape"] == (2, 3, 11, 6)
    assert list(asked["dynamic_shapes"]["images"]) == [0]
    assert (asked["input_names"], asked["output_names"]) == (["images"], ["logits"])


ATTENTION = """geno 1
import std.augmented, std.plugins
op through_a_stage {
  cell = dia
  return x -> conv(1) -> cell -> conv(1) -> cell
}
network n {
  input image(3, 9, 7)
  stem  aa_conv(3, 16, stride=2, value=1/2, heads=2, least=4) -> through_a_stage -> sge -> non_local
  head  global_avg_pool -> linear(5)
}
"""


@pytest.mark.parametrize("kind", ["cell", "attention"])
def test_onnx_computes_the_same_where_its_packages_are_there(kind: str) -> None:
    onnx = pytest.importorskip("onnx.reference")
    pytest.importorskip("onnxscript")
    network = small("darts/v2", "cifar", depth=2) if kind == "cell" else compiled(ATTENTION)
    module = network.module().double().eval()
    randomise(module)
    model = onnx.ReferenceEvaluator(driver.to_onnx(module, network.program))
    for batch in (1, 3):
        image = images(network, batch)
        (logits,) = model.run(None, {"images": image.numpy()})
        torch.testing.assert_close(torch.from_numpy(logits), module(image), rtol=1e-4, atol=1e-4)
