"""The complete networks that ship with genolang, small enough to run in a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genolang.api import Network, load
from genolang.diagnostics import GenoError
from genolang.semantics.modules import library_names

# Tests run side by side, on maps so small that threads cost more than they save.
torch.set_num_threads(1)

SMALL: dict[str, Any] = {"channels": 4, "depth": 3, "classes": 3, "auxiliary": True}
SUPERNET = {**SMALL, "depth": 2, "auxiliary": False}
AUGMENTED = {"width": 8, "heads": 2, "least": 4, "classes": 3}
# One or two networks of every shipped spec, each with parameters that make it small and keep its kind. A
# published supernet has two cells here: both are reductions, of two kinds.
EXAMPLES: dict[tuple[str, str], dict[str, Any]] = {
    ("darts/search", "supernet"): SUPERNET,
    ("darts/v1", "cifar"): SMALL,
    ("darts/v1", "imagenet"): SMALL,
    ("darts/v2", "cifar"): SMALL,
    ("darts/v2", "imagenet"): SMALL,
    ("darts/imagenet", "v2"): SMALL,
    ("att_darts/search", "supernet"): SUPERNET,
    ("att_darts/product", "supernet"): SUPERNET,
    ("att_darts/found", "cifar"): SMALL,
    ("att_darts/found", "imagenet"): SMALL,
    ("att_darts/imagenet", "imagenet"): SMALL,
    ("quickstart", "digits"): SMALL,
    ("aacn/clutter", "shares"): {"width": 8, "classes": 3},
    ("aacn/mnasnet", "aa_mnasnet"): {"alpha": "1/4", "heads": 2, "least": 4},
    ("aacn/resnet", "aa_resnet34"): AUGMENTED,
    ("aacn/resnet", "aa_resnet"): {**AUGMENTED, "blocks": "[1, 1, 1, 1]"},
    ("aacn/share_search", "digits"): {"width": 8, "classes": 3},
    ("aacn/wide_resnet", "aa_wrn28_10"): {"depth": 10, "widen": 1, "heads": 2, "least": 2, "classes": 3},
    ("apnas/clutter", "supernet"): {"width": 4},
    ("apnas/found", "resnet20"): {"depth": 8, "width": 4},
    ("apnas/search", "supernet"): {"depth": 8, "width": 4},
    ("ean/clutter", "se_shared"): {"width": 4},
    ("ean/clutter", "dia_search"): {"width": 4},
    ("ean/resnet164", "sge_shared"): {"depth": 11, "width": 4, "classes": 3},
    ("ean/resnet164", "se_search"): {"depth": 11, "width": 4, "classes": 3},
    ("ean/resnet50", "dia_shared"): {"blocks": "[1, 1, 1, 1]", "width": 4, "classes": 3},
    ("imagenet/convnext", "convnext_tiny"): {"width": 8, "depths": "[1, 1, 2, 1]", "classes": 3},
    ("imagenet/densenet", "densenet121"): {"blocks": "[1, 2, 1, 1]", "growth": 4, "classes": 3},
    ("imagenet/efficientnet", "efficientnet_b0"): {"width": "1/4", "depth": "1/3", "size": 64, "classes": 3},
    ("imagenet/mobilenet_v2", "mobilenet_v2"): {"alpha": "1/4", "classes": 3},
    ("imagenet/mobilenet_v3", "mobilenet_v3_small"): {"last": 24, "hidden": 16, "classes": 3},
    ("imagenet/regnet", "regnet_y_400mf"): {"widths": "[8, 16, 24, 32]", "depths": "[1, 2, 1, 1]", "classes": 3},
    ("imagenet/resnext", "resnext50_32x4d"): {"blocks": "[1, 1, 1, 1]", "width": 16, "classes": 3},
    ("imagenet/shufflenet_v2", "shufflenet_v2_x1_0"): {"widths": "[4, 8, 16, 32, 16]", "classes": 3},
    ("residual_attention/cifar", "attention56"): {"channels": 4, "classes": 3},
    ("residual_attention/cifar_2017", "attention"): {"channels": 4, "classes": 3},
    ("residual_attention/digits", "digits"): {"channels": 2, "classes": 3},
    ("residual_attention/imagenet", "attention56"): {"channels": 4, "classes": 3},
    ("residual_attention/search", "attention56"): {"channels": 4, "classes": 3},
    ("resnet/cifar", "se_resnet20"): {"depth": 8, "classes": 3},
    ("resnet/imagenet", "bam_resnet50"): {"blocks": "[1, 1, 1, 1]", "width": 8, "classes": 3},
    ("std/mnasnet", "mnasnet_b1"): {"alpha": "1/4", "classes": 3},
    ("std/resnet_cifar", "resnet_cifar"): {"depth": 8, "width": 4, "classes": 3},
    ("std/resnet_imagenet", "resnet_imagenet"): {"blocks": "[1, 1, 1, 1]", "width": 4, "classes": 3},
    ("std/wide_resnet", "wide_resnet"): {"depth": 10, "widen": 1, "classes": 3},
    ("transfer/counting", "counter"): {"width": 4},
    ("transfer/segmentation", "segmenter"): {"width": 4, "classes": 3},
}


def small(spec: str, name: str | None = None, **params: Any) -> Network:
    """A shipped network with the parameters of its example, and some others; those it has not are left out."""
    base = EXAMPLES[spec, name] if name else next(v for (s, _), v in EXAMPLES.items() if s == spec)
    given = {**base, **params}
    while True:
        try:
            return load(spec).network(name, **given)
        except GenoError as error:
            unknown = [k for k in base if k in given and f"`{k}`" in error.diagnostics[0].message]
            if base not in (SMALL, SUPERNET) or error.diagnostics[0].code != "G202" or not unknown:
                raise
            del given[unknown[0]]


def complete_networks() -> list[tuple[str, str]]:
    """(spec, network) of the examples of every shipped spec."""
    return list(EXAMPLES)


def specs_with_networks() -> set[str]:
    """Every shipped spec that has a network which needs no further arguments."""
    found = set()
    for parts in library_names():
        checked = load("/".join(parts)).checked
        if checked.programs:
            found.add("/".join(parts))
    return found


def images(network: Network, batch: int, size: tuple[int, int] | None = None, seed: int = 1) -> Tensor:
    """Random images of the size that a network declares, or of another one, in float64."""
    C, H, W = network.program.input
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, C, *(size or (H, W)), generator=generator, dtype=torch.float64)


def randomise(module: Any, seed: int = 0) -> None:
    """Statistics and logits that show where one is taken for another."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict(keep_vars=True).items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith("running_mean") or tensor.dim() == 1:
                tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.1)
        for logits in module.choices.values():
            logits.copy_(torch.randn(logits.shape, generator=generator))


def outputs(module: nn.Module, image: Tensor) -> list[Tensor]:
    """The logits and, in training with an auxiliary head, those of the head."""
    found = module(image)
    return list(found) if isinstance(found, tuple) else [found]


def four_photographs(root: Path) -> str:
    """A folder of four photographs of different sizes in two classes, as data."""
    image = pytest.importorskip("PIL.Image")
    for number in range(4):
        path = root / "train" / "ab"[number % 2] / f"{number}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.effect_noise((230 + 9 * number, 240), 80).convert("RGB").save(path)
    if not (root / "val").exists():
        (root / "val").symlink_to(root / "train")
    return f"folder:{root}"
