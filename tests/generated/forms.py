"""One network in all its forms, and what each of them computes on the same images with the same weights."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from reference.pouring import compiled
from shipped import outputs
from torch import Tensor, nn

from genolang.api import Network
from genolang.compiler import driver

Results = dict[str, Tensor]
EXACT = 1e-9
RUNNING = ("running_mean", "running_var")


def saved(module: nn.Module, image: Tensor) -> int:
    """What a real training forward keeps for backward, every storage once, weights apart."""
    own = {t.untyped_storage().data_ptr() for t in (*module.parameters(), *module.buffers())}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        address = tensor.untyped_storage().data_ptr()
        if address not in own:
            kept.setdefault(address, tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = module.train()(image)
    # The graph holds its tensors alive until here, so no address stands for two storages.
    del result
    return sum(t.untyped_storage().nbytes() for t in kept.values())


def emitted(network: Network, folder: Path) -> Any:
    """A module of the network's Python source."""
    path = folder / "generated_network.py"
    path.write_text(driver.to_python(network.program), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("generated_network", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    classes = [c for c in vars(module).values() if isinstance(c, type)]
    return [c for c in classes if issubclass(c, nn.Module)][-1]()


def weighted(network: Network, dtype: torch.dtype = torch.float64) -> Any:
    """The plain form with weights of which no two are alike."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module: Any = network.module(fused=False).to(dtype)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in module.state_dict(keep_vars=True).items():
            noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float64).to(dtype)
            if name.endswith("running_var"):
                tensor.copy_(1 + 0.5 * noise.tanh())
            else:
                tensor.add_(0.1 * noise)
        for logits in module.choices.values():
            logits.copy_(torch.randn(logits.shape, generator=generator))
    return module


def poured(module: Any, source: Any) -> Any:
    """The module with the weights, statistics and logits of another form, in its precision."""
    like = next(iter(source.state_dict().values()), None)
    module = module.to(like.dtype) if like is not None else module.double()
    assert [*module.state_dict()] == [*source.state_dict()], "forms have one state dict"
    module.load_state_dict(source.state_dict())
    with torch.no_grad():
        for key, logits in source.choices.items():
            module.choices[key].copy_(logits)
    return module


def image_of(network: Network, batch: int, dtype: torch.dtype = torch.float64, seed: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, *network.program.input, generator=generator, dtype=torch.float64).to(dtype)


def computed(module: Any, image: Tensor, training: bool, run: Any = None) -> Results:
    """Outputs, gradients of the image, weights and logits, and statistics afterwards."""
    module.train(training)
    module.zero_grad()
    for logits in module.choices.values():
        logits.grad = None
    image = image.clone().requires_grad_()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        found = outputs(module if run is None else run, image)
    generator = torch.Generator().manual_seed(4)
    shares = [torch.randn(o.shape, generator=generator, dtype=torch.float64).to(o.dtype) for o in found]
    depends = [(output, share) for output, share in zip(found, shares, strict=True) if output.requires_grad]
    if depends:
        torch.autograd.backward(*zip(*depends, strict=True))
    results = {f"output {number}": output.detach() for number, output in enumerate(found)}
    for name, tensor in _leaves(module, image):
        results[f"gradient of {name}"] = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
    results |= {name: buffer.clone() for name, buffer in module.named_buffers()}
    return results


def _leaves(module: Any, image: Tensor) -> Iterator[tuple[str, Tensor]]:
    yield "the image", image
    yield from module.named_parameters()
    yield from module.choices.items()


def differences(found: Results, expected: Results, tolerance: float) -> list[str]:
    """Where two forms differ by more than a share of the largest number there, or of all gradients."""
    assert list(found) == list(expected)
    largest = max(
        (float(t.abs().max()) for n, t in expected.items() if n.startswith("gradient") and t.numel()), default=0.0
    )
    wrong = []
    for name, tensor in expected.items():
        there = found[name]
        assert there.shape == tensor.shape and there.dtype == tensor.dtype, name
        scale = max(1.0, float(tensor.abs().max())) if tensor.numel() else 1.0
        if name.startswith("gradient"):
            scale = max(scale, 1e-3 * largest)
        gap = float((there - tensor).abs().max()) if tensor.numel() else 0.0
        if not gap <= tolerance * scale:
            wrong.append(f"{name}: off by {gap:.3g} where the largest number is {scale:.3g}")
    return wrong


def nudged(module: Any, image: Tensor, share: float = 1e-13) -> tuple[Any, Tensor]:
    """The same but for the last digits of all weights, of the image and of what layers compute: a map that
    is constant need not be so to the last digit in another form."""
    module = copy.deepcopy(module)
    generator = torch.Generator().manual_seed(5)

    def rounded(layer: nn.Module, maps: Any, result: Tensor) -> Tensor:
        noise = torch.randn(result.shape, generator=generator, dtype=torch.float64)
        return result + share * float(result.detach().abs().max().clamp(min=1)) * noise

    for layer in module.modules():
        if next(layer.parameters(recurse=False), None) is not None or isinstance(layer, nn.BatchNorm2d):
            layer.register_forward_hook(rounded)
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.choices.values()):
            tensor.mul_(1 + share * torch.randn(tensor.shape, generator=generator, dtype=torch.float64))
    return module, image * (1 + share * torch.randn(image.shape, generator=generator, dtype=torch.float64))


class Case:
    """A spec's plain form, against which the others are held: with a batch, in training or in evaluation."""

    def __init__(self, text: str, batch: int, training: bool) -> None:
        self.network = compiled(text, "n")
        self.training = training
        self.plain = weighted(self.network)
        self.image = image_of(self.network, batch)

    def result(self, module: Any = None, image: Tensor | None = None, run: Any = None) -> Results:
        """What a form computes, which has the weights of the plain one before and after."""
        module = copy.deepcopy(self.plain) if module is None else module
        if hasattr(module, "set_drop_path"):
            module.set_drop_path(0.25)
        return computed(module, self.image if image is None else image, self.training, run)

    def known(self) -> Results | None:
        """What the plain form computes; None where that is nothing to go by.

        That is: torch refuses to normalise a single value, or last digits alone (a maximum of two that are
        nearly alike, a division by nearly nothing) change the result that much.
        """
        try:
            expected = self.result()
        except ValueError as error:
            if "single value" not in str(error):
                raise
            return None
        if not all(tensor.isfinite().all() for tensor in expected.values()):
            return None
        return None if differences(self.result(*nudged(self.plain, self.image)), expected, 1e-10) else expected

    def hold(self, found: Results, expected: Results) -> None:
        """Fails where results differ, whichever of the plain form's are given."""
        wrong = differences({name: found[name] for name in expected}, expected, EXACT)
        if any(line.split(":")[0].endswith(RUNNING) for line in wrong):
            read, before = self.read(), dict(self.plain.named_buffers())
            wrong = [
                line
                for line in wrong
                if not (name := line.split(":")[0]).endswith(RUNNING)
                or name.rpartition(".")[0] in read
                or not torch.equal(found[name], before[name])
            ]
        assert not wrong, "\n".join(wrong)

    def read(self) -> set[str]:
        """The norms that an output reads. Of others, which are left out, statistics stay as they are."""
        module = copy.deepcopy(self.plain).train(self.training)
        probes: dict[str, Tensor] = {}

        def probe(name: str) -> Any:
            probes[name] = torch.ones((), dtype=self.image.dtype, requires_grad=True)
            return lambda layer, maps, result: result * probes[name]

        for name, layer in module.named_modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.register_forward_hook(probe(name))
        torch.stack([output.sum() for output in outputs(module, self.image)]).sum().backward()
        return {name for name, one in probes.items() if one.grad is not None}
