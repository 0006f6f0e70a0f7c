"""What `pytest benches` is asked for."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.logger import PytestBenchmarkWarning

from genolang.bench.asked import Asked
from genolang.bench.subject import EAGER, FUSED, Subject
from genolang.diagnostics import GenoError, render_all

# The words of the command line for the forms of a subject.
FORMS = {
    "plain": EAGER,
    "fused": FUSED,
    "module": "module",
    "compiled": "compiled",
    "compiled_graphs": "compiled_graphs",
}
FOUND = pytest.StashKey[tuple[list[tuple[str, Callable[[], Subject]]], list[str]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("genolang", "what benches time")
    group.addoption("--spec", help="A spec of which a network is timed; the kernels unless given.")
    group.addoption("--network", help="Which network of the spec.")
    group.addoption(
        "--set",
        dest="values",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="A parameter of the network; may be repeated.",
    )
    group.addoption("--device", default="cpu", choices=["cpu", "cuda"], help="Where: cpu or cuda.")
    group.addoption(
        "--forms",
        default="plain,fused",
        help="Which: plain, fused, compiled, compiled_graphs; module, the fused network for training, in inference.",
    )
    group.addoption(
        "--batch", dest="batches", action="append", type=int, default=[], help="Images per step; may be repeated."
    )
    group.addoption("--only", action="append", default=[], help="Kernels with this in their name and shape.")
    group.addoption("--small", action="store_true", help="Kernels at tiny shapes.")
    group.addoption("--threads", type=int, default=1, help="Threads on the CPU.")


def pytest_configure(config: pytest.Config) -> None:
    """The subjects and the words for their forms."""
    # What libraries warn of is no failure of a form, nor is a run of which nothing can be saved.
    config.addinivalue_line("filterwarnings", "default")
    warnings.simplefilter("default", PytestBenchmarkWarning)
    option = config.getoption
    forms = [word.strip() for word in option("forms").split(",")]
    if unknown := set(forms) - set(FORMS):
        raise pytest.UsageError(f"--forms {min(unknown)!r} is none of {', '.join(FORMS)}")
    device = torch.device(option("device"))
    if device.type == "cuda" and not torch.cuda.is_available():
        raise pytest.UsageError("--device cuda: there is no GPU here")
    torch.set_num_threads(option("threads"))
    values = {name: value for name, _, value in (pair.partition("=") for pair in option("values"))}
    asked = Asked(
        option("spec") or "kernels",
        device,
        option("network"),
        option("batches"),
        forms,
        values,
        option("small"),
        (),
        option("only"),
    )
    try:
        config.stash[FOUND] = asked.makers(), forms
    except GenoError as error:
        raise pytest.UsageError(render_all(error.diagnostics)) from None
