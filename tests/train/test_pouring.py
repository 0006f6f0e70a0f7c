import json
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from click.testing import CliRunner
from reference.discrete import Genotype, Network
from reference.genotypes import ATT_DARTS, DARTS_V1, DARTS_V2
from reference.pouring import compiled, randomise
from reference.supernet import Supernet
from torch import Tensor, nn

from genolang import GenoError, load, pour
from genolang.cli.main import main

# The public networks' own names for what the hand-written ones call otherwise.
PUBLISHED = {
    ".operations.": "._first_layers.",
    ".attentions.": "._second_layers.",
    "auxiliary.": "auxiliary_head.",
    ".operation.candidates.": ".first_layers.",
    ".gate.candidates.": ".second_layers.",
}
LOGITS = {
    "normal.operation": "alphas_normal",
    "reduction.operation": "alphas_reduce",
    "normal.gate": "betas_normal",
    "reduction.gate": "betas_reduce",
}
SMALL = """geno 1
network small(classes=10) {
  input image(1, 8, 8)
  stem  conv(3, 4) -> batch_norm -> relu
  head  global_avg_pool -> linear(classes)
}
train { epochs 1  optimizer sgd(lr=1e-9, momentum=0, decay=0) }
"""


def published(reference: nn.Module) -> dict[str, Tensor]:
    """The hand-written network's state dict as the public code would have saved it."""
    logits = getattr(reference, "choices", {})
    found = {LOGITS[key]: tensor.detach() for key, tensor in logits.items()}
    for name, tensor in reference.state_dict().items():
        for ours, theirs in PUBLISHED.items():
            name = name.replace(ours, theirs)
        found[name] = tensor
    return found


def images(side: int = 12) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(2, 3, side, side + 4, generator=generator, dtype=torch.float64)


def assert_same_outputs(module: nn.Module, reference: nn.Module) -> None:
    for training in (False, True):
        here, there = (m.train(training)(images()) for m in (module, reference))
        torch.testing.assert_close(here, there, rtol=0, atol=1e-9)


def message(act: Callable[[], Any]) -> str:
    with pytest.raises(GenoError) as error:
        act()
    (found,) = error.value.diagnostics
    assert found.code == "G714"
    return " | ".join([found.message, *found.notes])


@pytest.mark.parametrize(
    ("spec", "genotype"), [("darts/v1", DARTS_V1), ("darts/v2", DARTS_V2), ("att_darts/found", ATT_DARTS)]
)
@pytest.mark.parametrize("kind", ["cifar", "imagenet"])
def test_a_published_discrete_network_computes_the_same_here(
    spec: str, genotype: Genotype, kind: str, tmp_path: Path
) -> None:
    reference = Network(genotype, 16, 3, 5, imagenet=kind == "imagenet", size=(12, 16)).double()
    randomise(reference, 1)
    saved = {f"module.{name}": tensor for name, tensor in published(reference).items()}
    torch.save({"epoch": 600, "state_dict": saved}, tmp_path / "model.pt")
    module = load(spec).network(kind, channels=16, depth=3, classes=5).module().double()
    assert pour(module, tmp_path / "model.pt") == {}
    assert_same_outputs(module, reference)


@pytest.mark.parametrize(("spec", "attention"), [("darts/search", False), ("att_darts/search", True)])
def test_a_published_supernet_computes_the_same_here(spec: str, attention: bool) -> None:
    reference = Supernet(4, 3, 5, attention=attention, size=(32, 32))
    reference.choices = {key: t.detach().double() for key, t in reference.choices.items()}
    randomise(reference.double(), 2)
    module = load(spec).network(channels=4, depth=3, classes=5).module().double()
    logits = pour(module, published(reference))
    for key in module.choices:
        module.choices[key] = logits.pop(LOGITS[key])
    assert not logits
    image = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    torch.testing.assert_close(module(image), reference(image), rtol=0, atol=1e-9)


def test_the_attention_of_a_discrete_cell_fits_only_when_dealt_out() -> None:
    weights = published(Network(ATT_DARTS, 16, 3, 5))
    module = load("att_darts/found").network("cifar", channels=16, depth=3, classes=5).module()
    said = message(lambda: pour(module, weights, deal=()))
    assert said == (
        "tensor 28 does not fit: `cells.0.n1.s0.double_attention.feature.conv.weight` is 4x16x1x1,"
        " but `cells.0._first_layers.1.1.weight` is 16x1x3x3"
    )


def test_the_widths_and_depth_of_the_published_network_are_poured_whole() -> None:
    with torch.device("meta"):
        weights = published(Network(ATT_DARTS, 36, 20, 10, auxiliary=True))
        module = load("att_darts/found").network("cifar", auxiliary=True).module()
        assert pour(module, weights) == {}


def test_lists_are_dealt_out_by_number_where_the_first_of_them_stood() -> None:
    class Numbers(nn.Module):
        def __init__(self, count: int) -> None:
            super().__init__()
            for number in range(count):
                self.register_buffer(f"value{number}", torch.zeros(()))

    names = [
        "stem.weight",
        *(f"a.{list_}.{i}.weight" for list_ in ("right", "left") for i in range(11)),
        "a.right_hand.weight",
        "b.left.1.weight",
        "b.right.0.weight",
        "b.left.x.weight",
    ]
    weights = {name: torch.tensor(float(number)) for number, name in enumerate(names)}
    module = Numbers(len(names))
    pour(module, weights, deal=("left", "right"))
    poured = [names[int(value)] for value in module.state_dict().values()]
    dealt = [f"a.{list_}.{i}.weight" for i in range(11) for list_ in ("left", "right")]
    assert poured == [
        "stem.weight",
        *dealt,
        "a.right_hand.weight",
        "b.right.0.weight",
        "b.left.1.weight",
        "b.left.x.weight",
    ]


def test_the_first_pair_that_does_not_fit_is_named_and_nothing_is_changed() -> None:
    module = compiled(SMALL).module()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    weights = {f"their.{n}": torch.ones_like(t) for n, t in before.items()}
    weights["their.head.linear.weight"] = torch.ones(10, 5)
    said = message(lambda: pour(module, weights))
    assert "tensor 6 does not fit: `head.linear.weight` is 10x4, but `their.head.linear.weight` is 10x5" in said
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_tensors_of_one_shape_but_another_kind_do_not_fit() -> None:
    module = compiled(SMALL).module()
    weights = {f"their.{n}": t for n, t in module.state_dict().items()}
    order = list(weights)
    order[2], order[3] = order[3], order[2]
    said = message(lambda: pour(module, {name: weights[name] for name in order}))
    assert "`stem.batch_norm.bias` is 4, but `their.stem.batch_norm.running_mean` is 4" in said


def test_too_few_and_too_many_tensors_are_counted() -> None:
    module = compiled(SMALL).module()
    weights = {f"their.{n}": t for n, t in module.state_dict().items()}
    more = {**weights, "their.tower.weight": torch.ones(3, 2)}
    assert message(lambda: pour(module, more)) == (
        "the network has no place for `their.tower.weight` (3x2) | 7 tensors are needed, and 8 are given"
    )
    weights.popitem()
    assert message(lambda: pour(module, weights)) == (
        "nothing is given for `head.linear.bias` (10) | 7 tensors are needed, and 6 are given"
    )


def test_own_names_go_by_name_whatever_the_order(tmp_path: Path) -> None:
    first, second = compiled(SMALL).module(), compiled(SMALL).module()
    safetensors.torch.save_file(first.state_dict(), tmp_path / "weights.safetensors")
    pour(second, tmp_path / "weights.safetensors")
    for name, tensor in first.state_dict().items():
        assert torch.equal(second.state_dict()[name], tensor), name


def test_a_file_without_an_order_cannot_be_poured_by_position(tmp_path: Path) -> None:
    module = compiled(SMALL).module()
    path = tmp_path / "theirs.safetensors"
    safetensors.torch.save_file({f"their.{n}": t for n, t in module.state_dict().items()}, path)
    assert "has no order" in message(lambda: pour(module, path))


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("poured-code-ran"),))


@pytest.mark.parametrize("content", [b"", b"no tensors", b"PK\x03\x04 cut off"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_files_that_hold_no_tensors_are_refused(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    assert "weights" in message(lambda: pour(compiled(SMALL).module(), path))


def test_code_in_a_file_of_weights_never_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a.weight": Payload()}, "weights.pt")
    message(lambda: pour(compiled(SMALL).module(), "weights.pt"))
    assert not Path("poured-code-ran").exists()


@pytest.mark.parametrize("held", [[torch.ones(2)], {"epoch": 3}, torch.ones(2)])
def test_a_file_without_a_state_dict_is_refused(held: object, tmp_path: Path) -> None:
    torch.save(held, tmp_path / "weights.pt")
    assert "state dict" in message(lambda: pour(compiled(SMALL).module(), tmp_path / "weights.pt"))


def kept(module: nn.Module) -> Callable[[], bool]:
    """Whether a module's tensors are what they are now."""
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    return lambda: all(torch.equal(t, before[n]) for n, t in module.state_dict().items())


def quantized(tensor: Tensor) -> Tensor:
    scales, zeros = torch.ones(len(tensor)), torch.zeros(len(tensor), dtype=torch.int64)
    return torch.quantize_per_channel(tensor.float(), scales, zeros, 0, torch.qint8)


@pytest.mark.parametrize(
    ("spoiled", "said"),
    [
        (lambda t: t.to_sparse(), "sparse"),
        (lambda t: t.to("meta"), "without values"),
        (lambda t: t + 1j, "complex"),
        (lambda t: t.int(), "of torch.int32"),
        (lambda t: t.bool(), "of torch.bool"),
        (quantized, "quantized"),
        (lambda t: t * torch.nan, "NaN"),
        (lambda t: torch.full_like(t, torch.inf), "infinity"),
        (lambda t: torch.full_like(t, 1e300, dtype=torch.float64), "infinity"),
    ],
)
@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize("from_file", [True, False])
def test_a_late_tensor_that_cannot_be_copied_leaves_all_others_alone(
    spoiled: Callable[[Tensor], Tensor], said: str, by_name: bool, from_file: bool, tmp_path: Path
) -> None:
    module = compiled(SMALL).module()
    unchanged = kept(module)
    weights = {f"{'' if by_name else 'their.'}{n}": torch.ones_like(t) for n, t in module.state_dict().items()}
    last = list(weights)[-2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weights[last] = spoiled(weights[last])
        torch.save(weights, tmp_path / "weights.pt")
    found = message(lambda: pour(module, tmp_path / "weights.pt" if from_file else weights))
    assert said in found and f"`{last}`" in found and unchanged()


@pytest.mark.parametrize("payload", [Payload(), print, Path("x")])
def test_the_message_about_a_hostile_file_gives_no_dangerous_advice(payload: object, tmp_path: Path) -> None:
    torch.save({"a.weight": payload}, tmp_path / "weights.pt")
    with pytest.raises(GenoError) as caught:
        pour(compiled(SMALL).module(), tmp_path / "weights.pt")
    (found,) = caught.value.diagnostics
    said = f"{found.message} {found.help} {found.notes}".lower()
    assert found.code == "G714" and "holds more than tensors" in said and "nothing in it was run" in said
    assert not any(word in said for word in ("weights_only", "weights only", "safe_globals", "trust"))


def test_a_compressed_archive_is_not_unpacked(tmp_path: Path) -> None:
    torch.save({"a.weight": torch.zeros(1 << 16)}, tmp_path / "weights.pt")
    with (
        zipfile.ZipFile(tmp_path / "weights.pt") as plain,
        zipfile.ZipFile(tmp_path / "small.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    assert "compressed" in message(lambda: pour(compiled(SMALL).module(), tmp_path / "small.pt"))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_pipe_is_no_file_of_weights(suffix: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / f"weights{suffix}")
    for path in (tmp_path / f"weights{suffix}", tmp_path, Path("/dev/zero")):
        with pytest.raises(GenoError) as caught:
            pour(compiled(SMALL).module(), path)
        assert caught.value.diagnostics[0].code == "G001"


def test_a_training_run_can_begin_with_given_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.geno").write_text(SMALL)
    module = compiled(SMALL).module()
    their = {f"net.{number}.{n.rpartition('.')[2]}": t for number, (n, t) in enumerate(module.state_dict().items())}
    torch.save(their, "theirs.pt")
    words = ["train", "small.geno", "--init", "theirs.pt", "--out", "run", "--device", "cpu", "--json"]
    found = CliRunner().invoke(main, words, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    trained = safetensors.torch.load_file("run/last.safetensors")
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(trained[name], parameter.detach(), rtol=0, atol=1e-6)
    assert "--init theirs.pt" in " ".join(json.loads(Path("run/run.json").read_text())["command"])


def test_weights_that_do_not_fit_are_a_wrong_call_and_leave_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.geno").write_text(SMALL)
    torch.save({"a.weight": torch.ones(2)}, "theirs.pt")
    for init, code in (("theirs.pt", "G714"), ("nowhere.pt", "G001")):
        words = ["train", "small.geno", "--init", init, "--out", "run", "--device", "cpu", "--json"]
        found = CliRunner().invoke(main, words, catch_exceptions=False)
        assert found.exit_code == 2
        assert [d["code"] for d in json.loads(found.stdout)["diagnostics"]] == [code]
        assert not Path("run").exists()
