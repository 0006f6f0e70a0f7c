"""Att-DARTS-P: masks mixed by a weighted geometric mean (equation 17)."""

import torch
from reference.pouring import compiled
from shipped import images

from genolang.api import load


def small(fused: bool) -> torch.nn.Module:
    torch.manual_seed(0)
    network = load("att_darts/product").network("supernet", channels=4, depth=2)
    return network.module(fused=fused)


def test_one_hot_weights_give_the_chosen_mask_alone() -> None:
    module = small(True).eval()
    x = torch.randn(2, 3, 32, 32)
    for option in range(5):
        for key in module.choices:
            row = torch.zeros_like(module.choices[key])
            row[:, option if "mask" in key else 3] = 60.0
            module.choices[key] = row
        chosen = module(x)
        assert torch.isfinite(chosen).all()
        if option == 0:
            plain = chosen
        else:
            assert not torch.equal(chosen, plain)


def test_the_mean_of_masks_is_geometric() -> None:
    from genolang.compiler.torch.mix import mix_function

    mix = mix_function(0, (0, 1), "product")
    a, b = torch.rand(2, 3, 1, 1) + 0.1, torch.rand(2, 3, 5, 7) + 0.1
    weights = (torch.tensor(0.25), torch.tensor(0.75))
    torch.testing.assert_close(mix(weights, a, b), a**0.25 * b**0.75)


def test_a_mask_that_vanishes_leaves_the_mean_and_its_gradients_finite() -> None:
    from genolang.compiler.torch.mix import mix_function

    mix = mix_function(0, (0, 1), "product")
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        tiny = torch.finfo(dtype).tiny
        a = torch.tensor([0.0, tiny / 4, 0.5, 1.0], dtype=dtype, requires_grad=True)
        b = torch.tensor([1.0, 0.25, 0.0, 0.5], dtype=dtype, requires_grad=True)
        weights = [torch.tensor(w, dtype=dtype, requires_grad=True) for w in (0.0, 1.0)]
        found = mix(tuple(weights), a, b)
        # A mask without weight does not count, not even where it is zero; one with all of it is the result.
        torch.testing.assert_close(found, b.detach().clamp_min(tiny))
        found.sum().backward()
        assert all(torch.isfinite(t.grad).all() for t in (a, b, *weights) if t.grad is not None)


def test_every_form_takes_masks_that_vanish() -> None:
    text = """geno 1
choice mask = (relu -> global_avg_pool) | (relu -> sigmoid) | (relu -> conv(1) -> relu) combine product
op masked = x * (x -> mask)
network n {
  input image(3, 6, 5)
  stem  conv(3, 4) -> masked
  head  global_avg_pool -> linear(3)
}
"""
    network = compiled(text)
    image = images(network, 2)
    answers = []
    for fused in (False, True):
        torch.manual_seed(1)
        module = network.module(fused=fused).double()
        answer = module(image)
        answer.sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in module.parameters())
        answers.append(answer.detach())
    assert torch.isfinite(answers[0]).all()
    torch.testing.assert_close(*answers)


def test_plain_and_compiled_forms_agree_with_gradients() -> None:
    x = torch.randn(2, 3, 32, 32)
    modules = [small(True), small(False)]
    for module in modules:
        module.load_state_dict(modules[0].state_dict())
        module(x).square().sum().backward()
    for key in modules[0].choices:
        torch.testing.assert_close(modules[0].choices[key].grad, modules[1].choices[key].grad)
    assert list(modules[0].state_dict()) == list(modules[1].state_dict())
