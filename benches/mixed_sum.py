"""The mixed sum of a node, forward and backward, against batch norm modules and a Python sum.

    python -m benches.mixed_sum --rounds 15 --json benches/results/mixed-sum-cpu.json

Shapes are those of the DARTS supernet. Outputs and gradients are compared before anything is timed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from genolang.bench.interleaved import Timed, environment, interleave, now, ratios, spread, write_json
from genolang.kernels.mixed_sum import mixed_sum, why

SHAPES = ((16, 16, 32), (16, 32, 16), (16, 64, 8), (64, 16, 32), (2, 16, 8))
COUNTS = (14, 35)
TOLERANCE = 1e-5
Function = Callable[[], Tensor]


class Node:
    """Candidates into one node; every seventh, the skip connection, has no batch norm."""

    def __init__(self, shape: tuple[int, int, int], count: int, device: torch.device) -> None:
        batch, channels, size = shape
        draw = torch.Generator().manual_seed(0)
        sizes = batch, channels, size, size
        self.xs = [torch.randn(sizes, generator=draw).to(device).requires_grad_() for _ in range(count)]
        self.weights = torch.softmax(torch.randn(count, generator=draw), 0).to(device).requires_grad_()
        self.grad = torch.randn(sizes, generator=draw).to(device)
        self.norms = [
            None if index % 7 == 3 else nn.BatchNorm2d(channels, affine=False).to(device)
            for index in range(count)
        ]
        self.means = [None if norm is None else norm.running_mean for norm in self.norms]
        self.variances = [None if norm is None else norm.running_var for norm in self.norms]

    def written_out(self) -> Tensor:
        terms = zip(self.weights, self.xs, self.norms, strict=True)
        return sum((w * (x if norm is None else norm(x)) for w, x, norm in terms), torch.zeros(()))

    def ours(self) -> Tensor:
        return mixed_sum(self.xs, self.weights, self.means, self.variances, training=True)


def step(node: Node, function: Function) -> Timed:
    """One forward and one backward, timed apart."""

    def timed() -> Mapping[str, float]:
        for tensor in (*node.xs, node.weights):
            tensor.grad = None
        start = now(node.grad.device)
        out = function()
        middle = now(node.grad.device)
        out.backward(node.grad)
        end = now(node.grad.device)
        return {"forward": middle - start, "backward": end - middle, "step": end - start}

    return timed


def saved_bytes(function: Function) -> int:
    """What a forward keeps for backward, every storage once."""
    seen: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        seen.setdefault(tensor.untyped_storage()._cdata, tensor)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        function()
    return sum(tensor.untyped_storage().nbytes() for tensor in seen.values())


def distance(node: Node, functions: Mapping[str, Function]) -> float:
    """The largest difference of outputs and gradients, relative to the largest magnitude."""
    found: dict[str, list[Tensor]] = {}
    for name, function in functions.items():
        out = function()
        found[name] = [out.detach(), *torch.autograd.grad(out, (*node.xs, node.weights), node.grad)]
    first, second = found.values()
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(first, second, strict=True))


def measure(shape: tuple[int, int, int], count: int, rounds: int, device: torch.device) -> dict[str, Any]:
    """Check, then time. AssertionError where the two compute different things."""
    node = Node(shape, count, device)
    functions: dict[str, Function] = {"ours": node.ours, "written out": node.written_out}
    apart = distance(node, functions)
    assert apart < TOLERANCE, f"the variants compute different things: {apart}"
    saved = {name: saved_bytes(function) for name, function in functions.items()}
    times = interleave({name: step(node, function) for name, function in functions.items()}, rounds)
    return {
        "batch": shape[0], "channels": shape[1], "size": shape[2], "candidates": count, "rounds": rounds,
        "dtype": "float32", "distance": apart, "why": why(node.xs, node.weights), "saved_bytes": saved,
        "times": {n: {p: spread(v) for p, v in phases.items()} for n, phases in times.items()},
        "ratio_to_written_out": {p: ratios(v, times["written out"][p]) for p, v in times["ours"].items()},
    }  # fmt: skip


def line(row: Mapping[str, Any]) -> str:
    found, saved = row["ratio_to_written_out"], row["saved_bytes"]
    return (
        f"B{row['batch']} C{row['channels']} {row['size']}x{row['size']} T{row['candidates']}: "
        f"{row['times']['written out']['step']['median_ms']:.2f} ms written out, "
        f"{row['times']['ours']['step']['median_ms']:.2f} ms ours, ratio {found['step']['median']:.2f} "
        f"({found['step']['q1']:.2f} to {found['step']['q3']:.2f}; forward {found['forward']['median']:.2f}, "
        f"backward {found['backward']['median']:.2f}), saved {saved['ours'] / saved['written out']:.2f}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--small", action="store_true", help="one small node only")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    cases = [((2, 4, 8), 3)] if options.small else [(shape, count) for shape in SHAPES for count in COUNTS]
    rows = []
    for shape, count in cases:
        rows.append(measure(shape, count, options.rounds, options.device))
        print(line(rows[-1]), flush=True)
    if options.json:
        write_json(options.json, {"environment": environment(options.device), "rows": rows})


if __name__ == "__main__":
    main()
