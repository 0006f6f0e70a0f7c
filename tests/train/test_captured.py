"""Work that is recorded after it has run some times: by a recorder that a CPU has, and what a failure leaves."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from recording import Rerun, out_of_memory, recording
from torch import Tensor

from genolang.train.captured import WARM, Recorder, Recordings

CPU = torch.device("cpu")


class Weighted:
    """x -> sum of w * x, with its gradient; a counter is moved in place by every run."""

    def __init__(self) -> None:
        self.weight = torch.tensor([1.0, -2.0, 0.5], requires_grad=True)
        self.counter = torch.zeros(1)
        self.seeds = 0
        self.factor = 1.0

    def begin(self) -> None:
        self.seeds += 1

    def run(self, x: Tensor) -> tuple[Tensor, ...]:
        self.counter += 1
        loss = (self.factor * self.weight * x).sum()
        loss.backward()
        return (loss.detach(),)

    def work(self, home: Recordings) -> Any:
        return home.work("steps", self.run, self.begin, [self.weight], [self.counter])


def inputs(count: int, size: int = 2) -> list[Tensor]:
    draw = torch.Generator().manual_seed(size)
    return [torch.randn(size, 3, generator=draw) for _ in range(count)]


def made(monkeypatch: pytest.MonkeyPatch, refused: Exception | None = None) -> tuple[Weighted, Rerun, Recordings]:
    weighted = Weighted()
    recorder = recording(monkeypatch, Rerun([weighted.weight, weighted.counter], refused))
    return weighted, recorder, Recordings(CPU, True)


def check(weighted: Weighted, work: Any, x: Tensor, **key: Any) -> None:
    (loss,) = work(x, **key)
    assert weighted.weight.grad is not None
    assert torch.equal(loss, (weighted.factor * weighted.weight.detach() * x).sum())
    assert torch.equal(weighted.weight.grad, weighted.factor * x.sum(0))


def test_a_cpu_records_nothing_and_a_gpu_nothing_that_is_not_wanted() -> None:
    assert Recordings(CPU, True).recorder is None
    assert Recordings(torch.device("cuda"), False).recorder is None


def test_work_runs_for_real_before_it_is_recorded_and_goes_on_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    weighted, recorder, home = made(monkeypatch)
    work = weighted.work(home)
    for number, x in enumerate(inputs(WARM + 4)):
        check(weighted, work, x)
        assert weighted.counter == weighted.seeds == number + 1
    assert (recorder.warmed, recorder.asked, recorder.replayed) == (WARM, 1, 4)
    assert home.news() == ["steps of 2 images: recorded as a CUDA graph"] and home.news() == []


def test_gradients_and_inputs_of_a_recording_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    weighted, _, home = made(monkeypatch)
    work = weighted.work(home)
    read, gradients = set(), set()
    run = weighted.run

    def spied(x: Tensor) -> tuple[Tensor, ...]:
        read.add(x.data_ptr())
        return run(x)

    weighted.run = work._run = spied  # type: ignore[method-assign]
    given = inputs(WARM + 5)
    for number, x in enumerate(given):
        if number == WARM:
            read.clear()
        work(x)
        if number >= WARM:
            assert weighted.weight.grad is not None
            gradients.add(weighted.weight.grad.data_ptr())
    assert len(read) == len(gradients) == 1 and read.isdisjoint(x.data_ptr() for x in given)


def test_what_a_run_gave_is_not_written_over_by_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    weighted, _, home = made(monkeypatch)
    work = weighted.work(home)
    given = inputs(WARM + 3)
    losses = [work(x)[0] for x in given]
    for x, loss in zip(given, losses, strict=True):
        assert torch.equal(loss, (weighted.weight.detach() * x).sum())


def test_other_shapes_run_as_they_are_until_they_have_run_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    weighted, recorder, home = made(monkeypatch)
    work = weighted.work(home)
    for large, small in zip(inputs(WARM + 2), inputs(WARM + 2, size=5), strict=True):
        check(weighted, work, large)
        check(weighted, work, large)
        check(weighted, work, small)
    assert recorder.asked == 2 and recorder.warmed == 2 * WARM
    check(weighted, work, inputs(1, size=4)[0])
    assert recorder.warmed == 2 * WARM + 1


def test_a_new_key_is_recorded_anew_and_one_that_never_stays_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    weighted, recorder, home = made(monkeypatch)
    work = weighted.work(home)
    for factor in (1.0, 3.0):
        weighted.factor = factor
        for x in inputs(WARM + 2):
            check(weighted, work, x, key=factor)
    assert recorder.asked == 2 and recorder.replayed == 4
    for number, x in enumerate(inputs(3 * WARM)):
        weighted.factor = float(number)
        check(weighted, work, x, key=number)
    assert recorder.asked == 2
    assert len(home.news()) == 1, "said once"


def test_a_recording_that_fails_costs_its_speed_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    error = RuntimeError("CUDA error: operation not permitted when stream is capturing\nlong hints")
    ending = RuntimeError("CUDA error: operation failed due to a previous error during capture")
    ending.__context__ = error
    weighted, recorder, home = made(monkeypatch, refused=ending)
    work = weighted.work(home)
    for number, x in enumerate(inputs(WARM + 4)):
        check(weighted, work, x)
        assert weighted.counter == number + 1
    assert recorder.asked == 1
    assert home.news() == [
        "no CUDA graphs from here on: steps cannot be recorded (CUDA error: operation not permitted"
        " when stream is capturing)"
    ]


def test_a_run_that_finds_no_memory_beside_recordings_is_made_again_without_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weighted, recorder, home = made(monkeypatch)
    work = weighted.work(home)
    for x in inputs(WARM + 1):
        check(weighted, work, x)

    def narrow(run: Any, times: int = WARM) -> Any:
        run()
        raise out_of_memory()

    monkeypatch.setattr(recorder, "warm", narrow)
    before = weighted.counter.clone()
    check(weighted, work, inputs(1, size=9)[0])
    assert weighted.counter == before + 1, "what the lost run moved was put back"
    assert home.news()[-1] == "no CUDA graphs from here on: the GPU's memory is too small for them"
    assert not home.held and home.recorder is None


def test_without_recordings_to_give_up_too_little_memory_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    weighted, recorder, home = made(monkeypatch)

    def narrow(run: Any, times: int = WARM) -> Any:
        raise out_of_memory()

    monkeypatch.setattr(recorder, "warm", narrow)
    with pytest.raises(torch.OutOfMemoryError):
        weighted.work(home)(inputs(1)[0])


def test_recordings_give_their_memory_back(monkeypatch: pytest.MonkeyPatch) -> None:
    weighted, _, home = made(monkeypatch)
    work = weighted.work(home)
    for x in inputs(WARM + 1):
        work(x)
    assert home.held
    home.close()
    assert not home.held and weighted.weight.grad is None


def test_after_a_failed_recording_stream_and_random_numbers_are_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    generator = SimpleNamespace(initial_seed=lambda: 7, graphsafe_set_state=lambda state: told.append(state))

    class Fresh:
        def __init__(self, device: torch.device) -> None:
            told.append(str(device))

        def manual_seed(self, seed: int) -> "Fresh":
            told.append(seed)
            return self

        def graphsafe_get_state(self) -> str:
            return "fresh state"

    @contextmanager
    def failing(*_: Any, **how: str) -> Iterator[None]:
        told.append(how)
        yield
        raise RuntimeError("invalid capture")

    main = object()
    for name, value in {
        "Stream": lambda device: object(),
        "CUDAGraph": object,
        "graph_pool_handle": object,
        "graph": failing,
        "synchronize": lambda device: None,
        "current_stream": lambda device: main,
        "current_device": lambda: 0,
        "set_stream": told.append,
        "default_generators": (generator,),
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch, "Generator", Fresh)
    recorder = Recorder(torch.device("cuda"))
    with pytest.raises(RuntimeError, match="invalid capture"):
        recorder.record(lambda: None)
    assert told == [{"capture_error_mode": "thread_local"}, main, "cuda", 7, "fresh state"]
