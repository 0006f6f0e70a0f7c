"""A search's answer as source code: the user's own file with its choices replaced.

The file is changed as a tree, formatted, and checked again before anyone sees it. Comments stay, and
so do the definitions of the choices, which tell what was searched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from genolang.diagnostics import GenoError, Source, Span, fail
from genolang.lang import syntax as s
from genolang.lang.formatter import format_file, format_source
from genolang.search.given import placed, with_given
from genolang.search.space import ChosenEdge, Genotype, schemes
from genolang.semantics.check import Checked, check_source, expand_network
from genolang.semantics.modules import LIBRARY, Module
from genolang.semantics.program import CellSpace, Decision, Program, Spot, Way
from genolang.semantics.reach import names_of, walk

Edge = tuple[str, str]


def discrete_text(
    checked: Checked,
    program: Program,
    genotype: Genotype,
    header: Sequence[str] = (),
    notes: Mapping[tuple[str, int], str] | None = None,
    given: Mapping[str, Any] | None = None,
) -> str:
    """The user's spec with the answer in place of its choices, formatted.

    The network takes the values `given` to its parameters by itself, so that it is the one that was
    searched: a scheme of slots would not even have as many bits as another has slots. `header` becomes
    comment lines under the version; `notes` trailing comments of kept edges by (cell, edge number).
    Error: G416 where a choice stands in an imported file.
    """
    _refuse_foreign_choices(checked.module, program)
    writer = _Writer(program, genotype, notes or {})
    items = tuple(
        writer.definition(item) if isinstance(item, s.Definition) else item for item in checked.module.file.items
    )
    if given:
        items = tuple(
            with_given(item, checked.module, given)
            if isinstance(item, s.Definition) and item.name.id == program.name
            else item
            for item in items
        )
    items = _with_imports(checked.module, writer.used, items)
    text = format_file(replace(checked.module.file, items=items), notes=writer.comments)
    if header:
        first, rest = text.split("\n", 1)
        text = "\n".join([first, *(f"# {line}" for line in header), rest])
    return format_source(Source(checked.module.source.name, text))


def discrete_program(
    checked: Checked, program: Program, genotype: Genotype, given: Mapping[str, Any], network: str | None = None
) -> Program:
    """The answer's network, or another one of the file: its text checked and expanded like any other."""
    text = discrete_text(checked, program, genotype, given=given)
    found = check_source(Source(checked.module.source.name, text), checked.module.path)
    return expand_network(found, network or program.name, given)


def recheck(checked: Checked, text: str) -> None:
    """Raise GenoError if a text that is about to be written has any error."""
    found = check_source(Source(checked.module.source.name, text), checked.module.path)
    errors = [d for d in found.diagnostics if d.severity == "error"]
    if errors:
        raise GenoError(errors)


def _refuse_foreign_choices(module: Module, program: Program) -> None:
    for choice in program.choices.values():
        for place in choice.rows:
            if place.way[0].source != id(module.source):
                raise fail(
                    "G416",
                    f"the choice `{choice.name}` of `{place.definition}` stands in"
                    f" {place.span.source.name}, which this search cannot write to",
                    place.span,
                    help=f"copy `{place.definition}` into {module.source.name}",
                )


class _Writer:
    """The definitions of a file with an answer in the place of its choices."""

    def __init__(self, program: Program, genotype: Genotype, notes: Mapping[tuple[str, int], str]) -> None:
        self.program = program
        self.cells = {cell.definition: cell for cell in program.cells}
        self.chosen = dict(genotype.cells)
        self.notes = notes
        self.comments: dict[int, str] = {}
        self.used: list[s.Expr] = []
        self.answers: dict[tuple[Edge | None, Way], tuple[Decision, int]] = {}
        # The names on edges that stand for a parameter's default.
        self.spread: set[tuple[Edge | None, Way]] = set()
        for decision, option in genotype.options.items():
            if not program.choices[decision.key].plug:
                place = program.place(decision)
                self.answers[place.edge, place.way] = decision, option
                self.spread |= {(place.edge, place.way[:n]) for n in range(1, len(place.way))}
        # The bits of the slots by the place of their `where search`.
        self.schemes = _schemes(program, genotype)
        # Words of `stages` whose steps would be stages of their own.
        self.alone: set[tuple[int, int]] = set()

    def definition(self, item: s.Definition) -> s.Definition:
        if item.name.id in self.cells and isinstance(item.body, tuple):
            item = self.spelled(item, item.body)
        if self.schemes and item.plugs:
            item = replace(item, plugs=tuple(self.plug(plug) for plug in item.plugs))
        if item.kind == "choice" or not self.answers:
            return item
        if item.kind == "network" and isinstance(item.body, tuple):
            defaults = {p.name: p.default for p in item.params if p.default is not None}
            parts = (st for st in item.body if isinstance(st, s.Part) and st.keyword == "stages")
            self.alone = {spot for part in parts for spot in _alone(part.value, defaults)}
        changed: s.Definition = self.rewrite(item, None, (), -1, {})
        return changed

    def plug(self, plug: s.Plug) -> s.Plug:
        where = plug.where
        if where is None or where.span.start not in self.schemes:
            return plug
        strings = tuple(s.String(where.span, bits) for bits in self.schemes[where.span.start])
        return replace(plug, where=s.Where(where.span, "bits", s.Sequence(where.span, strings, True)))

    def spelled(self, item: s.Definition, body: tuple[s.Statement, ...]) -> s.Definition:
        """A cell with the edges that stay, each written out."""
        name, found, written = item.name.id, list[s.Statement](), False
        defaults = {p.name: p.default for p in item.params if p.default is not None}
        for statement in body:
            if isinstance(statement, s.Keep):
                continue
            if not isinstance(statement, s.Edges):
                found.append(statement)
            elif not written:
                space = self.cells[name]
                edges = tuple(self.edge(name, space, chosen, defaults) for chosen in self.chosen[name])
                found.append(s.Edges(statement.span, edges, True))
                written = True
        spread = {p.name for p in item.params if p.default is not None and self.is_spread(item, p.name)}
        made = replace(item, body=tuple(found))
        left = names_of(made.body) if spread else ()
        return replace(made, params=tuple(p for p in item.params if p.name not in spread or p.name in left))

    def is_spread(self, item: s.Definition, parameter: str) -> bool:
        """Whether a parameter's default was decided edge by edge."""
        spots = {(way[0].start, way[0].end) for edge, way in self.spread if edge is not None}
        return any(
            isinstance(node, s.Name) and node.id == parameter and (node.span.start, node.span.end) in spots
            for node in walk(item.body)
        )

    def edge(self, cell: str, space: CellSpace, chosen: ChosenEdge, defaults: Mapping[str, s.Expr]) -> s.Edge:
        edge = space.edges[chosen.edge]
        syntax = edge.syntax
        made = s.Edge(
            syntax.span,
            s.Name(syntax.start.span, edge.start),
            s.Name(syntax.end.span, edge.end),
            self.rewrite(syntax.operation, (edge.start, edge.end), (), -1, defaults),
        )
        note = self.notes.get((cell, chosen.edge))
        if note is not None:
            self.comments[id(made)] = note
        return made

    def rewrite(self, node: Any, edge: Edge | None, within: Way, option: int, defaults: Mapping[str, s.Expr]) -> Any:
        """The tree on an edge (or on none), where `within` led to it, with the answer in place of choices."""
        if isinstance(node, tuple):
            return tuple(self.rewrite(item, edge, within, option, defaults) for item in node)
        if not isinstance(node, s.Node):
            return node
        if isinstance(node, (s.Name, s.Call, s.Attribute, s.Alternatives)):
            span = node.span
            way = (*within, Spot(id(span.source), span.start, span.end, option))
            if (edge, way) in self.answers:
                made = self.answer(edge, way, span, defaults)
                fed = [arg.value for arg in node.args if arg.name is None] if isinstance(node, s.Call) else []
                return self.fed(fed[0], made, edge, within, option, defaults) if fed else made
            if isinstance(node, s.Call) and self.decided(node.callee, edge, within, option):
                chosen = self.rewrite(node.callee, edge, within, option, defaults)
                return self.fed(node.args[0].value, chosen, edge, within, option, defaults)
            if isinstance(node, s.Name) and node.id in defaults and (edge, way) in self.spread:
                return placed(self.rewrite(defaults[node.id], edge, way, -1, {}), span)
        changes = {}
        for field in fields(node):
            value = getattr(node, field.name)
            if isinstance(value, (tuple, s.Node)):
                new = self.rewrite(value, edge, within, option, defaults)
                if new is not value:
                    changes[field.name] = new
        return replace(node, **changes) if changes else node

    def decided(self, node: s.Expr, edge: Edge | None, within: Way, option: int) -> bool:
        return (edge, (*within, Spot(id(node.span.source), node.span.start, node.span.end, option))) in self.answers

    def fed(
        self, value: s.Expr, chosen: s.Expr, edge: Edge | None, within: Way, option: int, defaults: Mapping[str, s.Expr]
    ) -> s.Expr:
        """The chosen alternative of a choice that was called with a map."""
        return s.Pipeline(chosen.span, (self.rewrite(value, edge, within, option, defaults), chosen))

    def answer(self, edge: Edge | None, way: Way, span: Span, defaults: Mapping[str, s.Expr]) -> s.Expr:
        """The alternative that was decided, itself with the answer in place of its choices."""
        decision, option = self.answers[edge, way]
        place = self.program.place(decision)
        chosen = self.rewrite(place.options[option], edge, way, option, defaults)
        self.used.append(place.options[option])
        made: s.Expr = placed(place.with_arguments(chosen), span)
        if edge is None and (span.start, span.end) in self.alone and _has_steps(made):
            once = s.Number(span, 1, "1"), made
            return s.Call(span, s.Name(span, "repeat"), tuple(s.Arg(span, None, value) for value in once))
        return made


def _schemes(program: Program, genotype: Genotype) -> dict[int, list[str]]:
    """A string of bits per stage, or one for all where a stage has no slot or a slot no stage."""
    found: dict[int, list[str]] = {}
    bits = schemes(program, genotype)
    for plugged in program.plugs:
        if plugged.open:
            start = program.choices[plugged.open[0]].rows[0].span.start
            each = [bits[key] for key in dict.fromkeys(plugged.open)]
            if set(plugged.scheme) != set(range(1, program.stages + 1)):
                left = {key: iter(bits[key]) for key in plugged.open}
                each = ["".join(next(left[key]) for key in plugged.open)]
            found[start] = each
    return found


def _alone(expr: s.Expr, defaults: Mapping[str, s.Expr]) -> Iterator[tuple[int, int]]:
    """Where an operation stands in `stages` so that its own steps would be stages: alone or in front."""
    if isinstance(expr, s.Pipeline):
        yield from _alone(expr.stages[0], defaults)
    elif isinstance(expr, s.If):
        yield from (*_alone(expr.then, defaults), *_alone(expr.otherwise, defaults))
    else:
        yield expr.span.start, expr.span.end
        if isinstance(expr, s.Name) and expr.id in defaults:
            yield from _alone(defaults[expr.id], {})


def _has_steps(expr: s.Expr) -> bool:
    if isinstance(expr, s.If):
        return _has_steps(expr.then) or _has_steps(expr.otherwise)
    repeats = isinstance(expr, s.Call) and isinstance(expr.callee, s.Name) and expr.callee.id == "repeat"
    return repeats or isinstance(expr, s.Pipeline | s.For)


def _with_imports(module: Module, used: list[s.Expr], items: tuple[s.Item, ...]) -> tuple[s.Item, ...]:
    """Imports for names of alternatives that only the file of their choice could see."""
    homes = {id(found.source): found for found in module.family()}
    missing: dict[tuple[str, ...], None] = {}
    for node in walk(tuple(used)):
        home = homes[id(node.span.source)]
        if isinstance(node, s.Name) and home is not module and not module.lookup(node.id):
            for ref in home.lookup(node.id)[:1]:
                missing.setdefault(_import_path(ref.module, module))
    if not missing:
        return items
    at = next((i for i, item in enumerate(items) if not isinstance(item, s.Version)), len(items))
    span = items[0].span
    names = tuple(s.ImportName(span, path, None) for path in sorted(missing))
    return (*items[:at], s.Import(span, names), *items[at:])


def _import_path(target: Module, importer: Module) -> tuple[str, ...]:
    assert target.path is not None
    base = LIBRARY if target.source.library else importer.path.parent if importer.path else LIBRARY
    return target.path.relative_to(base).with_suffix("").parts
