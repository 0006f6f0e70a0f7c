"""Whole networks to be timed: as `genoc compile` makes them, against the plain reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from genolang.api import Network, load
from genolang.bench.competitors import with_competitors
from genolang.bench.forms import Form, Leaves
from genolang.bench.subject import Subject

if TYPE_CHECKING:
    from genolang.compiler.driver import NetworkModule

# In float32 two orders of summation differ by this much in deep networks, more in their gradients: a
# rounding opens a ReLU. What counts is that they agree in float64, to `subject.EXACT`.
TRAINING, INFERENCE = 1e-2, 1e-3
SUPERNETS = ("darts/search", "att_darts/search")


# A network's module in a dtype, its weights and running statistics drawn.
Make = Callable[[torch.dtype], "NetworkModule"]


@dataclass(frozen=True, slots=True)
class Discrete:
    """A found or designed network that is deployed; `small` are the parameters of a tiny one, if any."""

    spec: str
    network: str
    small: dict[str, Any] | None = None


DISCRETE = (
    Discrete("darts/v2", "cifar", {"channels": 4, "depth": 3}),
    Discrete("resnet/cifar", "se_resnet56"),
    Discrete("residual_attention/cifar", "attention56"),
    Discrete("aacn/wide_resnet", "aa_wrn28_10"),
)


def supernet_subjects(
    batches: Sequence[int], device: torch.device, extra: Sequence[str], sizes: dict[str, Any]
) -> list[Subject]:
    """A step of the DARTS and of the Att-DARTS supernet, forward and backward."""
    return [
        subject
        for spec in SUPERNETS
        for subject in network_subjects(load(spec).network(None, **sizes), batches, device, extra, name=spec)
    ]


def discrete_subjects(
    batches: Sequence[int], device: torch.device, extra: Sequence[str], *, small: bool = False
) -> list[Subject]:
    """Answers of found and designed networks."""
    found: list[Subject] = []
    for one in DISCRETE:
        if small and one.small is None:
            continue
        network = load(one.spec).network(one.network, **(one.small or {} if small else {}))
        name = f"{one.spec} {one.network}"
        found += network_subjects(network, batches, device, extra, [False], name)
    return found


def pass_subjects(
    batches: Sequence[int], device: torch.device, sizes: dict[str, Any], only: Sequence[str] = ()
) -> Iterator[Subject]:
    """A step of the DARTS supernet with all passes (`fused`) and without one of them (`eager`)."""
    from genolang.compiler import driver

    program = load(SUPERNETS[0]).network(None, **sizes).program

    def build(without: Sequence[str], dtype: torch.dtype) -> NetworkModule:
        return seeded(driver.to_module(program, without=without).to(device, dtype)).train()

    for one in driver.passes():
        if (only and one.name not in only) or one.elsewhere:
            continue  # CUDA graphs are forms of their own
        for batch in batches:
            images = _images(batch, program.input, device)
            makers: dict[str, Make] = {"eager": partial(build, [one.name]), "fused": partial(build, [])}
            forms: dict[str, Callable[[], Form]] = {
                name: partial(module_form, make, images, True) for name, make in makers.items()
            }
            shape = "x".join(map(str, images.shape))
            yield Subject(
                f"pass {one.name}",
                shape,
                torch.float32,
                device,
                forms,
                TRAINING,
                why=one.sentence,
                exact=in_float64(makers, images, True),
            )


def _images(batch: int, shape: Sequence[int], device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(batch)
    return torch.randn(batch, *shape, generator=generator).to(device)


def network_subjects(
    network: Network,
    batches: Sequence[int],
    device: torch.device,
    extra: Sequence[str] = (),
    training: Sequence[bool] = (False, True),
    name: str = "",
) -> list[Subject]:
    """A subject per batch size and mode. The forms hold the same weights and logits.

    In inference `fused` is the folded network of `for_inference`, and `module` the one for training.
    """
    found = []
    for trains in training:
        if not trains and network.program.choices:
            continue  # a supernet is trained, nobody deploys it
        for batch in batches:
            found.append(_subject(network, batch, device, extra, trains, name))
    return found


def _subject(
    network: Network, batch: int, device: torch.device, extra: Sequence[str], training: bool, name: str
) -> Subject:
    images = _images(batch, network.program.input, device)

    def plain(dtype: torch.dtype) -> NetworkModule:
        return seeded(network.module(fused=False).to(device, dtype)).train(training)

    def fused(dtype: torch.dtype) -> NetworkModule:
        return seeded(network.module().to(device, dtype)).train(training)

    def folded(dtype: torch.dtype) -> NetworkModule:
        return network.for_inference(plain(dtype))

    makers: dict[str, Make] = {"eager": plain, "fused": fused}
    if not training:
        makers = {"eager": plain, "fused": folded, "module": fused}
    forms: dict[str, Callable[[], Form]] = {
        form: partial(module_form, make, images, training) for form, make in makers.items()
    }
    return Subject(
        name or network.name,
        "x".join(map(str, images.shape)),
        torch.float32,
        device,
        with_competitors(forms, extra, device),
        TRAINING if training else INFERENCE,
        training,
        exact=in_float64(makers, images, training),
    )


def in_float64(makers: Mapping[str, Make], images: Tensor, training: bool) -> dict[str, Callable[[], Form]]:
    """The forms of a network in float64, for the comparison."""
    return {name: partial(module_form, make, images.double(), training) for name, make in makers.items()}


def seeded(module: NetworkModule) -> NetworkModule:
    """The same weights and running statistics for all modules of one network, those of no initialisation:
    what is folded or fused shows only with statistics that are not 0 and 1."""
    with torch.no_grad():
        for number, (key, tensor) in enumerate(sorted(module.state_dict().items())):
            if not tensor.is_floating_point():
                continue
            generator = torch.Generator().manual_seed(number)
            noise = torch.randn(tensor.shape, generator=generator).to(tensor)
            if key.endswith("running_var"):
                tensor.copy_(0.5 + noise.abs())
            elif tensor.dim() > 1:
                tensor.copy_(noise * 1.1 * tensor[0].numel() ** -0.5)
            else:
                tensor.copy_(noise * 0.1 + (1.0 if key.endswith("weight") else 0.0))
    return module


def module_form(make: Make, images: Tensor, training: bool) -> Form:
    """A module's answer to fixed images, and the gradients of its parameters and logits."""
    module = make(images.dtype)
    choices = module.choices
    leaves = [*module.parameters(), *(choices[key] for key in sorted(choices))]

    def run(_: Leaves) -> Tensor:
        result: Tensor | tuple[Tensor, Tensor] = module(images)
        return result[0] if isinstance(result, tuple) else result

    return Form(run, [leaves], training=training)
