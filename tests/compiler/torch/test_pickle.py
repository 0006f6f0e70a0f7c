"""A network goes through pickle, and so into files and other processes, as what it was."""

import copy
import io
import pickle
import subprocess
import sys

import pytest
import torch

import genolang

torch.set_num_threads(1)

SPEC = """geno 1
import std.ops, std.attention

choice operation = skip | sep_conv(3) | dil_conv(3)
choice gate = identity | se(r=2)

cell a(p, q, channels=4) {
  inputs s0 = p, s1 = q
  nodes  n1, n2
  edges  earlier -> each : operation -> drop_path
  return n1 + n2 -> gate
}

network n(classes=5) {
  input  image(2, 9, 8)
  stem   conv(3, 4) -> batch_norm -> dropout(0.3)
  cells  2 of a
  head   global_avg_pool -> linear(classes)
}
"""


@pytest.fixture
def network(tmp_path):
    path = tmp_path / "s.geno"
    path.write_text(SPEC, "utf-8")
    return genolang.load(path).network()


def again(module):
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def drawn(module):
    """The same module with numbers that no beginning has."""
    torch.manual_seed(5)
    with torch.no_grad():
        for tensor in [*module.parameters(), *module.buffers(), *module.choices.values()]:
            if tensor.is_floating_point():
                tensor.copy_(torch.rand_like(tensor.float()) + 0.2)
    return module


def same(one, other, images):
    """Whether both answer alike, their random choices drawn alike."""
    found = []
    for module in (one, other):
        torch.manual_seed(3)
        found.append(module(images))
    return torch.equal(*found)


@pytest.mark.parametrize("form", ["fused", "plain", "selected", "inference", "half", "double", "training"])
def test_a_network_comes_back_as_it_was(network, form):
    module = drawn(network.module(fused=form != "plain"))
    dtype = {"half": torch.bfloat16, "double": torch.float64}.get(form, torch.float32)
    module.to(dtype).train(form == "training")
    if form in ("selected", "inference"):
        sets = module.choices.sets
        module.select({key: [1 % len(sets[key].options)] * len(sets[key].rows) for key in sets})
    if form == "inference":
        module = network.for_inference(module)
    module.set_drop_path(0.25)
    next(module.parameters()).requires_grad_(False)
    found = again(module)
    assert found.training == module.training and found.selected == module.selected
    assert [p.requires_grad for p in found.parameters()] == [p.requires_grad for p in module.parameters()]
    assert {k: (v.dtype, v.tolist()) for k, v in found.state_dict().items()} == {
        k: (v.dtype, v.tolist()) for k, v in module.state_dict().items()
    }
    assert all(torch.equal(found.choices[key], logits) for key, logits in module.choices.items())
    images = torch.randn(3, 2, 9, 8, dtype=dtype)
    assert same(module, found, images)
    # It trains like the other one, apart from it.
    if form != "inference":
        before = copy.deepcopy(module.state_dict())
        for parameter in found.parameters():
            parameter.data.zero_()
        assert all(torch.equal(module.state_dict()[key], value) for key, value in before.items())


def test_copies_share_nothing_and_compute_the_same(network):
    module = drawn(network.module()).eval()
    copied = copy.deepcopy(module)
    images = torch.randn(2, 2, 9, 8)
    assert same(module, copied, images)
    assert not {p.data_ptr() for p in module.parameters()} & {p.data_ptr() for p in copied.parameters()}
    copied.choices["a.operation"] = torch.randn(copied.choices["a.operation"].shape)
    assert not same(module, copied, images)


def test_making_it_again_draws_no_random_numbers(network):
    content = pickle.dumps(network.module())
    torch.manual_seed(1)
    before = torch.get_rng_state()
    pickle.loads(content)
    assert torch.equal(before, torch.get_rng_state())


def test_another_process_can_read_it(network, tmp_path):
    module = drawn(network.module()).eval()
    torch.save(module, tmp_path / "m.pt")
    images = torch.randn(2, 2, 9, 8)
    torch.save((images, module(images).detach()), tmp_path / "io.pt")
    code = (
        "import torch; torch.set_num_threads(1); m = torch.load('m.pt', weights_only=False);"
        "x, y = torch.load('io.pt'); print(torch.allclose(m(x), y, rtol=1e-6, atol=1e-6))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
