"""2D relative attention, forward and backward, against materialised logits and against augmented heads.

    python -m benches.relative_attention --rounds 11 --json benches/results/relative-attention-cpu.json

"Materialised" is how public implementations do it: the biases are added to the logits of all pairs.
"Augmented" writes the biases behind queries and keys for PyTorch's own fused attention. Outputs and
gradients are compared before anything is timed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genolang.bench.interleaved import Timed, environment, interleave, now, ratios, spread, write_json
from genolang.bench.peak import peak_bytes
from genolang.kernels.relative_attention import exported, reference, relative_attention, why

Function = Callable[..., Tensor]
TOLERANCE = 1e-4


class Shape(NamedTuple):
    batch: int
    size: int
    heads: int
    key: int
    value: int


# Dimensions of one head. The first are those of AA-WRN-28-10 and of the stages of AA-ResNet-50.
SHAPES = (
    Shape(2, 32, 8, 20, 2), Shape(4, 16, 8, 20, 4), Shape(16, 8, 8, 20, 8), Shape(2, 28, 8, 20, 1),
    Shape(8, 14, 8, 20, 3), Shape(16, 7, 8, 20, 6), Shape(1, 32, 8, 20, 20), Shape(1, 56, 8, 20, 4),
)  # fmt: skip


FUNCTIONS: dict[str, Function] = {
    "ours": relative_attention, "augmented": exported.relative_attention,
    "materialised": reference.relative_attention,
}  # fmt: skip


def inputs(shape: Shape, device: torch.device) -> tuple[list[Tensor], Tensor]:
    draw = torch.Generator().manual_seed(0)
    channels = shape.heads * (2 * shape.key + shape.value)
    sizes = [(shape.batch, channels, shape.size, shape.size), *2 * [(2 * shape.size - 1, shape.key)]]
    leaves = [torch.randn(size, generator=draw).to(device).requires_grad_() for size in sizes]
    grad = torch.randn(shape.batch, shape.heads * shape.value, shape.size, shape.size, generator=draw)
    return leaves, grad.to(device)


def step(function: Function, heads: int, leaves: Sequence[Tensor], grad: Tensor) -> Mapping[str, float]:
    """One forward and one backward, timed apart."""
    start = now(grad.device)
    out = function(*leaves, heads)
    middle = now(grad.device)
    torch.autograd.grad(out, leaves, grad)
    end = now(grad.device)
    return {"forward": middle - start, "backward": end - middle, "step": end - start}


def distance(heads: int, leaves: Sequence[Tensor], grad: Tensor) -> float:
    """The largest difference of outputs and gradients, relative to the largest magnitude."""
    found = []
    for function in FUNCTIONS.values():
        out = function(*leaves, heads)
        found.append([out.detach(), *torch.autograd.grad(out, leaves, grad)])
    *others, exact = found
    return max(float((a - b).abs().max() / b.abs().max())
               for other in others for a, b in zip(other, exact, strict=True))  # fmt: skip


def measure(shape: Shape, rounds: int, device: torch.device) -> dict[str, Any]:
    """Check, then time. AssertionError where the variants compute different things."""
    leaves, grad = inputs(shape, device)
    apart = distance(shape.heads, leaves, grad)
    assert apart < TOLERANCE, f"the variants compute different things: {apart}"
    variants: dict[str, Timed] = {
        name: partial(step, function, shape.heads, leaves, grad) for name, function in FUNCTIONS.items()
    }
    peaks = {name: peak_bytes(timed, device) for name, timed in variants.items()}
    times = interleave(variants, rounds)
    found: dict[str, Any] = shape._asdict() | {
        "rounds": rounds, "dtype": "float32", "distance": apart, "why": why(*leaves, heads=shape.heads),
        "peak_bytes": peaks,
        "times": {n: {p: spread(v) for p, v in phases.items()} for n, phases in times.items()},
    }  # fmt: skip
    for base in ("materialised", "augmented"):
        found[f"ratio_to_{base}"] = {p: ratios(v, times[base][p]) for p, v in times["ours"].items()}
    return found


def line(row: Mapping[str, Any]) -> str:
    peaks, whole, sdpa = row["peak_bytes"], row["ratio_to_materialised"], row["ratio_to_augmented"]
    step, size = whole["step"], row["size"]
    return (
        f"B{row['batch']} {size}x{size}, {row['heads']} heads of {row['key']} and {row['value']}:"
        f" {row['times']['ours']['step']['median_ms']:.1f} ms; of materialised {step['median']:.2f}"
        f" ({step['q1']:.2f} to {step['q3']:.2f}, forward {whole['forward']['median']:.2f}),"
        f" memory {peaks['ours'] / peaks['materialised']:.2f}; "
        f"of augmented {sdpa['step']['median']:.2f}, memory {peaks['ours'] / peaks['augmented']:.2f}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--small", action="store_true", help="one small map only")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows = []
    for shape in (Shape(1, 5, 2, 4, 3),) if options.small else SHAPES:
        rows.append(measure(shape, options.rounds, options.device))
        print(line(rows[-1]), flush=True)
    if options.json:
        write_json(options.json, {"environment": environment(options.device), "rows": rows})


if __name__ == "__main__":
    main()
