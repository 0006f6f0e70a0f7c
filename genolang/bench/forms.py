"""One thing in one form: a function of tensors, run on one set of them after the other."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from genolang.train.captured import Recorded, Recorder

Leaves = Sequence[Tensor]
Gradients = tuple[Tensor | None, ...]
# More sets than this are not made, however small they are.
MOST_SETS = 8
_CACHE = 60_000_000


class Form:
    """A function of leaves, and the gradients that a fixed gradient of its output leaves there.

    Nothing is kept for backward unless `training`.
    """

    def __init__(self, run: Callable[[Leaves], Tensor], sets: Sequence[Leaves], *, training: bool = True) -> None:
        self.run, self.sets, self.training = run, sets, training
        self._weights: Tensor | None = None

    def prepare(self) -> None:
        """What has to happen once, before the first time."""

    def forward(self, turn: int) -> Tensor:
        """The output for one set of leaves."""
        if self.training:
            return self.run(self.sets[turn])
        with torch.no_grad():
            return self.run(self.sets[turn])

    def backward(self, turn: int, output: Tensor) -> Gradients:
        """The gradients of that set, None where the output does not depend on a leaf."""
        return torch.autograd.grad(output, self.sets[turn], self.weights(output), allow_unused=True)

    def weights(self, output: Tensor) -> Tensor:
        if self._weights is None:
            generator = torch.Generator().manual_seed(output.numel())
            self._weights = torch.randn(output.shape, generator=generator).to(output)
        return self._weights

    def work(self) -> tuple[Tensor, Gradients]:
        """Forward, and backward in training, for the first set."""
        output = self.forward(0)
        return output.detach(), self.backward(0, output) if self.training else ()


class CompiledForm(Form):
    """Under torch.compile, compiled anew: nothing comes from the disk. `graphs` lets it record CUDA graphs
    of its own."""

    def __init__(self, form: Form, compiled: Callable[[Leaves], Tensor], graphs: bool) -> None:
        super().__init__(compiled, form.sets, training=form.training)
        self._graphs = graphs

    def prepare(self) -> None:
        import torch._inductor.config as inductor

        with inductor.patch(force_disable_caches=True), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "dynamo_pgo force disabled")
            self.work()

    def forward(self, turn: int) -> Tensor:
        if self._graphs:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return super().forward(turn)


class CapturedForm(Form):
    """Another form recorded as CUDA graphs, forward and backward apart, one pair for each set."""

    def __init__(self, form: Form, device: torch.device) -> None:
        super().__init__(form.run, form.sets, training=form.training)
        self._form, self._recorder = form, Recorder(device)
        self._graphs: list[tuple[Recorded[Tensor], Recorded[Gradients] | None]] = []

    def prepare(self) -> None:
        self._recorder.warm(self._form.work)
        for turn in range(len(self.sets)):
            self._graphs.append(self._record(turn))

    def _record(self, turn: int) -> tuple[Recorded[Tensor], Recorded[Gradients] | None]:
        forward = self._recorder.record(lambda: self._form.forward(turn))
        if not self.training:
            return forward, None
        # Recording did not compute: the result is read for its graph of gradients only.
        output = forward()
        return forward, self._recorder.record(lambda: self._form.backward(turn, output))

    def forward(self, turn: int) -> Tensor:
        return self._graphs[turn][0]()

    def backward(self, turn: int, output: Tensor) -> Gradients:
        backward = self._graphs[turn][1]
        assert backward is not None
        return backward()


def rotation(device: torch.device, leaves: Leaves) -> int:
    """How many sets of leaves like these, with their gradients, are twice a GPU's cache. On a CPU one."""
    if device.type != "cuda":
        return 1
    cache = getattr(torch.cuda.get_device_properties(device), "L2_cache_size", 0) or _CACHE
    size = 2 * sum(leaf.numel() * leaf.element_size() for leaf in leaves)
    return max(2, min(MOST_SETS, -(-2 * cache // max(size, 1))))
