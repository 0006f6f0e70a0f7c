"""Whatever the spec says, all forms of its network compute one thing: held together over generated specs.

`make soak` runs on for SOAK_SECONDS with specs that nobody has seen; what fails is shrunk.
"""

import copy
import os
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import networkx as nx
import pytest
import torch
from generated.forms import Case, emitted, poured, saved
from generated.halves import fused_in_half, inference_in_half
from generated.specs import specs
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from genolang.api import Network
from genolang.cli.show import FORMATS, render
from genolang.compiler.interchange import from_bytes, to_bytes
from genolang.diagnostics import Source
from genolang.drawing.gather import gather
from genolang.semantics.check import check_source

AT_ONCE = 50
LONG_S = float(os.environ.get("SOAK_SECONDS", "600"))
CALM = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=False)
Form = Callable[[str, int, bool], None]


def fused(text: str, batch: int, training: bool) -> None:
    case = Case(text, batch, training)
    if (expected := case.known()) is not None:
        found = case.result(poured(case.network.module(), case.plain))
        case.hold(found, expected)


def selected(text: str, batch: int, training: bool) -> None:
    """One alternative of each choice, and then the mixture again."""
    case = Case(text, batch, training)
    if not case.plain.choices or (mixed := case.known()) is None:
        return
    sets = case.network.program.choices
    drawn = random.Random(text)
    chosen = {
        key: [drawn.choice([n for n, o in enumerate(s.options) if not o.zero] or [0]) for _ in s.rows]
        for key, s in sets.items()
    }
    module = poured(case.network.module(), case.plain)
    case.plain.select(chosen)
    module.select(chosen)
    if (expected := case.known()) is not None:
        case.hold(case.result(module), expected)
    module = poured(module, case.plain)
    module.select(None)
    case.hold(case.result(module), mixed)


def inference(text: str, batch: int, training: bool) -> None:
    case = Case(text, batch, False)
    if (expected := case.known()) is not None:
        quick = case.network.for_inference(copy.deepcopy(case.plain).eval())
        for _ in range(2):
            found = case.result(quick)
            given = ("output 0", "gradient of the image")
            case.hold({n: found[n] for n in given}, {n: expected[n] for n in given})
        with torch.no_grad():
            answer = {"output 0": quick(case.image)}
        case.hold(answer, {"output 0": expected["output 0"]})


def source(text: str, batch: int, training: bool) -> None:
    case = Case(text, batch, training)
    if (expected := case.known()) is not None:
        with tempfile.TemporaryDirectory() as folder:
            module = emitted(case.network, Path(folder))
        if not hasattr(module, "choices"):
            module.choices = {}
        case.hold(case.result(poured(module, case.plain)), expected)


def traced(text: str, batch: int, training: bool) -> None:
    """Through torch.compile, for training and for inference."""
    case = Case(text, batch, training)
    if (expected := case.known()) is None:
        return
    module = poured(case.network.module(), case.plain)
    case.hold(case.result(module, run=through_dynamo(module)), expected)
    case = Case(text, batch, False)
    if (expected := case.known()) is not None:
        quick = case.network.for_inference(copy.deepcopy(case.plain).eval())
        found = case.result(quick, run=through_dynamo(quick))
        given = ("output 0", "gradient of the image")
        case.hold({n: found[n] for n in given}, {n: expected[n] for n in given})


def through_dynamo(module: torch.nn.Module) -> Callable[[torch.Tensor], object]:
    torch.compiler.reset()
    return torch.compile(module, backend="eager", fullgraph=True)


def plan(text: str, batch: int, training: bool) -> None:
    case = Case(text, batch, True)
    try:
        real = saved(case.network.module(), case.image.float())
    except ValueError as error:
        assert "single value" in str(error)
    else:
        assert case.network.plan(batch).activation_bytes == real


def drawn(text: str, batch: int, training: bool) -> None:
    """In every format, whatever stands in the spec."""
    checked = check_source(Source("spec.geno", text))
    pictures = gather(checked, None, {}, None, (4, 6, 6))
    for form in FORMATS:
        assert render(pictures, form, "spec")


def interchanged(text: str, batch: int, training: bool) -> None:
    """Read back from a file, a network has the graph that was written, and computes the same."""
    case = Case(text, batch, training)
    # Either kind of file has either kind of graph in half of the cases.
    other = len(text) % 2 == 0
    for flat, ending in ((other, ".json"), (not other, ".graphml")):
        graph = case.network.graph(flat=flat)
        found = from_bytes(to_bytes(graph, ending), ending, "the file")
        again = Network.from_graph(found)
        assert alike(found, graph) and alike(again.graph(flat=flat), graph)
        assert again.program.params == case.network.program.params
    if (expected := case.known()) is not None:
        case.hold(case.result(poured(again.module(), case.plain)), expected)


def alike(one: nx.MultiDiGraph, other: nx.MultiDiGraph) -> bool:
    """Whether two graphs have the same names and attributes, in the same order."""
    return (
        one.graph == other.graph
        and [*one.nodes(data=True)] == [*other.nodes(data=True)]
        and [*one.edges(keys=True, data=True)] == [*other.edges(keys=True, data=True)]
    )


@dataclass(frozen=True)
class Effort:
    """How many specs `make test` has time for, and how large they get."""

    examples: int = 30
    room: int = 24


FORMS: dict[Form, Effort] = {
    fused: Effort(),
    selected: Effort(),
    inference: Effort(),
    source: Effort(),
    plan: Effort(),
    drawn: Effort(),
    interchanged: Effort(),
    traced: Effort(4, 6),
    fused_in_half: Effort(8),
    inference_in_half: Effort(8),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_computes_what_is_written(form: Form) -> None:
    @settings(CALM, max_examples=FORMS[form].examples, derandomize=True)
    @given(specs(FORMS[form].room), st.integers(1, 3), st.booleans())
    def agree(text: str, batch: int, training: bool) -> None:
        form(text, batch, training)

    agree()


@pytest.mark.soak
@pytest.mark.parametrize("form", FORMS)
def test_every_form_computes_what_is_written_for_long(form: Form) -> None:
    end = time.monotonic() + LONG_S / len(FORMS)
    while time.monotonic() < end:

        @seed(random.SystemRandom().randrange(10**9))
        @settings(CALM, max_examples=AT_ONCE)
        @given(specs(FORMS[form].room), st.integers(1, 3), st.booleans())
        def agree(text: str, batch: int, training: bool) -> None:
            form(text, batch, training)

        agree()
