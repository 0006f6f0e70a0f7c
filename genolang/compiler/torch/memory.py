"""What training keeps in memory between forward and backward, counted without running anything."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks


def saved_bytes(module: nn.Module, shape: tuple[int, int, int, int]) -> int:
    """Bytes that autograd saves in one training forward of a batch (B, C, H, W) in float32.

    The module must be on the meta device, and in training. Every storage counts once; parameters and
    buffers are there anyway and do not count.
    """
    owned = {t.untyped_storage()._cdata for t in (*module.parameters(), *module.buffers())}
    seen: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        key = tensor.untyped_storage()._cdata
        if key not in owned:
            seen.setdefault(key, tensor)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        result = module(torch.empty(shape, device="meta"))
    del result
    return sum(tensor.untyped_storage().nbytes() for tensor in seen.values())
