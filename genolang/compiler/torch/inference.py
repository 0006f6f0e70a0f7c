"""Networks that only answer: batch norms folded into the layers before them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from genolang.compiler.ir import Graph
from genolang.compiler.torch.module import NetworkModule, build_network


def answering(graph: Graph, module: NetworkModule) -> NetworkModule:
    """A network in evaluation that answers as `module` does there, with weights of its own.

    Its state dict has the names of the layers that are left; those that took in a norm have a bias.
    Logits of open choices and what is selected are taken over. No weight asks for a gradient.
    """
    state = module.state_dict()
    first = next(iter(state.values()), torch.empty(0))
    with torch.device("meta"):
        made = build_network(graph, module.choices.sets, 0.0)
    made = made.to(first.dtype).to_empty(device=first.device)
    norms = {".".join(layer): (".".join(norm), eps) for layer, (norm, eps) in graph.norms.items()}
    with torch.no_grad():
        found = made.state_dict(keep_vars=True)
        for name, tensor in found.items():
            layer, _, kind = name.rpartition(".")
            if layer in norms:
                norm, small = norms[layer]
                scale, shift = _affine(state, norm, small)
                if kind == "weight":
                    tensor.copy_(state[name] * scale.view(-1, *[1] * (tensor.dim() - 1)))
                else:
                    tensor.copy_(state[name] * scale + shift if name in state else shift)
            else:
                tensor.copy_(state[name])
    for key, logits in module.choices.items():
        made.choices.tensors[key] = logits.detach().clone().requires_grad_()
    made.select(module.selected)
    made.answers_only = True
    return made.requires_grad_(False).eval()


def _affine(state: Mapping[str, Tensor], norm: str, eps: float) -> tuple[Tensor, Tensor]:
    """A batch norm in evaluation as y = scale * x + shift, per channel."""
    scale = torch.rsqrt(state[f"{norm}.running_var"] + eps)
    if f"{norm}.weight" in state:
        scale = scale * state[f"{norm}.weight"]
    shift = -state[f"{norm}.running_mean"] * scale
    return scale, shift + state[f"{norm}.bias"] if f"{norm}.bias" in state else shift
