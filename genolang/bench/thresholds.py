"""Dispatch thresholds, measured: both choices of each at sizes on both sides of it.

`eager` is what is chosen below a threshold and `fused` what is chosen from there on, whatever the size is;
`why` names the constant. Results: `benches/results/thresholds-*.json`, read in `docs/measurements.md`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

import torch

from genolang.bench.floors import Work, moved
from genolang.bench.forms import Form, Leaves, rotation
from genolang.bench.kernels import (
    TOLERANCE,
    Attention,
    Case,
    Function,
    Sum,
    attention_case,
    mask_case,
    mixed_sum_case,
    placed,
    recalibration_case,
)
from genolang.bench.networks import TRAINING, module_form, seeded
from genolang.bench.subject import Subject

if TYPE_CHECKING:
    from genolang.compiler.driver import NetworkModule

T = TypeVar("T")
CPU = torch.device("cpu")
MASKS = ((1, 16, 4, 4), (2, 16, 8, 8), (4, 32, 8, 8), (4, 32, 16, 16), (8, 64, 16, 16), (8, 128, 16, 16),
         (8, 128, 32, 32))  # fmt: skip
SUMS = (Sum(1, 8, 4, 14), Sum(2, 16, 4, 14), Sum(2, 16, 8, 14), Sum(2, 16, 16, 14), Sum(8, 16, 16, 14),
        Sum(8, 16, 32, 14))  # fmt: skip
CENTRED = (Sum(4, 16, 16, 14), Sum(8, 16, 16, 14), Sum(4, 16, 32, 14), Sum(8, 16, 32, 14),
           Sum(16, 16, 32, 14), Sum(32, 16, 32, 14))  # fmt: skip
TINY_SIDES = (2, 4, 6, 8)
SIDES = (10, 12, 13, 14, 15, 16, 18, 20)
# Channels and side of a map: those of DARTS's supernet, of its evaluated networks, and wider ones.
SEPARABLE = ((16, 32), (32, 16), (64, 8), (36, 32), (72, 16), (144, 8), (256, 8), (320, 8))
# Batch, channels in and out, side and window of convolutions without gradients.
PRODUCTS = ((1, 16, 64, 32, 1), (1, 64, 256, 8, 1), (2, 64, 64, 16, 1), (4, 64, 64, 16, 1),
            (4, 64, 256, 8, 1), (8, 64, 64, 16, 1), (32, 16, 64, 32, 1), (32, 256, 64, 8, 1))  # fmt: skip
POSITIONS = ((1, 32, 32, 8, 3), (1, 32, 32, 16, 3), (2, 32, 32, 16, 3), (8, 32, 32, 8, 3),
             (1, 16, 16, 32, 3), (2, 16, 16, 32, 3), (32, 32, 32, 8, 3))  # fmt: skip
WEIGHTS = ((1, 32, 32, 8, 3), (1, 64, 64, 8, 3), (1, 96, 96, 8, 3), (1, 128, 128, 8, 3), (1, 256, 256, 8, 3),
           (1, 640, 640, 8, 3))  # fmt: skip
_NETWORK = """geno 1
network n {{
  input image({channels}, {side}, {side})
  body  conv(3, groups={channels}) -> conv(1, {channels}) -> batch_norm -> relu
  head  global_avg_pool -> linear(2)
}}
"""


def threshold_subjects(device: torch.device = CPU, *, small: bool = False) -> Iterator[Subject]:
    """Every threshold of a device, at its sizes; `small` one size each."""
    take = 1 if small else None
    lean = "fused" if device.type == "cuda" else "cpu"
    against = partial(_implementations, device=device, lean=lean)
    for shape in MASKS[:take]:
        size = math.prod(shape)
        yield against("recalibration", recalibration_case(shape), size, "masking.FEW")
        for gate, constant in (("mixed", "masking.FEW"), ("spatial", "none"), ("channel", "none")):
            yield against(f"{gate} mask", mask_case(gate, shape), size, constant)
    for case in SUMS[:take]:
        yield against("mixed sum", mixed_sum_case(case, device), _size(case), "none")
    for side in (TINY_SIDES if lean == "cpu" else TINY_SIDES + SIDES)[:take]:
        attention = attention_case(Attention(2, side, 20, 4), device)
        yield against("attention", attention, side**2, "none")
    if lean == "cpu":
        yield from (_centred(case) for case in CENTRED[:take])
        yield from (_tiled(side) for side in SIDES[:take])
        yield from (_moments(*shape) for shape in SEPARABLE[:take])
        for name, constant, shapes, count in (
            ("1x1 convolution: product, oneDNN", "FEW_PRODUCTS", PRODUCTS, _products),
            ("convolution: ATen, oneDNN", "FEW_POSITIONS", POSITIONS, _positions),
            ("convolution of few positions: ATen, oneDNN", "FEW_WEIGHTS", WEIGHTS, _weights),
        ):
            yield from (_convolved(name, constant, shape, count(*shape)) for shape in shapes[:take])


def _products(batch: int, channels: int, out: int, side: int, window: int) -> int:
    return _positions(batch, channels, out, side, window) * _weights(batch, channels, out, side, window)


def _positions(batch: int, channels: int, out: int, side: int, window: int) -> int:
    return batch * side * side


def _weights(batch: int, channels: int, out: int, side: int, window: int) -> int:
    return channels * out * window * window


def _size(case: Sum) -> int:
    return case.batch * case.channels * case.size**2


def _implementations(name: str, case: Case, size: int, constant: str, *, device: torch.device, lean: str) -> Subject:
    below, above = (partial(case.call, use=use) for use in ("reference", lean))
    return _subject(f"{name}: plain, {lean}", size, case, below, above, constant, device)


def _subject(
    name: str, size: int, case: Case, below: Function, above: Function, constant: str,
    device: torch.device = CPU,
) -> Subject:  # fmt: skip
    dtype = torch.float32
    sets = [placed(case.leaves(0), device, dtype)]
    sets += [placed(case.leaves(n), device, dtype) for n in range(1, rotation(device, sets[0]))]
    with torch.device("meta"):
        output = case.call([leaf.to("meta") for leaf in sets[0]], "reference")
    forms = {"eager": lambda: Form(below, sets), "fused": lambda: Form(above, sets)}
    return Subject(name, f"{size}", dtype, device, forms, TOLERANCE[dtype],
                   why=f"threshold: {constant}; {case.shape}", work=Work(moved(sets[0], output)))  # fmt: skip


def _centred(case: Sum) -> Subject:
    """A batch norm's statistics by its own forward, and by two vectorised passes."""
    from genolang.kernels.mixed_sum import cpu

    found = mixed_sum_case(case, CPU)
    run = partial(found.call, use="cpu")
    below, above = (partial(_with, cpu, "LARGE", value, run) for value in (math.inf, 0))
    constant = "mixed_sum.cpu.LARGE"
    return _subject("mixed sum: one pass, two passes", _size(case), found, below, above, constant)


def _tiled(side: int) -> Subject:
    """All weights of small maps kept, and tiles of them computed twice."""
    from genolang.kernels.relative_attention import small

    found = attention_case(Attention(4, side, 20, 4), CPU)
    run = partial(found.call, use="cpu")
    below, above = (partial(_with, small, "LARGEST", value, run) for value in (math.inf, 0))
    constant = "relative_attention.small.LARGEST"
    return _subject("attention: all weights, tiles", side**2, found, below, above, constant)


def _moments(channels: int, side: int) -> Subject:
    """A batch norm's statistics read off the map in front of a 1x1 convolution, and off its result."""
    from genolang.api import Spec
    from genolang.compiler.passes import moments
    from genolang.diagnostics import Source
    from genolang.semantics.check import check_source

    text = _NETWORK.format(channels=channels, side=side)

    def build(most: float, dtype: torch.dtype) -> NetworkModule:
        network = Spec(check_source(Source("moments", text))).network()
        return seeded(_with(moments, "MOST_CHANNELS", most, network.module).to(dtype)).train()

    images = torch.randn(8, channels, side, side, generator=torch.Generator().manual_seed(0))
    forms: dict[str, Callable[[], Form]] = {
        name: partial(module_form, partial(build, most), images, True)
        for name, most in (("eager", math.inf), ("fused", 0))
    }
    name, why = "statistics: before the 1x1 convolution, behind it", "threshold: moments.MOST_CHANNELS"
    return Subject(name, str(channels), torch.float32, CPU, forms, TRAINING,
                   why=f"{why}; 8x{channels}x{side}x{side}")  # fmt: skip


def _convolved(name: str, constant: str, shape: tuple[int, int, int, int, int], size: int) -> Subject:
    """A convolution with a ReLU behind it, in channels_last order and without gradients."""
    from genolang.kernels.cpu import inference

    batch, channels, out, side, window = shape
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, channels, side, side, generator=generator)
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        conv = torch.nn.Conv2d(channels, out, window, padding=window // 2).requires_grad_(False)
    forms: dict[str, Callable[[], Form]] = {}
    for form, value in (("eager", math.inf), ("fused", 0)):
        answer = inference.answer(conv, relu=True)
        assert answer is not None, "torch's build has oneDNN"
        run = partial(_with, inference, constant, value, partial(_rectified, answer))
        forms[form] = lambda run=run: Form(run, [[x]], training=False)  # type: ignore[misc]
    dims = f"{batch}x{channels}x{side}x{side} to {out} by {window}x{window}"
    return Subject(name, str(size), torch.float32, CPU, forms, TOLERANCE[torch.float32], False,
                   why=f"threshold: inference.{constant}; {dims}")  # fmt: skip


def _rectified(answer: Callable[..., torch.Tensor], leaves: Leaves) -> torch.Tensor:
    return answer(leaves[0])


def _with(module: ModuleType, constant: str, value: float, run: Callable[..., T], *given: Leaves) -> T:
    """What a function gives while a module's constant has another value."""
    kept = getattr(module, constant)
    setattr(module, constant, value)
    try:
        return run(*given)
    finally:
        setattr(module, constant, kept)
