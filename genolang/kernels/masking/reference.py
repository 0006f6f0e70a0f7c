"""Masking and recalibration as they are defined, in operations of ATen: what runs anywhere."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from genolang.kernels.masking.gate import CHANNEL, SPATIAL, Gate


def masked(t: Tensor, m: Tensor, gate: Gate) -> Tensor:
    """(1 + gate(m)) * t or gate(m) * t, of maps (B, C, H, W)."""
    if gate.kind == SPATIAL:
        m = standardised(m, gate.eps)
    elif gate.kind == CHANNEL:
        m = F.normalize(_wide(m), dim=1, eps=gate.eps).to(m.dtype)
    mask = torch.sigmoid(m) if gate.sigmoid else m
    return (1 + mask) * t if gate.residual else mask * t


def standardised(m: Tensor, eps: float) -> Tensor:
    """Minus the mean over the positions, over the unbiased deviation plus eps; a single position gives 0."""
    wide = _wide(m)
    count = m.shape[2] * m.shape[3]
    deviation, mean = torch.std_mean(wide, (2, 3), correction=min(1, count - 1), keepdim=True)
    return ((wide - mean) / (deviation + eps)).to(m.dtype)


def _wide(m: Tensor) -> Tensor:
    """Neither a norm of half-precision numbers nor `eps` may fit into half precision."""
    return m.to(torch.promote_types(m.dtype, torch.float32))


def recalibrated(x: Tensor, f: Tensor, m: Tensor, relu: bool) -> Tensor:
    """x + sigmoid(m) * f, through a ReLU if asked for; m is a map, one value a channel, or one a position."""
    y = x + torch.sigmoid(m) * f
    return F.relu(y) if relu else y
