"""Nodes that passes make of several others; no program has them.

Each knows its result's shape and the choice sets that it reads, and says what it computes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from genolang.primitives import PRIMITIVES, MapType, ShapeProblem, broadcast
from genolang.semantics.program import Leaf, Mix, Path

Leaves = Mapping[Path, Leaf]


class Fused:
    """What all of them have; `paths` are the layers with weights that they use."""

    __slots__ = ()
    name: ClassVar[str]

    @property
    def paths(self) -> tuple[Path, ...]:
        return ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The choice sets whose weights enter before the maps, each once."""
        return ()

    def result(self, types: Sequence[MapType], leaves: Leaves) -> MapType:
        """The shape for maps of these shapes; a node of several results has their channels in a row.

        Raises ShapeProblem or AssertionError where it cannot be.
        """
        raise NotImplementedError

    def text(self) -> str:
        return ", ".join(".".join(path) for path in self.paths)


@dataclass(frozen=True, slots=True)
class Layout(Fused):
    """The map with its channels last in memory where that is faster, or back in the usual order."""

    name: ClassVar[str] = "layout"
    channels_last: bool

    def result(self, types: Sequence[MapType], leaves: Leaves) -> MapType:
        return types[0]

    def text(self) -> str:
        return "channels last" if self.channels_last else "channels first"


@dataclass(frozen=True, slots=True)
class Part(Fused):
    """One result of a node that has several."""

    name: ClassVar[str] = "part"
    index: int
    of: int

    def result(self, types: Sequence[MapType], leaves: Leaves) -> MapType:
        whole = types[0]
        assert whole.C % self.of == 0 and self.index < self.of, "no such part"
        return MapType(whole.C // self.of, whole.H, whole.W)

    def text(self) -> str:
        return f"{self.index} of {self.of}"


@dataclass(frozen=True, slots=True)
class Depthwise(Fused):
    """Depthwise convolutions of one map, or of one map each; several results where there are several.

    With `norms`, a batch norm behind each, training takes every channel's mean off, as `NormConv`
    and `MixedSum` want it.
    """

    name: ClassVar[str] = "depthwise"
    convs: tuple[Path, ...]
    norms: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        return self.convs

    def result(self, types: Sequence[MapType], leaves: Leaves) -> MapType:
        assert len(types) in (1, len(self.convs)), "one map, or one for each convolution"
        assert len(self.norms) in (0, len(self.convs)), "all are centred or none"
        each = [_conv(path, types[i % len(types)], leaves) for i, path in enumerate(self.convs)]
        return _side_by_side(each)


@dataclass(frozen=True, slots=True)
class WholeWindow(Fused):
    """A depthwise convolution whose window is the whole map."""

    name: ClassVar[str] = "whole_window"
    conv: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.conv,)

    def result(self, types: Sequence[MapType], leaves: Leaves) -> MapType:
        return _conv(self.conv, types[0], leaves)


@dataclass(frozen=True, slots=True)
class Pointwise(Fused):
    """A 1x1 convolution over all channels."""

    name: ClassVar[str] = "pointwise"
    conv: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.conv,)

    def result(self, types: Sequence[MapType], leaves: Leaves) -> MapType:
        return _conv(self.conv, types[0], leaves)


@dataclass(frozen=True, slots=True)
class NormConv(Fused):
    """1x1 convolution, batch norm and perhaps a ReLU, of a `Depthwise` or of several of its results."""

    name: ClassVar[str] = "norm_conv"
    convs: tuple[Path, ...]
    norms: tuple[Path, ...]
    relu: bool = False

    @property
    def paths(self) -> tuple[Path, ...]:
        return (*self.convs, *self.norms)

    def result(self, types: Sequence[MapType], leaves: Leaves) -> MapType:
        assert len(types) == len(self.convs) == len(self.norms), "one map, convolution and norm each"
        return _side_by_side([_conv(p, t, leaves) for p, t in zip(self.convs, types, strict=True)])

    def text(self) -> str:
        return Fused.text(self) + (" -> relu" if self.relu else "")


@dataclass(frozen=True, slots=True)
class Answering(Fused):
    """A layer of a network that only answers, with what follows it: a map that is added, a ReLU."""

    name: ClassVar[str] = "answering"
    layer: Path
    added: bool = False
    relu: bool = False

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.layer,)

    def result(self, types: Sequence[MapType], leaves: Leaves) -> MapType:
        leaf = leaves[self.layer]
        found: MapType = PRIMITIVES[leaf.layer].shape(leaf.attrs, [types[0]])
        assert types[1:] == ([found] if self.added else []), "the addend has the result's shape"
        return found

    def text(self) -> str:
        return Fused.text(self) + (" -> + x" if self.added else "") + (" -> relu" if self.relu else "")


@dataclass(frozen=True, slots=True)
class Normalised(Fused):
    """A map as several batch norms without scale and shift see it; in evaluation the map itself."""

    name: ClassVar[str] = "normalised"
    norms: tuple[Path, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        return self.norms

    def result(self, types: Sequence[MapType], leaves: Leaves) -> MapType:
        return types[0]


@dataclass(frozen=True, slots=True)
class Term:
    """A map's share of a mixed sum: alternative `option` of the decision, behind what is set of a 1x1
    convolution and a batch norm. `seen`: a `Normalised` has done the norm's work in training. With a
    `factor` the map is a mask of that one of the sum's factors; the factor itself stands for 1."""

    mix: Mix
    option: int
    edge: int
    conv: Path = ()
    norm: Path = ()
    seen: bool = False
    factor: int | None = None


@dataclass(frozen=True, slots=True)
class MixedSum(Fused):
    """The sum of mixed operations: one map a term, then the factors. `drops` says for every edge
    whether a drop path stands behind its operation."""

    name: ClassVar[str] = "mixed_sum"
    terms: tuple[Term, ...]
    drops: tuple[bool, ...]
    factors: int = 0

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(path for term in self.terms for path in (term.conv, term.norm) if path)

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(sorted({term.mix.key for term in self.terms}))

    def result(self, types: Sequence[MapType], leaves: Leaves) -> MapType:
        assert len(types) == len(self.terms) + self.factors, "one map a term, and the factors"
        factors = types[len(self.terms) :]
        found = set(factors)
        for term, type_ in zip(self.terms, types, strict=False):
            if term.factor is not None:
                whole = factors[term.factor]
                assert not term.norm and broadcast([whole, type_]) == whole, "a mask fits its factor"
            else:
                found.add(_conv(term.conv, type_, leaves) if term.conv else type_)
        assert len(found) == 1, "terms of one shape"
        return found.pop()

    def text(self) -> str:
        rows: dict[tuple[str, int, int], list[int]] = {}
        for term in self.terms:
            rows.setdefault((term.mix.key, term.mix.row, term.edge), []).append(term.option)
        return " + ".join(
            f"{key} row {row} of {','.join(map(str, options))}{' -> drop_path' if self.drops[edge] else ''}"
            for (key, row, edge), options in rows.items()
        )


def _conv(path: Path, type_: MapType, leaves: Leaves) -> MapType:
    leaf = leaves[path]
    if leaf.layer != "conv":
        raise ShapeProblem("G301", f"{'.'.join(path)} is no convolution")
    found: MapType = PRIMITIVES["conv"].shape(leaf.attrs, [type_])
    return found


def _side_by_side(types: Sequence[MapType]) -> MapType:
    assert len(set(types)) == 1, "results of one shape"
    first = types[0]
    return MapType(first.C * len(types), first.H, first.W)
