"""The published genotypes, as their repositories list them."""

from __future__ import annotations

from reference.discrete import Edge, Genotype

_SHORT = {
    "max": "max_pool_3x3",
    "avg": "avg_pool_3x3",
    "skip": "skip_connect",
    "sep": "sep_conv_3x3",
    "dil": "dil_conv_3x3",
}


def _genes(text: str) -> tuple[Edge, ...]:
    found: list[Edge] = []
    for word in text.split():
        operation, source, *attention = word.split(":")
        found.append((_SHORT[operation], int(source), *attention))  # type: ignore[arg-type]
    return tuple(found)


DARTS_V1 = Genotype(
    _genes("sep:1 sep:0 skip:0 sep:1 skip:0 sep:1 sep:0 skip:2"),
    _genes("max:0 max:1 skip:2 max:0 max:0 skip:2 skip:2 avg:0"),
)
DARTS_V2 = Genotype(
    _genes("sep:0 sep:1 sep:0 sep:1 sep:1 skip:0 skip:0 dil:2"),
    _genes("max:0 max:1 skip:2 max:1 max:0 skip:2 skip:2 max:1"),
)
ATT_DARTS = Genotype(
    _genes("sep:0:DoubleAttention sep:1:CBAM sep:0:CBAM skip:2:CBAM skip:0:CBAM sep:1:CBAM skip:0:CBAM skip:2:CBAM"),
    _genes("max:0:BAM dil:1:DoubleAttention avg:0:BAM skip:2:CBAM skip:2:CBAM avg:0:BAM skip:2:CBAM avg:0:BAM"),
)
