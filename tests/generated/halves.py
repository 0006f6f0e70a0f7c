"""Forms in half precision, held to how far the plain form in that precision is from float64."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from generated.forms import Results, computed, image_of, weighted
from reference.pouring import compiled
from torch import Tensor

from genolang.api import Network

DTYPES = torch.float16, torch.bfloat16
TIMES, IMAGES = 10, 4
REFUSED = (
    "single value",
    "same dtype",
    "expected scalar type",
    "weight type",
    "bias type",
    "mixed dtype",
    "Type promoting",
)
Made = Callable[[Network, Any], Any]


class HalfCase:
    """A spec in a half precision, and in float64 with the same weights and images.

    In a half precision a maximum or a rectifier may turn on a last digit, and which form it turns in is
    chance: a form is wrong where it is off on every image.
    """

    def __init__(self, text: str, batch: int, training: bool, dtype: torch.dtype) -> None:
        self.network = compiled(text, "n")
        # A layer draws other random numbers in another precision.
        self.training = training and "dropout" not in text
        self.rough = weighted(self.network, torch.float32).to(dtype)
        self.exact = self.poured(self.network.module(fused=False).double())
        self.images = [image_of(self.network, batch, dtype, seed) for seed in range(IMAGES)]

    def poured(self, module: Any) -> Any:
        module.load_state_dict(self.rough.state_dict())
        with torch.no_grad():
            for key, logits in self.rough.choices.items():
                module.choices[key].copy_(logits)
        return module

    def run(self, module: Any, image: Tensor) -> Results:
        return computed(copy.deepcopy(module), image, self.training)

    def known(self) -> Iterator[tuple[Tensor, Results, Results]]:
        """Images on which the plain form, in float64 and in half precision, gives numbers, with these."""
        for image in self.images:
            try:
                exact = self.run(self.exact, image.double())
                rough = self.run(self.rough, image)
            except (ValueError, RuntimeError) as error:
                # A norm of a single value; a layer in half precision after `single_precision`.
                if not any(words in str(error) for words in REFUSED):
                    raise
                return
            if all(tensor.isfinite().all() for tensor in (*exact.values(), *rough.values())):
                yield image, exact, rough

    def hold(self, module: Any, names: tuple[str, ...] = ()) -> None:
        """Fails where the form is off too far, by TIMES of what the plain one is, on every image."""
        off = []
        for image, exact, rough in self.known():
            found = self.run(module, image)
            wrong = too_far(found, exact, rough, names or tuple(exact))
            if not wrong:
                return
            off.append(wrong)
        assert not off, "\n".join([str(image.dtype), *off[0]])


def too_far(found: Results, exact: Results, rough: Results, names: tuple[str, ...]) -> list[str]:
    """Where a form is further from float64 than TIMES the plain one, or than a number there is rounded by."""
    gradients = [t for n, t in exact.items() if n.startswith("gradient") and t.numel()]
    largest = max((float(t.abs().max()) for t in gradients), default=0.0)
    wrong = []
    for name in names:
        true = exact[name]
        if not true.numel():
            continue
        assert found[name].shape == true.shape and found[name].dtype == rough[name].dtype, name
        scale = max(float(true.abs().max()), 1e-3 * largest if name.startswith("gradient") else 0.0)
        usual = float((rough[name].double() - true).abs().max())
        gap = float((found[name].double() - true).abs().max())
        allowed = TIMES * max(usual, torch.finfo(rough["output 0"].dtype).eps * scale)
        if not gap <= allowed:
            wrong.append(
                f"{name}: off by {gap:.3g} where the plain form is by {usual:.3g}, the largest number {scale:.3g}"
            )
    return wrong


def fused_in_half(text: str, batch: int, training: bool) -> None:
    for dtype in DTYPES:
        case = HalfCase(text, batch, training, dtype)
        case.hold(case.poured(case.network.module().to(dtype)))


def inference_in_half(text: str, batch: int, training: bool) -> None:
    for dtype in DTYPES:
        case = HalfCase(text, batch, False, dtype)
        quick = case.network.for_inference(copy.deepcopy(case.rough).eval())
        case.hold(quick, ("output 0", "gradient of the image"))
