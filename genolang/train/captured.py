"""Work of fixed shapes as CUDA graphs: launched as one, without the pauses between its kernels.

A graph reads and writes the memory that it was recorded with: new images are copied into the old tensors,
gradients come to lie where they lay, and weights and running statistics have to be changed in place.
Source: PyTorch's notes on CUDA graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
# Libraries choose their algorithms, and Triton compiles, in the first runs.
WARM = 3


class Recorded(Generic[T]):
    """A recorded piece of work: calling it runs it again and gives the tensors of the recording, refilled."""

    def __init__(self, graph: torch.cuda.CUDAGraph, result: T) -> None:
        self._graph, self._result = graph, result

    def __call__(self) -> T:
        self._graph.replay()
        return self._result


class Records(Protocol):
    """What runs pieces of work and records them."""

    def warm(self, work: Callable[[], T], times: int = WARM) -> T:
        """Run the work, as must happen before it is recorded; the result of the last time."""
        ...

    def record(self, work: Callable[[], T]) -> Callable[[], T]:
        """Record without running. The work must not wait for the device, nor choose by what it computed."""
        ...


class Recorder:
    """Records pieces of work one by one on one stream; a later one may read what an earlier one left,
    a backward pass its forward pass, if they are run again in the order of the recording.

    ValueError for anything but a GPU: a CPU launches nothing, so there is nothing to record.
    """

    def __init__(self, device: torch.device) -> None:
        if device.type != "cuda":
            raise ValueError(f"CUDA graphs are a GPU's: on a {device.type} there is nothing to capture")
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def warm(self, work: Callable[[], T], times: int = WARM) -> T:
        """Run the work on the recorder's stream; the result of the last time."""
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            for _ in range(times):
                result = work()
        torch.cuda.current_stream(self._device).wait_stream(self._stream)
        return result

    def record(self, work: Callable[[], T]) -> Recorded[T]:
        """Record without running; the memory of all recordings is one, so none may run beside another."""
        torch.cuda.synchronize(self._device)
        graph, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self._device)
        # Of this thread alone: others may read images ahead into memory of their own meanwhile.
        mode = "thread_local"
        try:
            with torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode=mode):
                result = work()
        except BaseException:
            self._recover(before)
            raise
        return Recorded(graph, result)

    def _recover(self, before: torch.cuda.Stream) -> None:
        """A recording that failed keeps the stream, and the generator takes itself to be recorded still."""
        torch.cuda.set_stream(before)
        index = self._device.index
        generator = torch.cuda.default_generators[torch.cuda.current_device() if index is None else index]
        fresh = torch.Generator(self._device).manual_seed(generator.initial_seed())
        generator.graphsafe_set_state(fresh.graphsafe_get_state())


def recorder_for(device: torch.device) -> Records | None:
    """What records on a device; None where there is nothing to record."""
    return Recorder(device) if device.type == "cuda" else None


Values = tuple[Tensor, ...]
Gradients = list[Tensor | None]


class Recordings:
    """All that one run records, in one memory; after the first failure nothing any more."""

    def __init__(self, device: torch.device, wanted: bool) -> None:
        self.recorder = recorder_for(device) if wanted else None
        self._works: list[Work] = []
        self._news: list[str] = []

    def work(
        self,
        name: str,
        run: Callable[..., Values],
        begin: Callable[[], None] = lambda: None,
        leaves: Sequence[Tensor] = (),
        state: Sequence[Tensor] = (),
    ) -> Work:
        """A piece of work of this run; see `Work`."""
        self._works.append(Work(self, name, run, begin, leaves, state))
        return self._works[-1]

    @property
    def held(self) -> bool:
        """Whether anything is recorded."""
        return any(work.held for work in self._works)

    def say(self, line: str) -> None:
        self._news.append(line)

    def news(self) -> list[str]:
        """What there is to say since the last time, in lines for a person."""
        found, self._news = self._news, []
        return found

    def stop(self, why: str) -> None:
        """Gives all recordings up; everything runs as it is from here on."""
        self.close()
        self.recorder = None
        self.say(f"no CUDA graphs from here on: {why}")

    def close(self) -> None:
        """Gives the memory of all recordings back."""
        for work in self._works:
            work.forget()


@dataclass(slots=True)
class _Kind:
    """Work on inputs of some shapes: what else it depends on, how often it ran so, and its recording."""

    key: Hashable
    runs: int = 0
    inputs: Values = ()
    replay: Callable[[], tuple[Values, Gradients]] | None = None


class Work:
    """A piece of work on some tensors that gives tensors, and may leave gradients in `leaves`.

    Inputs of the same shapes under the same key are worked on as they are `WARM` times, for real; then the
    work is recorded, and from then on the recording runs. A new key takes the place of the one before.
    `begin` comes before every run and is never recorded: it sets the seed. `state` is what a run changes
    in place beside the gradients. Without a recorder it is the work itself.
    """

    def __init__(
        self,
        home: Recordings,
        name: str,
        run: Callable[..., Values],
        begin: Callable[[], None],
        leaves: Sequence[Tensor],
        state: Sequence[Tensor],
    ) -> None:
        self._home, self._name, self._run, self._begin = home, name, run, begin
        self._leaves, self._state = leaves, state
        self._kinds: dict[Hashable, _Kind] = {}
        self._kept: list[Tensor] = []
        self._told = False

    def __call__(self, *inputs: Tensor, key: Hashable = None) -> Values:
        if self._home.recorder is None:
            return self._plainly(inputs)
        shapes = tuple((t.shape, t.stride(), t.dtype) for t in inputs)
        kind = self._kinds.get(shapes)
        if kind is None or kind.key != key:
            kind = self._kinds[shapes] = _Kind(key)
        if kind.replay is None and kind.runs >= WARM:
            self._record(kind, inputs)
        if kind.replay is None:
            kind.runs += 1
            return self._alone(inputs)
        for held, given in zip(kind.inputs, inputs, strict=True):
            held.copy_(given)
        self._begin()
        values, gradients = kind.replay()
        for leaf, gradient in zip(self._leaves, gradients, strict=True):
            leaf.grad = gradient
        # The next run writes over them, and somebody may keep them until then.
        return tuple(value.clone() for value in values)

    @property
    def held(self) -> bool:
        """Whether anything is recorded."""
        return any(kind.replay is not None for kind in self._kinds.values())

    def forget(self) -> None:
        if self.held:
            self._clear()
        self._kinds.clear()

    def _clear(self) -> None:
        for leaf in self._leaves:
            leaf.grad = None

    def _plainly(self, inputs: Values) -> Values:
        self._begin()
        self._clear()
        return self._run(*inputs)

    def _alone(self, inputs: Values) -> Values:
        """A run that is not recorded, beside recordings whose memory it may turn out to need."""
        recorder, held = self._home.recorder, self._home.held
        if recorder is None:
            return self._plainly(inputs)
        if held and self._state:
            self._kept = self._kept or [torch.empty_like(tensor) for tensor in self._state]
            torch._foreach_copy_(self._kept, [*self._state])
        try:
            return recorder.warm(lambda: self._plainly(inputs), 1)
        except torch.OutOfMemoryError:
            if not held:
                raise
        self._home.stop("the GPU's memory is too small for them")
        if self._state:
            torch._foreach_copy_([*self._state], self._kept)
        return self._plainly(inputs)

    def _record(self, kind: _Kind, inputs: Values) -> None:
        """Records the work, or says why not; nothing is computed."""
        assert self._home.recorder is not None
        held = tuple(given.clone() for given in inputs)

        def work() -> tuple[Values, Gradients]:
            return self._run(*held), [leaf.grad for leaf in self._leaves]

        self._clear()
        try:
            replay = self._home.recorder.record(work)
        except Exception as error:  # Whatever it is: the run goes on without.
            why = _reason(error)
        else:
            kind.inputs, kind.replay = held, replay
            if not self._told:
                self._told = True
                self._home.say(f"{self._name} of {len(inputs[0])} images: recorded as a CUDA graph")
            return
        self._home.stop(f"{self._name} cannot be recorded ({why})")


def _reason(error: BaseException) -> str:
    """The first line of the error itself: to end a recording that failed fails as well."""
    error = error.__context__ or error
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
