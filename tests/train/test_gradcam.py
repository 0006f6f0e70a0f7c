import pytest
import torch
from reference.pouring import compiled
from torch.nn.functional import interpolate

from genolang.train.gradcam import grad_cam

TEXT = """geno 1
import std.ops
network n {
  input image(2, 7, 9)
  stem  conv(3, 5, stride=2) -> relu
  head  global_avg_pool -> linear(4)
}
"""


def network():
    torch.manual_seed(3)
    return compiled(TEXT).module()


def images():
    return torch.randn(3, 2, 7, 9, generator=torch.Generator().manual_seed(1))


def test_features_are_the_last_maps_before_the_head():
    module = network().eval()
    maps, logits = module.features(images())
    expected = module.get_submodule("stem.conv")(images()).relu()
    torch.testing.assert_close(maps, expected)
    torch.testing.assert_close(logits, module(images()))


def test_the_map_before_a_pooled_linear_head_is_weighed_by_the_heads_row():
    # There the gradient of a logit by a map is the head's weight over the number of positions.
    module, targets = network(), torch.tensor([0, 3, 1])
    heat, scores = grad_cam(module, images(), targets)
    maps = module.get_submodule("stem.conv")(images()).relu()
    linear = module.get_submodule("head.linear").weight.reshape(4, 5)
    raw = torch.einsum("bc,bchw->bhw", linear[targets], maps).relu() / maps[0, 0].numel()
    raw = interpolate(raw[:, None], (7, 9), mode="bilinear", align_corners=False)[:, 0].detach()
    torch.testing.assert_close(heat, raw / raw.amax((1, 2), keepdim=True).clamp_min(1e-30))
    assert scores.tolist() == pytest.approx(module(images()).softmax(1)[torch.arange(3), targets].tolist())


def test_maps_lie_between_0_and_1_and_have_the_images_size():
    heat, _ = grad_cam(network(), images(), torch.tensor([2, 2, 2]))
    assert heat.shape == (3, 7, 9) and heat.min() >= 0 and heat.max() <= 1
    assert not heat.requires_grad


def test_what_speaks_against_the_target_everywhere_gives_an_empty_map():
    module = network()
    with torch.no_grad():
        module.get_submodule("head.linear").weight.fill_(-1.0)
    heat, _ = grad_cam(module, images(), torch.tensor([0, 1, 2]))
    assert bool((heat == 0).all())


def test_weights_and_their_gradients_are_left_alone():
    module = network()
    grad_cam(module, images(), torch.tensor([0, 1, 2]))
    assert all(parameter.grad is None for parameter in module.parameters())
