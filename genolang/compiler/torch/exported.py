"""Modules as files that other programs read: `torch.export` archives and ONNX."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from genolang.compiler.torch.module import NetworkModule
from genolang.diagnostics import fail

_ONNX = ("onnx", "onnxscript")
CARD_FILE = "card.json"

Card = Mapping[str, Any]
"""`genolang.train.card`, as plain data."""


class _OneImageBatch(nn.Module):
    """The network with an argument that has a name, for the file's readers; it may normalise that itself."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: nn.Module, card: Card | None, norm: str | None) -> None:
        super().__init__()
        self.network = network
        self.normalises = norm is not None
        if norm is not None:
            assert card is not None, "a card says how images are normalised"
            like = _like(network)
            for name in ("mean", "std"):
                values = torch.tensor(card[name], dtype=like.dtype, device=like.device).view(1, -1, 1, 1)
                self.register_buffer(name, values)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.normalises:
            if images.dtype == torch.uint8:
                images = images.to(self.mean.dtype) / 255
            images = (images - self.mean) / self.std
        logits: torch.Tensor = self.network(images)
        return logits


def export(
    module: NetworkModule, shape: tuple[int, ...], card: Card | None = None, norm: str | None = None
) -> torch.export.ExportedProgram:
    """The network in evaluation for images (B, *shape), B one or more; its argument is `images`."""
    example = _example(module, shape, norm)
    with _evaluating(module), torch.no_grad():
        return torch.export.export(
            _OneImageBatch(module, card, norm), (example,), dynamic_shapes={"images": {0: torch.export.Dim("batch")}}
        )


def to_exported(
    module: NetworkModule, shape: tuple[int, ...], card: Card | None = None, norm: str | None = None
) -> bytes:
    """A `.pt2` archive that `torch.export.load` reads, a card among its extra files."""
    file = io.BytesIO()
    extra = {} if card is None else {CARD_FILE: json.dumps(dict(card), sort_keys=True)}
    torch.export.save(export(module, shape, card, norm), file, extra_files=extra)
    return file.getvalue()


def to_onnx(module: NetworkModule, shape: tuple[int, ...], card: Card | None = None, norm: str | None = None) -> bytes:
    """An ONNX model: `images` (B, C, H, W) to `logits`, a card in its metadata. Error: G713 without packages for it."""
    missing = [name for name in _ONNX if find_spec(name) is None]
    if missing:
        raise fail(
            "G713",
            f"writing ONNX needs {' and '.join(f'`{name}`' for name in missing)}",
            help=f"python -m pip install {' '.join(missing)}",
        )
    example = _example(module, shape, norm)
    with _evaluating(module), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.onnx.export(
            _OneImageBatch(module, card, norm),
            (example,),
            dynamo=True,
            verbose=False,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
        )
    assert model is not None, "the exporter gives a program when it is given no file"
    proto = model.model_proto
    for key, value in sorted((card or {}).items()):
        proto.metadata_props.add(key=key, value=value if isinstance(value, str) else json.dumps(value))
    content: bytes = proto.SerializeToString()
    return content


def _example(module: nn.Module, shape: tuple[int, ...], norm: str | None) -> torch.Tensor:
    like = _like(module)
    return torch.zeros(2, *shape, device=like.device, dtype=torch.uint8 if norm == "uint8" else like.dtype)


def _like(module: nn.Module) -> torch.Tensor:
    # Batch norms keep single precision in a network of half precision.
    return min(module.parameters(), key=lambda p: p.dtype.itemsize, default=torch.zeros(()))


@contextmanager
def _evaluating(module: NetworkModule) -> Iterator[None]:
    """In evaluation, with the logits of open choices as constants."""
    was_training, logits = module.training, module.choices.tensors
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    module.eval()
    module.choices.tensors = {key: tensor.detach() for key, tensor in logits.items()}
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        module.train(was_training)
        module.choices.tensors = logits
        logger.setLevel(level)


__all__ = ["export", "to_exported", "to_onnx"]
