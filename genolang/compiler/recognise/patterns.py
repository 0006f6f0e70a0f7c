"""Recognise what a kernel computes, by the text that the kernel gives of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

from genolang.compiler.ir import Graph, build_graph, flatten, uses
from genolang.compiler.ir.matched import Matched, Step
from genolang.compiler.recognise.matching import Form, Match, matches
from genolang.diagnostics import GenoError, Source
from genolang.lang import syntax as s
from genolang.primitives import MapType
from genolang.semantics.expansion.networks import NetworkBuilder
from genolang.semantics.modules import DefinitionRef, load_module

# What a pattern is first expanded for: maps of one shape, whose sizes differ.
_SHAPE = MapType(6, 5, 4)


def chosen(graph: Graph) -> list[tuple[Match, Matched]]:
    """Matches that no other one overlaps, the largest first."""
    judgements = [(match, judged(graph, match)) for match in _all_matches(graph)]
    exact = [(match, made) for match, made in judgements if isinstance(made, Matched)]
    taken: set[int] = set()
    found = []
    for match, made in sorted(exact, key=lambda pair: -len(pair[0].covered)):
        if not match.covered & taken:
            taken |= match.covered
            found.append((match, made))
    return found


def _all_matches(graph: Graph) -> Iterator[Match]:
    reads = uses(graph).reads
    by_root = _forms()
    for number, node, _ in graph:
        for form in by_root.get(node.layer, ()) if node.kind == "layer" else ():
            yield from matches(form, graph, number, reads)


@dataclass(frozen=True, slots=True)
class Miss:
    """A node in which a kernel's pattern nearly ends, and why it is not the kernel's."""

    kernel: str
    number: int
    reason: str


def misses(graph: Graph) -> list[Miss]:
    """For each node of one graph that layers of a pattern lead to, but no kernel takes, the reason that
    least stands in the way."""
    taken = {place for match, _ in chosen(graph) for place in match.covered}
    found: dict[int, tuple[int, int, Miss]] = {}
    for match in _all_matches(graph):
        reason = judged(graph, match)
        if isinstance(reason, str) and not match.covered & taken:
            rank = len(match.problems), -len(match.covered)
            miss = Miss(match.form.name, match.root, reason)
            known = found.get(match.root)
            if known is None or rank < known[:2]:
                found[match.root] = (*rank, miss)
    return [miss for *_, miss in found.values()]


def judged(graph: Graph, match: Match) -> Matched | str:
    """The kernel's call in the place of a match, or why there can be none."""
    if match.problems:
        return "; ".join(match.problems)
    types = tuple(graph.node(place).type for place in match.reads)
    values = {**match.form.arguments, **match.numbers}
    text = _patterns()[match.form.name]
    found = _expanded(match.form.name, text, tuple(sorted(values.items())), types)
    if isinstance(found, str):
        return found
    assert sorted(_layers(found)) == sorted(_layers(match.form.graph)), "layers do not depend on sizes"
    return Matched(match.form.name, tuple(values.items()), _steps(found))


def _layers(graph: Graph) -> list[str]:
    return [node.layer for _, node, _ in graph]


def _steps(graph: Graph) -> tuple[Step, ...]:
    """A pattern's layers over its maps, in order."""
    places = {number: place for place, number in enumerate(graph.inputs)}
    steps = []
    for number, node, arguments in graph:
        if node.kind != "input":
            assert node.kind == "layer" and node.attrs is not None and not node.path, "layers without weights"
            steps.append(Step(node.layer, node.attrs, tuple(places[a] for a in arguments)))
            places[number] = len(places)
    return tuple(steps)


# Patterns


@cache
def _patterns() -> Mapping[str, str]:
    """The texts of the kernels that are found by their pattern."""
    # Kernels bring torch along, which nobody needs who only reads this package's pipeline.
    from genolang.kernels import found_by_pattern

    return {name: kernel.pattern for name, kernel in found_by_pattern().items()}


@cache
def pattern_links() -> frozenset[tuple[str, str]]:
    """Which layer reads which in some pattern."""
    graphs = [form.graph for some in _forms().values() for form in some]
    links = [(g, link) for g in graphs for link in g.links.edges()]
    return frozenset((g.node(end).layer, g.node(start).layer) for g, (start, end) in links)


@cache
def _forms() -> Mapping[str, tuple[Form, ...]]:
    """Every form of every pattern, by the layer that it ends in."""
    found: dict[str, tuple[Form, ...]] = {}
    for name, text in _patterns().items():
        for form in forms(name, text):
            found[form.root.layer] = (*found.get(form.root.layer, ()), form)
    return found


def forms(name: str, text: str) -> list[Form]:
    """The forms of a pattern: parameters that are true or false have either value, others any number."""
    ref = _definition(name, text)
    defaults = {p.name: p.default for p in ref.value_params}
    flags = [p for p, default in defaults.items() if isinstance(default, s.Bool)]
    # Numbers that no text has by chance.
    holes = {p: 0.123456789 + i for i, p in enumerate(defaults) if p not in flags}
    types = (_SHAPE,) * len(ref.map_params)
    found = []
    for values in product((False, True), repeat=len(flags)):
        arguments = dict(zip(flags, values, strict=True))
        graph = _expanded(name, text, tuple(sorted({**arguments, **holes}.items())), types)
        assert isinstance(graph, Graph), f"the pattern of {name} does not take maps of one shape: {graph}"
        found.append(Form(name, graph, {hole: p for p, hole in holes.items()}, arguments))
    return found


@cache
def _definition(name: str, text: str) -> DefinitionRef:
    module = load_module(Source(name, f"geno 1\n{text}\n", library=True), None)
    assert not module.all_diagnostics, f"the pattern of {name}: {module.all_diagnostics[0]}"
    return module.definitions[name]


@cache
def _expanded(name: str, text: str, values: tuple[tuple[str, Any], ...], types: tuple[MapType, ...]) -> Graph | str:
    """A pattern's graph for maps of some shapes, or why it does not take them."""
    ref = _definition(name, text)
    try:
        block = NetworkBuilder(ref.module, searching=False).block(ref, dict(values), types)
    except GenoError as error:
        return error.diagnostics[0].message
    return flatten(build_graph(block))
