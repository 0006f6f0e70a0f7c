"""Modules as files that other programs read: `torch.export` archives and ONNX."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import torch
from torch import nn

from genolang.compiler.torch.module import NetworkModule
from genolang.diagnostics import fail

_ONNX = ("onnx", "onnxscript")


class _OneImageBatch(nn.Module):
    """The network with an argument that has a name, for the file's readers."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(images)
        return logits


def export(module: NetworkModule, shape: tuple[int, ...]) -> torch.export.ExportedProgram:
    """The network in evaluation for images (B, *shape), B one or more; its argument is `images`."""
    example = _example(module, shape)
    with _evaluating(module), torch.no_grad():
        return torch.export.export(
            _OneImageBatch(module), (example,), dynamic_shapes={"images": {0: torch.export.Dim("batch")}}
        )


def to_exported(module: NetworkModule, shape: tuple[int, ...]) -> bytes:
    """A `.pt2` archive that `torch.export.load` reads."""
    file = io.BytesIO()
    torch.export.save(export(module, shape), file)
    return file.getvalue()


def to_onnx(module: NetworkModule, shape: tuple[int, ...]) -> bytes:
    """An ONNX model: `images` (B, C, H, W) to `logits`. Error: G713 without the packages for it."""
    missing = [name for name in _ONNX if find_spec(name) is None]
    if missing:
        raise fail(
            "G713",
            f"writing ONNX needs {' and '.join(f'`{name}`' for name in missing)}",
            help=f"python -m pip install {' '.join(missing)}",
        )
    example = _example(module, shape)
    with _evaluating(module), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.onnx.export(
            _OneImageBatch(module),
            (example,),
            dynamo=True,
            verbose=False,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
        )
    assert model is not None, "the exporter gives a program when it is given no file"
    content: bytes = model.model_proto.SerializeToString()
    return content


def _example(module: nn.Module, shape: tuple[int, ...]) -> torch.Tensor:
    # Batch norms keep single precision in a network of half precision.
    like = min(module.parameters(), key=lambda p: p.dtype.itemsize, default=torch.zeros(()))
    return torch.zeros(2, *shape, device=like.device, dtype=like.dtype)


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
