"""Networks that only answer: batch norms folded into the layers before them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from genolang.compiler.ir import Graph
from genolang.compiler.torch.layers import standardized
from genolang.compiler.torch.module import NetworkModule, build_network


def answering(graph: Graph, module: NetworkModule) -> NetworkModule:
    """A network in evaluation that answers as `module` does there, with weights of its own.

    Its state dict has the names of the layers that are left; those that took in a norm have a bias.
    Logits of open choices and what is selected are taken over. No weight asks for a gradient.
    """
    state = module.state_dict()
    deviations = {".".join(layer): eps for layer, eps in graph.standardized.items()}
    norms = {".".join(layer): (".".join(norm), eps) for layer, (norm, eps) in graph.norms.items()}
    with torch.device("meta"):
        made = build_network(graph, module.choices.sets, 0.0)
    # Of the precision of its own: a network in half precision has norms in float32.
    weights = {name: _weight(state, name, norms, deviations) for name in made.state_dict()}
    made.load_state_dict(weights, assign=True)
    for key, logits in module.choices.items():
        made.choices.tensors[key] = logits.detach().clone().requires_grad_()
    made.select(module.selected)
    made.answers_only = True
    return made.requires_grad_(False).eval()


@torch.no_grad()
def _weight(
    state: Mapping[str, Tensor], name: str, norms: Mapping[str, tuple[str, float]], deviations: Mapping[str, float]
) -> Tensor:
    """A weight of a network that answers, with what the norm after its layer does."""
    layer, _, kind = name.rpartition(".")
    if layer in deviations and kind == "weight":
        state = {**state, name: standardized(state[name], deviations[layer]).to(state[name].dtype)}
    if layer not in norms:
        return state[name].clone()
    (norm, small), weight = norms[layer], state[f"{layer}.weight"]
    scale, shift = _affine(state, norm, small)
    if kind == "weight":
        return (weight * scale.view(-1, *[1] * (weight.dim() - 1))).to(weight.dtype)
    return (state[name] * scale + shift if name in state else shift).to(weight.dtype)


def _affine(state: Mapping[str, Tensor], norm: str, eps: float) -> tuple[Tensor, Tensor]:
    """A batch norm in evaluation as y = scale * x + shift, per channel."""
    scale = torch.rsqrt(state[f"{norm}.running_var"] + eps)
    if f"{norm}.weight" in state:
        scale = scale * state[f"{norm}.weight"]
    shift = -state[f"{norm}.running_mean"] * scale
    return scale, shift + state[f"{norm}.bias"] if f"{norm}.bias" in state else shift
