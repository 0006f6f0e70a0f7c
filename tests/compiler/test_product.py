"""Att-DARTS-P: masks mixed by a weighted geometric mean (equation 17)."""

import torch

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


def test_plain_and_compiled_forms_agree_with_gradients() -> None:
    x = torch.randn(2, 3, 32, 32)
    modules = [small(True), small(False)]
    for module in modules:
        module.load_state_dict(modules[0].state_dict())
        module(x).square().sum().backward()
    for key in modules[0].choices:
        torch.testing.assert_close(modules[0].choices[key].grad, modules[1].choices[key].grad)
    assert list(modules[0].state_dict()) == list(modules[1].state_dict())
