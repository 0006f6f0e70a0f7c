import copy
from typing import Any

import pytest
import torch
from exactness import as_exact
from reference.pouring import compiled
from shipped import EXAMPLES, images, randomise, small

from genolang.api import Network

NETWORKS = [
    ("att_darts/found", "cifar"),
    ("att_darts/search", "supernet"),
    ("aacn/clutter", "shares"),
    ("apnas/found", "resnet20"),
    ("ean/clutter", "dia_search"),
    ("residual_attention/cifar", "attention56"),
    ("resnet/cifar", "se_resnet20"),
    ("std/mnasnet", "mnasnet_b1"),
    ("transfer/segmentation", "segmenter"),
]


def network(body: str) -> Network:
    return compiled(f"geno 1\nimport std.ops\nnetwork n {{\n  input image(3, 9, 7)\n{body}\n}}\n")


def both(found: Network, dtype: torch.dtype = torch.float64) -> tuple[Any, Any]:
    """The network in evaluation, and its copy for inference."""
    torch.manual_seed(0)
    module = found.module(fused=False).to(dtype)
    randomise(module)
    return module.eval(), found.for_inference(module)


def answers_as_well(quick: Any, module: Any, image: torch.Tensor) -> None:
    """As exact in single precision as the layers one by one, against these in float64."""
    with torch.no_grad():
        exact = copy.deepcopy(module).double()(image.double())
        as_exact({"": quick(image)}, {"": module(image)}, {"": exact})


def names(text: str) -> list[str]:
    return [*network(text).for_inference(network(text).module()).state_dict()]


@pytest.mark.parametrize("name", NETWORKS, ids=str)
def test_a_network_for_inference_answers_as_the_network_does(name: tuple[str, str]) -> None:
    assert name in EXAMPLES
    found = small(*name)
    module, quick = both(found)
    image = images(found, 2)
    with torch.no_grad():
        expected = module(image)
        torch.testing.assert_close(quick(image), expected, atol=1e-11, rtol=1e-10)
        single, plain = (copy.deepcopy(m).float() for m in (quick, module))
        for some in (image, image[:1]):
            as_exact({"": single(some.float())}, {"": plain(some.float())}, {"": module(some)})


def test_a_norm_behind_a_layer_goes_into_it_and_gives_it_a_bias() -> None:
    text = "  stem conv(3, 4) -> batch_norm -> relu -> conv(1, 5, bias=true) -> batch_norm\n"
    text += "  head global_avg_pool -> linear(3)"
    assert names(text) == [
        "stem.conv.weight",
        "stem.conv.bias",
        "stem.conv_2.weight",
        "stem.conv_2.bias",
        "head.linear.weight",
        "head.linear.bias",
    ]


@pytest.mark.parametrize(
    "stem",
    [
        "relu -> batch_norm -> conv(3, 4)",
        "{ y = x -> conv(3, 4)\n return (y -> batch_norm) + y }",
        "{ h = conv(3, 3, bias=true)\n return (x -> h -> batch_norm) + h(x -> relu) }",
        "{ n = batch_norm\n return n(x -> conv(3, 3)) + n(x) }",
    ],
)
def test_a_norm_of_what_others_read_too_or_that_is_used_twice_stays(stem: str) -> None:
    text = stem if not stem.startswith("{") else "part"
    body = f"  stem {text}\n  head global_avg_pool -> linear(3)"
    spec = f"geno 1\nop part {stem}\n" if stem.startswith("{") else "geno 1\n"
    found = compiled(f"{spec}network n {{\n  input image(3, 9, 7)\n{body}\n}}\n")
    module, quick = both(found)
    assert [n for n in quick.state_dict() if "running" in n]
    image = images(found, 3)
    torch.testing.assert_close(quick(image), module(image), atol=1e-12, rtol=1e-12)


def test_additions_and_relus_happen_inside_convolutions_and_keep_what_others_read() -> None:
    text = """geno 1
op block {
  a = x -> conv(3, 16) -> batch_norm -> relu
  b = (a -> conv(3, 16) -> batch_norm) + a
  c = b -> relu
  return concat(a, b, c, (c -> conv(1, 16)) + (c -> conv(5, 16, groups=16) -> relu), c -> conv(1, 16, stride=1) -> sigmoid)
}
network n {
  input image(3, 33, 31)
  stem  block -> (conv(3, 8, stride=2) + conv(3, 8, stride=2)) -> relu
  head  global_avg_pool -> linear(6) -> relu -> linear(3)
}
"""
    found = compiled(text)
    module, quick = both(found, torch.float32)
    image = images(found, 2).float()
    for _ in range(2):
        answers_as_well(quick, module, image)


@pytest.mark.parametrize(
    "stem",
    [
        "conv(3, 16) + (global_avg_pool -> conv(1, 16, bias=true))",
        "(global_avg_pool -> conv(1, 16, bias=true)) + conv(3, 16)",
        "conv(3, 16) + (conv(5, 1) -> sigmoid)",
        "(conv(1, 1) -> sigmoid) + conv(3, 16)",
    ],
)
def test_a_map_that_is_added_to_a_larger_one_is_added_to_all_of_it(stem: str) -> None:
    found = network(f"  stem conv(3, 16) -> ({stem}) -> relu\n  head global_avg_pool -> linear(3)")
    module, quick = both(found, torch.float32)
    image = images(found, 2).float()
    answers_as_well(quick, module, image)


def test_weights_that_change_are_read_again() -> None:
    found = network("  stem conv(3, 64) -> relu -> conv(3, 64)\n  head global_avg_pool -> linear(3)")
    module, quick = both(found, torch.float32)
    image = images(found, 32).float()
    with torch.no_grad():
        first = quick(image)
        for part in (module, quick):
            for weight in part.parameters():
                weight.mul_(1.5)
        second = quick(image)
    answers_as_well(quick, module, image)
    assert not torch.allclose(first, second)


def test_an_answer_can_enter_a_gradient() -> None:
    found = small("resnet/cifar", "se_resnet20")
    _, quick = both(found)
    with torch.no_grad():
        answer = quick(images(found, 2))
    weight = torch.ones(answer.shape[1], dtype=answer.dtype, requires_grad=True)
    (answer * weight).sum().backward()
    torch.testing.assert_close(weight.grad, answer.sum(0))


def test_a_network_that_has_answered_can_be_copied_and_the_copy_goes_its_own_way() -> None:
    found = small("resnet/cifar", "se_resnet20")
    _, quick = both(found, torch.float32)
    image = images(found, 2).float()
    with torch.no_grad():
        answer = quick(image)
        other = copy.deepcopy(quick)
        torch.testing.assert_close(other(image), answer, atol=0, rtol=0)
        for weight in other.parameters():
            weight.mul_(1.1)
        assert not torch.allclose(other(image), answer)
        torch.testing.assert_close(quick(image), answer, atol=0, rtol=0)


def test_a_network_may_be_made_in_inference_mode_and_take_other_tensors() -> None:
    found = small("resnet/cifar", "se_resnet20")
    module, quick = both(found, torch.float32)
    image = images(found, 2).float()
    with torch.inference_mode():
        made = found.for_inference(module)
        exact = copy.deepcopy(module).double()(image.double())
        as_exact({"": made(image)}, {"": module(image)}, {"": exact})
    with torch.no_grad():
        quick(image)
        quick.load_state_dict({k: v * 1.1 for k, v in quick.state_dict().items()}, assign=True)
        answer = quick(image)
        torch.testing.assert_close(answer.double(), quick.double()(image.double()), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("first", ["batch_norm -> conv(3, 4)", "conv(3, 4) -> batch_norm"])
def test_each_layer_keeps_the_precision_that_it_had(first: str, dtype: torch.dtype) -> None:
    found = network(f"  stem {first}\n  head global_avg_pool -> linear(2)")
    module, quick = both(found, torch.float32)
    module, image = module.to(dtype), images(found, 2).to(dtype)
    with torch.no_grad():
        answer = found.for_inference(module)(image)
        wanted = module.double()(image.double())
    assert answer.dtype == dtype
    torch.testing.assert_close(answer.double(), wanted, atol=2e-2, rtol=2e-2)
    assert all(weight.dtype == torch.float32 for weight in quick.state_dict().values())


def test_a_gradient_with_respect_to_the_image_is_right() -> None:
    found = small("resnet/cifar", "se_resnet20")
    gradients = []
    for module in both(found):
        image = images(found, 2).requires_grad_()
        module(image).square().sum().backward()
        gradients.append(image.grad)
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("option", [0, 1, 4])
def test_what_is_selected_is_left_alone_and_what_is_open_stays_so(option: int) -> None:
    found = small("att_darts/search")
    module, mixed = both(found)
    sets = module.choices.sets
    # One set stays open, and one edge keeps an operation where the others have a zero.
    first, *_ = sets
    options = {key: [option % len(s.options)] * len(s.rows) for key, s in sets.items() if key != first}
    for rows in options.values():
        rows[0] = 1
        rows[2] = 1
    image = images(found, 2)
    with torch.no_grad():
        open_answer = module(image)
        torch.testing.assert_close(mixed(image), open_answer, atol=1e-11, rtol=1e-10)
        module.select(options)
        quick = found.for_inference(module)
        torch.testing.assert_close(quick(image), module(image), atol=1e-11, rtol=1e-10)
        assert not torch.allclose(open_answer, module(image))
    assert sum(p.numel() for p in quick.parameters()) < sum(p.numel() for p in mixed.parameters())


def test_a_plug_in_that_is_switched_off_costs_nothing() -> None:
    found = small("ean/clutter", "dia_search")
    module, _ = both(found)
    module.select({key: [0] * len(s.rows) for key, s in module.choices.sets.items()})
    quick = found.for_inference(module)
    image = images(found, 2)
    with torch.no_grad():
        torch.testing.assert_close(quick(image), module(image), atol=1e-11, rtol=1e-10)
    assert any("dia" in name for name in module.state_dict())
    assert not any("dia" in name for name in quick.state_dict())


def test_a_network_for_inference_is_exportable_and_one_graph_for_torch_compile() -> None:
    found = small("resnet/cifar", "se_resnet20")
    module, quick = both(found, torch.float32)
    image = images(found, 2).float()
    with torch.no_grad():
        expected = module(image)
        exported = torch.export.export(quick, (image,)).module()(image)
        traced = torch.compile(quick, backend="eager", fullgraph=True)(image)
    torch.testing.assert_close(exported, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(traced, expected, atol=1e-4, rtol=1e-4)
