import pytest
import torch
from click.testing import CliRunner

from genolang.api import load
from genolang.cli.main import main
from genolang.diagnostics import GenoError

CIFAR = "residual_attention/cifar"


@pytest.mark.parametrize("text", ["layer_norm", '"layer_norm"'])
def test_a_bare_word_is_text_where_the_default_is_text(text: str) -> None:
    assert load(CIFAR).network("attention56", gate=text).program.params == 2_878_186
    result = CliRunner().invoke(main, ["plan", CIFAR, "--network", "attention56", "--set", f"gate={text}"])
    assert result.exit_code == 0 and "2,878,186" in result.output


@pytest.mark.parametrize("network", ["attention56", "attention92"])
@pytest.mark.parametrize(
    ("setting", "code", "named"),
    [
        ({"gate": "mixd"}, "G212", "mixed, channel, spatial or layer_norm"),
        ({"learn": "residul"}, "G212", "residual or naive"),
        ({"project": "never"}, "G212", "always or needed"),
        ({"padding": "none"}, "G212", "end or around"),
        ({"gate": 3}, "G205", "cannot be compared"),
        ({"channels": "mixed"}, "G101", "mixed"),
    ],
)
def test_a_word_that_is_not_known_is_refused_with_those_that_are(
    network: str, setting: dict[str, str | int], code: str, named: str
) -> None:
    with pytest.raises(GenoError) as caught:
        load(CIFAR).network(network, **setting)
    (first, *_) = caught.value.diagnostics
    assert first.code == code and named in first.message


@pytest.mark.parametrize(("m", "depth"), [(1, 56), (2, 92), (3, 128), (4, 164), (6, 236), (12, 452)])
def test_m_modules_in_a_stage_make_a_trunk_of_the_published_depth(m: int, depth: int) -> None:
    names = load("residual_attention/cifar_2017").network(m=m).program.block.leaves
    convolutions = [n for n in names if n[-1].startswith(("conv", "linear")) and "mask" not in n]
    projections = 3
    assert len(convolutions) - projections == depth


@pytest.mark.parametrize("size", [(33, 20), (45, 61)])
def test_a_network_runs_on_other_sizes_than_it_declares(size: tuple[int, int]) -> None:
    module = load("residual_attention/cifar_2017").network(channels=4, gate="spatial").module().eval()
    assert module(torch.randn(2, 3, *size)).isfinite().all()


def test_zeros_at_the_end_belong_to_even_maps() -> None:
    """Padding as TensorFlow does it depends on whether sizes are even: 64x48 stays so, 27x45 is not."""
    module = load(CIFAR).network("attention56", channels=4, gate="spatial").module().eval()
    assert module(torch.randn(2, 3, 64, 48)).isfinite().all()
    with pytest.raises(GenoError, match="made for images of 32x32"):
        module(torch.randn(2, 3, 27, 45))
    around = load(CIFAR).network("attention56", channels=4, gate="spatial", padding="around").module().eval()
    assert around(torch.randn(2, 3, 27, 45)).isfinite().all()


def test_every_spec_of_residual_attention_has_a_recipe() -> None:
    for name in ("cifar", "cifar_2017", "digits", "imagenet"):
        assert load(f"residual_attention/{name}").checked.module.sections("train")
