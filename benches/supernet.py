"""A whole supernet step, forward and backward: fused, layer by layer (plain), and written by hand (eager).

    python -m benches.supernet --rounds 15 --json benches/results/supernet-cpu.json

The forms hold the same weights and logits; outputs and gradients are compared in float64 first, as in
float32 a sum's order can move a maximum to the next pixel, and with it a gradient.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from reference.pouring import parameters, pour, randomise
from reference.supernet import Supernet
from rich.console import Console
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

from genolang.api import load
from genolang.bench.forms import Form, Leaves
from genolang.bench.interleaved import environment, write_results
from genolang.bench.rows import table
from genolang.bench.subject import EXACT, Subject

SPECS = {"darts/search": False, "att_darts/search": True}
ROUGH = 1e-2


def form(name: str, spec: str, channels: int, depth: int, images: Tensor, labels: Tensor) -> Form:
    """One of the three networks in training, with weights and logits that are the same for all."""
    hand = Supernet(channels, depth, 10, attention=SPECS[spec])
    randomise(hand, seed=0)
    module: nn.Module = hand
    if name != "eager":
        module = load(spec).network(channels=channels, depth=depth).module(fused=name == "fused")
        pour(hand, module)
    module.to(images.device, images.dtype).train()
    if module is hand:
        hand.choices = {k: v.detach().to(images).requires_grad_() for k, v in hand.choices.items()}
    choices: dict[str, Tensor] = dict(module.choices)  # type: ignore[arg-type]
    weights = parameters(module) if isinstance(module, Supernet) else list(module.parameters())

    def run(_: Leaves) -> Tensor:
        return F.cross_entropy(module(images), labels)

    return Form(run, [[*weights, *(choices[key] for key in sorted(choices))]])


def subject(spec: str, channels: int, depth: int, batch: int, device: torch.device, dtype: torch.dtype) -> Subject:
    """The step at a batch size."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(batch, 3, 32, 32, generator=generator).to(device, dtype)
    labels = torch.randint(0, 10, (batch,), generator=generator).to(device)
    forms = {name: partial(form, name, spec, channels, depth, images, labels) for name in ("eager", "plain", "fused")}
    return Subject(
        f"{spec} by hand",
        f"{batch}x3x32x32, {channels} channels, {depth} cells",
        dtype,
        device,
        forms,
        EXACT if dtype == torch.float64 else ROUGH,
    )


def saved_bytes(form: Form) -> int:
    """What one forward keeps for backward, every storage once, weights apart."""
    own = {leaf.untyped_storage().data_ptr() for leaf in form.sets[0]}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        result = form.forward(0)
    # The graph holds its tensors alive until here, so no address stands for two storages.
    del result
    return sum(t.untyped_storage().nbytes() for t in kept.values())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benches.supernet", description=__doc__)
    parser.add_argument("--spec", action="append", choices=SPECS, help="may be given twice; default: DARTS")
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    about = environment(device) | {"subject": "supernet by hand", "rounds": given.rounds}
    rows = []
    for spec in given.spec or ["darts/search"]:
        shape = spec, given.channels, given.depth, given.batch, device
        exact = subject(*shape, torch.float64).distances()
        assert max(exact.values()) <= EXACT, f"the forms compute different things: {exact}"
        timed = subject(*shape, torch.float32)
        saved = {name: saved_bytes(make()) for name, make in timed.forms.items()}
        for row in timed.measure(given.rounds):
            whole = {"saved_bytes": saved, "distance_in_float64": exact} if row.pass_ == "both" else {}
            rows.append((replace(row, distance=exact["fused"]), whole))
        print(", ".join(f"{name} saves {size / 2**20:.1f} MiB" for name, size in saved.items()))
    Console(width=200).print(table([row for row, _ in rows if not row.refused]))
    for row, _ in rows:
        assert not row.refused, row.refused
    if given.json:
        write_results(given.json, about, [row.to_json() | more for row, more in rows])


if __name__ == "__main__":
    main()
