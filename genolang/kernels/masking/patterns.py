"""What the kernels compute, as definitions of the language: `x` is the first argument, maps that are
given follow in order, and other parameters go by name."""

from __future__ import annotations


def _mask(name: str, parameters: str, gate: str, result: str) -> str:
    return f"""
op {name}(m: map{parameters}) {{
  require H * W > 1, "its map has a single position"
  require m.C == C and m.H == H and m.W == W, "the mask has another shape than its map"
  gate = {gate}
  return {result}
}}
""".strip()


_EITHER = "(if residual then 1 + gate else gate) * x"

RESIDUAL = _mask("residual_mask", "", "sigmoid(m)", "(1 + gate) * x")
NAIVE = _mask("naive_mask", "", "sigmoid(m)", "gate * x")
SPATIAL = _mask("spatial_mask", ", residual=true, eps=1e-5", "m -> standardize(space, eps=eps) -> sigmoid", _EITHER)
CHANNEL = _mask(
    "channel_mask",
    ", residual=true, sigmoid=false, eps=1e-12",
    "m -> l2_norm(channels, eps=eps) -> (if sigmoid then core.sigmoid else identity)",
    _EITHER,
)
RECALIBRATION = """
op recalibration(f: map, m: map, relu=false) {
  require H * W > 1, "its map has a single position"
  require f.C == C and f.H == H and f.W == W, "the branches have different shapes"
  all       = m.C == C and m.H == H and m.W == W
  channels  = m.C == C and m.H == 1 and m.W == 1
  positions = m.C == 1 and m.H == H and m.W == W
  require all or channels or positions,
          "the mask has no value for each number, each channel or each position of its map"
  y = x + sigmoid(m) * f
  return if relu then core.relu(y) else y
}
""".strip()
