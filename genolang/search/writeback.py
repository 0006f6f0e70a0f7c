"""A search's answer as source code: the user's own file with its choices replaced.

The file is changed as a tree, formatted, and checked again before anyone sees it. Comments stay, and
so do the definitions of the choices, which tell what was searched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from genolang.diagnostics import GenoError, Source, fail
from genolang.lang import syntax as s
from genolang.lang.formatter import format_file, format_source
from genolang.search.space import ChosenEdge, Genotype, schemes
from genolang.semantics.check import Checked, check_source, expand_network
from genolang.semantics.modules import LIBRARY, Module
from genolang.semantics.program import CellSpace, Program


def discrete_text(
    checked: Checked, program: Program, genotype: Genotype, header: Sequence[str] = (),
    notes: Mapping[tuple[str, int], str] | None = None,
) -> str:  # fmt: skip
    """The user's spec with the answer in place of its choices, formatted.

    `header` becomes comment lines under the version; `notes` trailing comments of kept edges by
    (cell, edge number). Error: G416 where a choice stands in an imported file.
    """
    _refuse_foreign_choices(checked.module, program)
    writer = _Writer(program, genotype, notes or {})
    items = tuple(
        writer.definition(item) if isinstance(item, s.Definition) else item
        for item in checked.module.file.items
    )
    items = _with_imports(checked.module, program, writer.used, items)
    text = format_file(replace(checked.module.file, items=items), notes=writer.comments)
    if header:
        first, rest = text.split("\n", 1)
        text = "\n".join([first, *(f"# {line}" for line in header), rest])
    return format_source(Source(checked.module.source.name, text))


def discrete_program(
    checked: Checked, program: Program, genotype: Genotype, given: Mapping[str, Any]
) -> Program:
    """The answer's network: its text checked and expanded like any other."""
    text = discrete_text(checked, program, genotype)
    found = check_source(Source(checked.module.source.name, text), checked.module.path)
    return expand_network(found, program.name, given)


def recheck(checked: Checked, text: str) -> None:
    """Raise GenoError if a text that is about to be written has any error."""
    found = check_source(Source(checked.module.source.name, text), checked.module.path)
    errors = [d for d in found.diagnostics if d.severity == "error"]
    if errors:
        raise GenoError(errors)


def _refuse_foreign_choices(module: Module, program: Program) -> None:
    for choice in program.choices.values():
        for place in choice.rows:
            if place.span.source is not module.source:
                raise fail(
                    "G416", f"the choice `{choice.name}` of `{place.definition}` stands in"
                    f" {place.span.source.name}, which this search cannot write to", place.span,
                    help=f"copy `{place.definition}` into {module.source.name}",
                )  # fmt: skip


class _Writer:
    def __init__(
        self, program: Program, genotype: Genotype, notes: Mapping[tuple[str, int], str]
    ) -> None:
        self.program = program
        self.cells = {cell.definition: cell for cell in program.cells}
        self.chosen = dict(genotype.cells)
        self.notes = notes
        self.comments: dict[int, str] = {}
        self.used: list[tuple[str, s.Expr]] = []
        self.others = {
            self._start(key, row): self._option(key, row, option)
            for (key, row), option in genotype.others if not program.choices[key].plug
        }
        # The bits of the slots by the place of their `where search`, a string per stage.
        self.schemes: dict[int, list[str]] = {}
        for key, bits in schemes(program, genotype).items():
            self.schemes.setdefault(self._start(key, 0), []).append(bits)

    def _start(self, key: str, row: int) -> int:
        return self.program.choices[key].rows[row].span.start

    def _option(self, key: str, row: int, option: int) -> tuple[str, s.Expr]:
        choice = self.program.choices[key]
        return choice.name, choice.rows[row].option(option)

    def definition(self, item: s.Definition) -> s.Definition:
        if item.name.id in self.cells and isinstance(item.body, tuple):
            item = replace(item, body=self.cell(item.name.id, item.body))
        if self.schemes and item.plugs:
            item = replace(item, plugs=tuple(self.plug(plug) for plug in item.plugs))
        if item.kind == "choice" or not self.others:
            return item
        changed: s.Definition = self.rewrite(item, self.others)
        return changed

    def plug(self, plug: s.Plug) -> s.Plug:
        where = plug.where
        if where is None or where.span.start not in self.schemes:
            return plug
        strings = tuple(s.String(where.span, bits) for bits in self.schemes[where.span.start])
        return replace(plug, where=s.Where(where.span, "bits", s.Sequence(where.span, strings, True)))

    def cell(self, name: str, body: tuple[s.Statement, ...]) -> tuple[s.Statement, ...]:
        found: list[s.Statement] = []
        written = False
        for statement in body:
            if isinstance(statement, s.Keep):
                continue
            if not isinstance(statement, s.Edges):
                found.append(statement)
            elif not written:
                space = self.cells[name]
                edges = tuple(self.edge(name, space, chosen) for chosen in self.chosen[name])
                found.append(s.Edges(statement.span, edges, True))
                written = True
        return tuple(found)

    def edge(self, cell: str, space: CellSpace, chosen: ChosenEdge) -> s.Edge:
        edge = space.edges[chosen.edge]
        texts = {
            self._start(key, edge.rows[key]): self._option(key, edge.rows[key], option)
            for key, option in chosen.options
        }
        syntax = edge.syntax
        made = s.Edge(
            syntax.span, s.Name(syntax.start.span, edge.start), s.Name(syntax.end.span, edge.end),
            self.rewrite(syntax.operation, texts),
        )  # fmt: skip
        note = self.notes.get((cell, chosen.edge))
        if note is not None:
            self.comments[id(made)] = note
        return made

    def rewrite(self, node: Any, texts: Mapping[int, tuple[str, s.Expr]]) -> Any:
        """The tree with every choice that starts at one of these characters replaced."""
        if isinstance(node, tuple):
            return tuple(self.rewrite(item, texts) for item in node)
        if not isinstance(node, s.Node):
            return node
        if isinstance(node, (s.Name, s.Call, s.Attribute, s.Alternatives)) and node.span.start in texts:
            name, option = texts[node.span.start]
            if isinstance(node, s.Alternatives) or _callee_name(node) == name:
                expression: s.Expr = _placed(option, node.span)
                self.used.append((name, expression))
                return expression
        changes = {}
        for field in fields(node):
            value = getattr(node, field.name)
            if isinstance(value, (tuple, s.Node)):
                new = self.rewrite(value, texts)
                if new is not value:
                    changes[field.name] = new
        return replace(node, **changes) if changes else node


def _callee_name(node: s.Expr) -> str | None:
    if isinstance(node, s.Call):
        return _callee_name(node.callee)
    if isinstance(node, s.Attribute):
        return node.name
    return node.id if isinstance(node, s.Name) else None


def _placed(node: Any, span: Any) -> Any:
    """A parsed option at the place of the choice, so that comments keep their neighbours."""
    if isinstance(node, tuple):
        return tuple(_placed(item, span) for item in node)
    if not isinstance(node, s.Node):
        return node
    changes = {f.name: _placed(getattr(node, f.name), span) for f in fields(node) if f.name != "span"}
    return replace(node, span=span, **changes)


def _with_imports(
    module: Module, program: Program, used: list[tuple[str, s.Expr]], items: tuple[s.Item, ...]
) -> tuple[s.Item, ...]:
    """Imports for names of alternatives that only the file of their choice could see."""
    missing: dict[tuple[str, ...], None] = {}
    for choice, expression in used:
        home = next((ref.module for ref in module.lookup(choice)), module)
        for name in _names(expression):
            if home is module or module.lookup(name):
                continue
            for ref in home.lookup(name)[:1]:
                missing.setdefault(_import_path(ref.module, module))
    if not missing:
        return items
    at = next((i for i, item in enumerate(items) if not isinstance(item, s.Version)), len(items))
    span = items[0].span
    names = tuple(s.ImportName(span, path, None) for path in missing)
    return (*items[:at], s.Import(span, names), *items[at:])


def _names(node: Any) -> list[str]:
    if isinstance(node, tuple):
        return [name for item in node for name in _names(item)]
    if isinstance(node, s.Name):
        return [node.id]
    if not isinstance(node, s.Node):
        return []
    return [n for f in fields(node) if f.name != "span" for n in _names(getattr(node, f.name))]


def _import_path(target: Module, importer: Module) -> tuple[str, ...]:
    assert target.path is not None
    base = LIBRARY if target.source.library else importer.path.parent if importer.path else LIBRARY
    return target.path.relative_to(base).with_suffix("").parts
