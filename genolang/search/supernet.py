"""A supernet trained once under random schemes, so that any scheme can be measured in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from genolang.search.halves import Halves
from genolang.search.schemes import SchemeSpace
from genolang.semantics.settings import SearchSettings, TrainSettings
from genolang.train.datasets import Dataset
from genolang.train.loop import Fitted, fit
from genolang.train.phase import Phase

if TYPE_CHECKING:
    from genolang.compiler.driver import NetworkModule


class RandomSchemes:
    """A supernet that trains under a fresh random scheme at every forward pass, for the whole batch.

    In evaluation it is the fullest scheme, so that the monitored accuracy is that of all slots
    connected. Schemes come from torch's generator, which the training loop seeds at every step.
    Source: Efficient Attention Network, section 4.2; its code monitors with no slot connected.
    """

    # Every pass computes something else.
    captured = False

    def __init__(self, module: NetworkModule, space: SchemeSpace, connect: float) -> None:
        self.module, self.space, self.connect = module, space, connect
        self.auxiliary_weight = module.auxiliary_weight

    def __call__(self, images: Tensor, /) -> Any:
        if self.module.training:
            self.module.select(self.space.selection(self.space.draw(self.connect)))
        return self.module(images)

    def eval(self) -> Any:
        self.module.eval()
        self.module.select(self.space.selection(self.space.full))

    def train(self, mode: bool = True) -> Any:
        return self.module.train(mode)

    def set_drop_path(self, p: float) -> None:
        self.module.set_drop_path(p)

    def parameters(self) -> Iterator[nn.Parameter]:
        return self.module.parameters()

    def buffers(self) -> Iterator[Tensor]:
        return self.module.buffers()

    def to(self, device: torch.device, /) -> Any:
        return self.module.to(device)

    def state_dict(self) -> dict[str, Any]:
        return self.module.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> Any:
        return self.module.load_state_dict(state_dict)


def train_supernet(
    module: NetworkModule, space: SchemeSpace, settings: SearchSettings, data: Dataset, phase: Phase
) -> Fitted:
    """Trains for `epochs` on the weights' half and leaves the module with its last weights.

    The halves are drawn by `settings.seed`. Raises what `genolang.train.loop.fit` raises.
    """
    training = TrainSettings(
        data=settings.data,
        epochs=settings.epochs,
        batch=settings.batch,
        split=1 - settings.split,
        optimizer=settings.weights,
        augment=settings.augment,
        precision=settings.precision,
        seed=phase.seed,
    )
    module.to(phase.device)
    halves = Halves(settings, data, phase.device)
    return fit(
        RandomSchemes(module, space, settings.connect),
        training,
        halves.batches(halves.weights, phase.seed, "supernet"),
        halves.measured,
        phase,
    )
