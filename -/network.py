# Written by genolang 0.1.0. Plain PyTorch: change it as you like.
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def initialised(layer: nn.Module, word: str, number: float) -> nn.Module:
    """The layer, whose weight begins as a word says, and whose bias, if it has one, at 0."""
    weight, kind = layer.weight, word.rpartition("_")[2]
    like = "relu" if word.startswith("he_") else "linear"
    with torch.no_grad():
        if word == "constant":
            nn.init.constant_(weight, number)
        elif word == "normal":
            nn.init.normal_(weight, std=number)
        elif word == "uniform":
            nn.init.uniform_(weight, -number, number)
        elif word == "trunc_normal":
            nn.init.trunc_normal_(weight, std=number, a=-2 * number, b=2 * number)
        elif word == "orthogonal":
            nn.init.orthogonal_(weight, gain=number)
        elif word.startswith("glorot_"):
            getattr(nn.init, f"xavier_{kind}_")(weight, gain=number)
        else:
            getattr(nn.init, f"kaiming_{kind}_")(weight, nonlinearity=like).mul_(number)
        if getattr(layer, "bias", None) is not None:
            layer.bias.zero_()
    return layer


class BatchNorm(nn.BatchNorm2d):
    """Batch norm without a batch counter; state dicts that have one load all the same."""

    def __init__(self, channels: int, momentum: float = 0.1, eps: float = 1e-05, affine: bool = True) -> None:
        super().__init__(channels, eps, momentum, affine)
        self.num_batches_tracked = None

    def forward(self, x: Tensor) -> Tensor:
        kept, weights = (self.running_mean, self.running_var), (self.weight, self.bias)
        settings = self.training, self.momentum, self.eps
        # torch 2.13 may get the gradient of one image wrong, of rows of pixels it does not. What
        # torch.fx traces with is no tensor, and has no size.
        if isinstance(x, Tensor) and x.shape[0] == 1:
            return F.batch_norm(x.flatten(2), *kept, *weights, *settings).view_as(x)
        return F.batch_norm(x, *kept, *weights, *settings)

    def _apply(self, fn, recurse=True):
        # A variance may not fit into half precision where its map does.
        def kept(tensor):
            moved = fn(tensor)
            half = moved.dtype in (torch.float16, torch.bfloat16)
            single = tensor.dtype == torch.float32
            return tensor.to(moved.device) if half and single else moved

        return super()._apply(kept, recurse)

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        state_dict.pop(prefix + "num_batches_tracked", None)
        nn.Module._load_from_state_dict(self, state_dict, prefix, *rest)


class Linear(nn.Linear):
    """A dense layer on (B, C, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.flatten(1), self.weight, self.bias)[:, :, None, None]


class Learned(nn.Module):
    """A learnable map, the same for all images of a batch."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight.to(x.dtype).expand(x.shape[0], -1, -1, -1)


class Unit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = initialised(nn.Conv2d(8, 6, 3, padding=1, bias=False), "lecun_normal", 1.0)
        self.batch_norm = BatchNorm(6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = self.batch_norm(x)
        return F.relu(x)


class Unit2(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = initialised(nn.Conv2d(6, 5, 3, padding=1, bias=False), "orthogonal", 2.0)
        self.batch_norm = BatchNorm(5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = self.batch_norm(x)
        return F.relu(x)


class N(nn.Module):
    """(B, 3, 9, 7) -> logits (B, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.auxiliary_weight = 0.0
        self.stem = nn.Module()
        self.stem.conv = initialised(nn.Conv2d(3, 8, 3, padding=1, bias=False), "he_normal", 1.0)
        self.stem.unit = Unit()
        self.stem.unit_2 = Unit2()
        self.stem.conv_2 = initialised(nn.Conv2d(5, 4, 3, padding=1), "trunc_normal", 0.5)
        self.body = nn.Module()
        self.body.transposed_conv = initialised(nn.ConvTranspose2d(4, 4, 3, padding=1, bias=False), "constant", 0.25)
        self.body.parameter = initialised(Learned((1, 9, 7)), "normal", 0.1)
        self.head = nn.Module()
        self.head.linear = initialised(Linear(4, 3), "constant", 0.0)

    def forward(self, x: Tensor) -> Tensor:
        stem = self.stem.conv(x)
        stem = self.stem.unit(stem)
        stem = self.stem.unit_2(stem)
        stem = self.stem.conv_2(stem)
        body = self.body.transposed_conv(stem)
        body_2 = self.body.parameter(body)
        body = body + body_2
        body = body.mean((2, 3), keepdim=True)
        return self.head.linear(body).flatten(1)
