"""What kernels are compared with beside the plain formulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from genolang.bench.forms import CapturedForm, CompiledForm, Form, Leaves
from genolang.kernels.relative_attention.sizes import by_pair, sizes

COMPILED, GRAPHS, CAPTURED = "compiled", "compiled_graphs", "captured"


def with_competitors(
    forms: Mapping[str, Callable[[], Form]], extra: Sequence[str], device: torch.device
) -> dict[str, Callable[[], Form]]:
    """The forms, and of `eager` what `extra` asks for: `compiled` under torch.compile, `compiled_graphs`
    with its CUDA graphs; `captured` records eager and fused as CUDA graphs."""
    found = dict(forms)
    if COMPILED in extra:
        found[COMPILED] = lambda: compiled(forms["eager"](), graphs=False)
    if GRAPHS in extra:
        found[GRAPHS] = lambda: compiled(forms["eager"](), graphs=True)
    if CAPTURED in extra:
        found["eager_captured"] = lambda: CapturedForm(forms["eager"](), device)
        found["fused_captured"] = lambda: CapturedForm(forms["fused"](), device)
    return found


def compiled(form: Form, graphs: bool) -> Form:
    """The form under torch.compile."""
    mode = "reduce-overhead" if graphs else "default"
    return CompiledForm(form, torch.compile(form.run, mode=mode, dynamic=False), graphs)


def flex_attention(leaves: Leaves, heads: int) -> Tensor:
    """2D relative attention by FlexAttention: both biases are computed before, and read by row and column.

    Its backward runs on a GPU only, and only compiled is it more than the formula written out.
    """
    from torch.nn.attention.flex_attention import flex_attention as flex

    qkv, relative_height, relative_width = leaves
    s = sizes(qkv, relative_height, relative_width, heads)
    widths = [heads * s.key, heads * s.key, heads * s.value]
    query, key, value = (
        torch.unflatten(part, 1, (heads, -1)).flatten(3).mT for part in torch.split(qkv, widths, dim=1)
    )
    query = query * s.scale
    grid = torch.unflatten(query, 2, (s.height, s.width))
    by_row = torch.einsum("bnyxd,yzd->bnyxz", grid, by_pair(relative_height, s.height)).flatten(2, 3)
    by_column = torch.einsum("bnyxd,xwd->bnyxw", grid, by_pair(relative_width, s.width)).flatten(2, 3)

    def biased(score: Tensor, b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return score + by_row[b, h, q, k // s.width] + by_column[b, h, q, k % s.width]

    # Heads of fewer than 16 dimensions are refused.
    query, key, value = (F.pad(part, (0, max(0, 16 - part.shape[3]))) for part in (query, key, value))
    out = flex(query, key, value, score_mod=biased, scale=1.0)
    assert isinstance(out, Tensor)
    found = out[..., : s.value].mT.flatten(1, 2)
    return torch.unflatten(found, 2, (s.height, s.width))
