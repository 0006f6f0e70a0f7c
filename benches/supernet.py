"""A whole supernet step, forward and backward: compiled, layer by layer, and written by hand.

    python -m benches.supernet --rounds 15 --json benches/results/supernet-cpu.json

The variants hold the same weights and logits; their outputs and gradients are compared first.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from reference.pouring import parameters, pour, randomise
from reference.supernet import Supernet
from torch import Tensor, nn
from torch.nn import functional as F

from genolang.api import load
from genolang.bench.interleaved import Timed, environment, interleave, now, ratios, spread, write_json

SPECS = {"darts/search": False, "att_darts/search": True}
# In float64: in float32 a sum's order can move a maximum to the next pixel, and with it a gradient.
TOLERANCE = 1e-9
MIB = 2**20


def logits_of(module: nn.Module) -> list[Tensor]:
    choices: dict[str, Tensor] = dict(module.choices)  # type: ignore[arg-type]
    return [choices[key] for key in sorted(choices)]


def build(
    spec: str, channels: int, depth: int, device: torch.device, dtype: torch.dtype = torch.float32
) -> dict[str, nn.Module]:
    """The three networks on a device, in training, with the same weights."""
    hand = Supernet(channels, depth, 10, attention=SPECS[spec])
    randomise(hand, seed=0)
    network = load(spec).network(channels=channels, depth=depth)
    found: dict[str, nn.Module] = {"fused": network.module(), "plain": network.module(fused=False)}
    for module in found.values():
        pour(hand, module)
        module.to(device, dtype).train()
    hand.to(device, dtype).train()
    hand.choices = {k: v.detach().to(device, dtype).requires_grad_() for k, v in hand.choices.items()}
    return {**found, "hand": hand}


def step(module: nn.Module, images: Tensor, labels: Tensor) -> Timed:
    """One forward and one backward, timed apart; the processor's own time is not hurt by other programs."""
    own = [*module.parameters(), *logits_of(module)]
    device = images.device

    def timed() -> Mapping[str, float]:
        for tensor in own:
            tensor.grad = None
        busy = time.process_time()
        start = now(device)
        loss = F.cross_entropy(module(images), labels)
        middle = now(device)
        loss.backward()
        end = now(device)
        return {
            "forward": middle - start,
            "backward": end - middle,
            "step": end - start,
            "step_processor": time.process_time() - busy,
        }

    return timed


def differences(modules: Mapping[str, nn.Module], images: Tensor, labels: Tensor) -> dict[str, float]:
    """The largest relative distance of outputs and gradients from the hand-written network's."""
    results: dict[str, list[Tensor]] = {}
    for name, module in modules.items():
        logits = module(images)
        F.cross_entropy(logits, labels).backward()
        weights = parameters(module) if isinstance(module, Supernet) else list(module.parameters())
        gradients = [t.grad for t in (*weights, *logits_of(module)) if t.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        results[name] = [logits.detach(), flat]
    base = results.pop("hand")
    return {
        name: max(float((a - b).norm() / b.norm()) for a, b in zip(found, base, strict=True))
        for name, found in results.items()
    }


def saved_mib(module: nn.Module, images: Tensor) -> float:
    """What one forward keeps for backward, every storage once, weights apart."""
    own = {t.untyped_storage().data_ptr() for t in (*module.parameters(), *module.buffers())}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = module(images)
    # The graph holds its tensors alive until here, so no address stands for two storages.
    del result
    return round(sum(t.untyped_storage().nbytes() for t in kept.values()) / MIB, 1)


def measure(
    spec: str, channels: int, depth: int, batch: int, rounds: int, device: torch.device
) -> dict[str, Any]:
    """Check, then time. AssertionError where a variant computes something else."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(batch, 3, 32, 32, generator=generator).to(device)
    labels = torch.randint(0, 10, (batch,), generator=generator).to(device)
    exact = torch.float64
    distances = differences(build(spec, channels, depth, device, exact), images.to(exact), labels)
    assert max(distances.values()) < TOLERANCE, f"the variants compute different things: {distances}"
    modules = build(spec, channels, depth, device)
    saved = {name: saved_mib(module, images) for name, module in modules.items()}
    times = interleave({name: step(m, images, labels) for name, m in modules.items()}, rounds)
    return {
        "spec": spec, "channels": channels, "depth": depth, "batch": batch, "rounds": rounds,
        "dtype": "float32", "distance_from_hand_in_float64": distances, "saved_for_backward_mib": saved,
        "times": {n: {p: spread(v) for p, v in phases.items()} for n, phases in times.items()},
        "ratio_to_hand": {
            n: {p: ratios(v, times["hand"][p]) for p, v in phases.items()}
            for n, phases in times.items()
            if n != "hand"
        },
    }  # fmt: skip


def table(row: Mapping[str, Any]) -> str:
    """A measurement as aligned lines."""
    lines = [f"{row['spec']}, {row['channels']} channels, {row['depth']} cells, batch {row['batch']}"]
    for name, phases in row["times"].items():
        whole = phases["step"]
        text = f"  {name:<6} {whole['median_ms']:>9.1f} ms ({whole['q1_ms']:.1f} to {whole['q3_ms']:.1f})"
        text += f"  saves {row['saved_for_backward_mib'][name]:.1f} MiB"
        if name in row["ratio_to_hand"]:
            found = row["ratio_to_hand"][name]
            wall, busy = found["step"], found["step_processor"]
            text += f"   {wall['median']:.3f} of hand-written ({wall['q1']:.3f} to {wall['q3']:.3f});"
            text += f" processor time {busy['median']:.3f} ({busy['q1']:.3f} to {busy['q3']:.3f})"
        lines.append(text)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benches.supernet", description=__doc__)
    parser.add_argument("--spec", action="append", choices=SPECS, help="may be given twice; default: DARTS")
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    rows = []
    for spec in given.spec or ["darts/search"]:
        rows.append(measure(spec, given.channels, given.depth, given.batch, given.rounds, device))
        print(table(rows[-1]), flush=True)
    if given.json:
        write_json(given.json, {"environment": environment(device), "rows": rows})


if __name__ == "__main__":
    main()
