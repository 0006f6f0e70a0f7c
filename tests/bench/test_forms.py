"""Forms of a thing to be timed; what belongs to a GPU with the device replaced by a record of its calls."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from genolang.bench.competitors import flex_attention, with_competitors
from genolang.bench.forms import CapturedForm, Form, rotation
from genolang.bench.kernels import Attention, attention_case
from genolang.kernels.relative_attention import reference
from genolang.train.captured import WARM, Recorder

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def doubled() -> Form:
    sets = [[torch.full((3,), float(number + 1), requires_grad=True)] for number in range(3)]
    return Form(lambda leaves: leaves[0] * leaves[0], sets)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A GPU that does the work at once, and while it records: where it went is written down."""
    found: list[str] = []

    class Stream:
        def __init__(self, device: object = None) -> None:
            self.name = "side"

        def wait_stream(self, other: Any) -> None:
            found.append(f"{self.name} waits for {other.name}")

    class Graph:
        def replay(self) -> None:
            found.append("replay")

    main = Stream()
    main.name = "main"

    @contextmanager
    def recording(graph: Graph, pool: object, stream: Stream, **how: str) -> Iterator[None]:
        found.append(f"record on {stream.name}")
        yield

    @contextmanager
    def on(stream: Stream) -> Iterator[None]:
        found.append(f"run on {stream.name}")
        yield

    for name, value in {
        "Stream": Stream,
        "CUDAGraph": Graph,
        "graph": recording,
        "stream": on,
        "graph_pool_handle": object,
        "synchronize": lambda device: None,
        "current_stream": lambda device: main,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    return found


def test_a_cpu_has_nothing_to_capture() -> None:
    with pytest.raises(ValueError, match="on a cpu there is nothing to capture"):
        Recorder(CPU)


def test_a_step_is_run_on_a_stream_of_its_own_recorded_once_and_then_replayed(calls: list[str]) -> None:
    runs = []

    def step() -> Tensor:
        runs.append(1)
        return torch.ones(2)

    recorder = Recorder(CUDA)
    recorder.warm(step)
    replay = recorder.record(step)
    assert calls == ["side waits for main", "run on side", "main waits for side", "record on side"]
    assert len(runs) == WARM + 1
    assert replay() is replay()
    assert calls[-2:] == ["replay", "replay"] and len(runs) == WARM + 1


def test_a_captured_form_has_a_pair_of_graphs_for_each_set(calls: list[str]) -> None:
    form = CapturedForm(doubled(), CUDA)
    form.prepare()
    assert calls.count("record on side") == 6
    for turn in range(3):
        output = form.forward(turn)
        (gradient,) = form.backward(turn, output)
        assert torch.equal(output, torch.full((3,), (turn + 1.0) ** 2))
        assert gradient is not None and torch.equal(gradient, 2 * (turn + 1.0) * form.weights(output))
    assert calls[-6:] == ["replay"] * 6


def test_sets_of_inputs_are_twice_a_gpus_cache_and_one_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    megabyte = [torch.empty(250_000)]
    assert rotation(CPU, megabyte) == 1
    about = SimpleNamespace(L2_cache_size=5_000_000)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: about)
    assert rotation(CUDA, megabyte) == 5
    assert rotation(CUDA, megabyte * 100) == 2
    assert rotation(CUDA, [torch.empty(1)]) == 8


def test_compiled_forms_are_the_plain_one_through_torch_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []

    def fake(run: Any, *, mode: str, dynamic: bool) -> Any:
        modes.append(mode)
        return run

    begun = []
    monkeypatch.setattr(torch, "compile", fake)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: begun.append(1))
    forms = with_competitors({"eager": doubled, "fused": doubled}, ["compiled", "compiled_graphs"], CPU)
    assert list(forms) == ["eager", "fused", "compiled", "compiled_graphs"]
    for name in ("compiled", "compiled_graphs"):
        form = forms[name]()
        form.prepare()
        assert torch.equal(form.work()[0], doubled().work()[0])
    assert modes == ["default", "reduce-overhead"] and len(begun) == 2


@pytest.mark.filterwarnings("ignore")
def test_flex_attention_as_it_is_called_computes_relative_attention() -> None:
    leaves = attention_case(Attention(2, 5, 6, 3, 2), CPU).leaves(0)
    with torch.no_grad():
        found = flex_attention(leaves, 2)
    assert torch.allclose(found, reference.relative_attention(*leaves, 2), atol=1e-5)
