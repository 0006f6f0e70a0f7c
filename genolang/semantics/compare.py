"""Differences between two files by meaning: edges, operations, parameters and settings, not lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar, cast, get_args

from genolang.diagnostics import Span
from genolang.lang import syntax as s
from genolang.lang.printer import print_expression
from genolang.records import record
from genolang.semantics.canonical import canonical
from genolang.semantics.modules import DefinitionRef, Module
from genolang.semantics.sections import search_settings, train_settings
from genolang.semantics.statements import (
    edges_by_ends,
    local_names,
    node_names,
    statements,
    times_spelled,
    written_ends,
)

T = TypeVar("T")
N = TypeVar("N", bound=s.Node)
# Said of the parts of a definition of their own; the others are compared as a whole.
_OWN = frozenset(("span", "kind", "name", "params", "body"))
# The order of these says nothing.
_UNORDERED = (s.Assign, s.Require, s.Keep, s.Return)


@record(frozen=True)
class Change:
    """One difference. `kind` ends in -added, -removed, -changed or -reordered; `where` is for people."""

    kind: str
    where: str
    before: str | None = None
    after: str | None = None
    before_span: Span | None = None
    after_span: Span | None = None

    def to_json(self) -> dict[str, object]:
        return {
            "kind": self.kind,
            "where": self.where,
            "before": self.before,
            "after": self.after,
            "before_span": _place(self.before_span),
            "after_span": _place(self.after_span),
        }


def _place(span: Span | None) -> dict[str, object] | None:
    if span is None:
        return None
    (line, column), (end_line, end_column) = map(span.source.position, (span.start, span.end))
    return {"file": span.source.name, "line": line, "column": column, "end_line": end_line, "end_column": end_column}


def compare(before: Module, after: Module) -> list[Change]:
    """What has changed from one file to another, and in the files of the user's that both import.

    Formatting, comments, the order of definitions, names of arguments and written-out defaults are no
    change. Errors: those of the files' edges and settings.
    """
    return _Comparison(before, after, "").files()


class _Comparison:
    def __init__(self, before: Module, after: Module, prefix: str) -> None:
        self.before = before
        self.after = after
        self.prefix = prefix
        self.changes: list[Change] = []

    def files(self) -> list[Change]:
        self.imports()
        self.match(
            "definition",
            self.before.definitions,
            self.after.definitions,
            self.definition,
            lambda ref: ref.syntax,
            self.heading,
        )
        for kind in ("search", "train"):
            self.section(kind)
        return self.changes

    def say(
        self,
        kind: str,
        where: str,
        before: s.Node | None,
        after: s.Node | None,
        show: Callable[[Any], str] | None = None,
    ) -> None:
        pair = (before, after)
        self.add(
            kind,
            where,
            [None if node is None else (show or text)(node) for node in pair],
            [None if node is None else node.span for node in pair],
        )

    def add(self, kind: str, where: str, shown: Sequence[str | None], spans: Sequence[Span | None]) -> None:
        (before, after), (first, second) = shown, spans
        self.changes.append(Change(kind, self.prefix + where, before, after, first, second))

    def match(
        self,
        kind: str,
        before: Mapping[Any, T],
        after: Mapping[Any, T],
        both: Callable[[str, T, T], None],
        node: Callable[[T], s.Node],
        name: Callable[[Any, T], str],
        show: Callable[[Any], str] | None = None,
    ) -> None:
        """Pairs by key: those on both sides are looked into, the others are removed or added."""
        for key, old in before.items():
            if key in after:
                both(name(key, after[key]), old, after[key])
            else:
                self.say(f"{kind}-removed", name(key, old), node(old), None, show)
        for key, new in after.items():
            if key not in before:
                self.say(f"{kind}-added", name(key, new), None, node(new), show)

    # Imports

    def imports(self) -> None:
        def listed(module: Module) -> dict[tuple[str, str | None], s.ImportName]:
            found = (n for item in module.file.items if isinstance(item, s.Import) for n in item.names)
            return {(".".join(n.path), n.alias): n for n in found}

        def look_into(where: str, old: s.ImportName, new: s.ImportName) -> None:
            first, second = _imported(self.before, old), _imported(self.after, new)
            if first is None or second is None or first.source.text == second.source.text:
                return
            if not (first.source.library or second.source.library):
                prefix = f"{self.prefix}{'.'.join(old.path)}: "
                self.changes += _Comparison(first, second, prefix).files()
            else:
                self.add("import-changed", where, (first.source.name, second.source.name), (old.span, new.span))

        self.match(
            "import",
            listed(self.before),
            listed(self.after),
            look_into,
            lambda n: n,
            lambda key, _: f"import {key[0]}" + (f" as {key[1]}" if key[1] else ""),
        )

    # Definitions

    def heading(self, key: str, ref: DefinitionRef) -> str:
        return f"{ref.kind} {key}"

    def same(self, old: Any, new: Any, names: tuple[Collection[str], Collection[str]] = ((), ())) -> bool:
        if old == new:
            return True
        first: Any = canonical(old, self.before, names[0])
        return bool(first == canonical(new, self.after, names[1]))

    def definition(self, where: str, old: DefinitionRef, new: DefinitionRef) -> None:
        first, second = old.syntax, new.syntax
        if first.kind != second.kind:
            self.say("definition-changed", where, first, second)
            return
        self.parameters(where, first, second)
        names = local_names(first), local_names(second)
        for field in fields(s.Definition):
            values = getattr(first, field.name), getattr(second, field.name)
            if field.name not in _OWN and not self.same(*values, names):
                shown = [text(value) or None for value in values]
                self.add("definition-changed", f"{where}, {field.name}", shown, (first.span, second.span))
        if isinstance(first.body, tuple) and isinstance(second.body, tuple):
            self.statements(where, old, new, names)
        elif isinstance(first.body, tuple) or isinstance(second.body, tuple):
            self.say("body-changed", where, first, second)
        elif first.kind == "choice":
            self.alternatives(where, first.body, second.body)
        elif not self.same(first.body, second.body, names):
            self.say("body-changed", where, first.body, second.body)

    def parameters(self, where: str, old: s.Definition, new: s.Definition) -> None:
        before, after = ({p.name: p for p in d.params} for d in (old, new))

        def both(place: str, first: s.Param, second: s.Param) -> None:
            if not self.same(first, second):
                self.say("parameter-changed", place, first, second)

        self.match("parameter", before, after, both, lambda p: p, lambda key, _: f"{where}, parameter {key}")
        self.order("parameters", where, list(before), list(after), (old.span, new.span))

    def order(self, kind: str, where: str, before: list[str], after: list[str], spans: tuple[Span, Span]) -> None:
        """Whether what both sides have stands in another order."""
        kept = [name for name in before if name in after], [name for name in after if name in before]
        if kept[0] != kept[1]:
            self.add(f"{kind}-reordered", where, [", ".join(names) for names in kept], spans)

    def alternatives(self, where: str, old: s.Expr, new: s.Expr) -> None:
        pairs, gone, come = _pair_off(_options(old), _options(new), self.same)
        for option in gone[:]:
            partner = next((o for o in come if _head(o) == _head(option)), None)
            if partner is not None:
                gone.remove(option)
                come.remove(partner)
                self.say("alternative-changed", where, option, partner)
        for option in gone:
            self.say("alternative-removed", where, option, None)
        for option in come:
            self.say("alternative-added", where, None, option)
        places = [place for _, place in pairs]
        if places != sorted(places):
            self.say("alternatives-reordered", where, old, new)

    # Statements

    def statements(
        self, where: str, old: DefinitionRef, new: DefinitionRef, names: tuple[Collection[str], Collection[str]]
    ) -> None:
        before, after = statements(old), statements(new)

        def both(place: str, first: s.Node, second: s.Node) -> None:
            if not self.same(first, second, names):
                self.say("statement-changed", place, first, second)

        self.match("statement", before, after, both, lambda node: node, lambda key, _: f"{where}, {' '.join(key)}")
        ordered = [
            [" ".join(key) for key, node in side.items() if not isinstance(node, _UNORDERED)]
            for side in (before, after)
        ]
        self.order("statements", where, ordered[0], ordered[1], (old.syntax.span, new.syntax.span))
        self.nodes(where, old, new)
        self.edges(where, old, new, names)

    def nodes(self, where: str, old: DefinitionRef, new: DefinitionRef) -> None:
        before, after = ({n.id: n for n in node_names(ref)} for ref in (old, new))
        self.match("node", before, after, lambda *_: None, lambda n: n, lambda key, _: f"{where}, node {key}")
        self.order("nodes", where, list(before), list(after), (old.syntax.span, new.syntax.span))

    def edges(
        self, where: str, old: DefinitionRef, new: DefinitionRef, names: tuple[Collection[str], Collection[str]]
    ) -> None:
        sides = edges_by_ends(old), edges_by_ends(new)
        before: dict[tuple[str, str, int], s.Edge] = {}
        after: dict[tuple[str, str, int], s.Edge] = {}
        for start, end in dict.fromkeys((*sides[0], *sides[1])):
            first, second = (side.get((start, end), []) for side in sides)
            pairs, gone, come = _pair_off(first, second, lambda a, b: self.same(a.operation, b.operation, names))
            # Of several edges between the same two nodes the equal ones are pairs.
            before |= {(start, end, n): e for n, e in enumerate([*(first[i] for i, _ in pairs), *gone])}
            after |= {(start, end, n): e for n, e in enumerate([*(second[i] for _, i in pairs), *come])}
        said: set[tuple[int, int]] = set()

        def name(key: tuple[str, str, int], _: s.Edge) -> str:
            return f"{where}, edge {key[0]} -> {key[1]}"

        def both(place: str, first: s.Edge, second: s.Edge) -> None:
            if self.same(first.operation, second.operation, names):
                return
            if (pattern := written_ends(first)) == written_ends(second):
                # One line of text stands for all these edges on both sides: it is said once.
                if (id(first), id(second)) in said:
                    return
                said.add((id(first), id(second)))
                place = f"{where}, edges {pattern}" if times_spelled(before, first) > 1 else place
            self.say("operation-changed", place, first.operation, second.operation)

        self.match("edge", before, after, both, lambda edge: edge, name, lambda edge: text(edge.operation))

    # Settings

    def section(self, kind: str) -> None:
        old, new = self.before.sections(kind), self.after.sections(kind)
        if not old or not new:
            self.match(
                "section",
                dict(enumerate(old[:1])),
                dict(enumerate(new[:1])),
                lambda *_: None,
                lambda section: section,
                lambda *_: kind,
            )
            return
        read = search_settings if kind == "search" else train_settings
        values: list[Any] = [read(side, {}) for side in (old, new)]
        written = [
            {x.name: x for section in side for line in section.lines for x in line.settings} for side in (old, new)
        ]
        done: set[str] = set()
        for field in fields(values[0]):
            first, second = (getattr(value, field.name, None) for value in values)
            # What no setting is called belongs to the method's own arguments.
            name = field.name if any(field.name in side for side in written) else "method"
            if first == second or name in done:
                continue
            done.add(name)
            settings = [side.get(name) for side in written]
            shown = [
                _default(value) if setting is None else text(setting.value)
                for setting, value in zip(settings, (first, second), strict=True)
            ]
            spans = [None if setting is None else setting.span for setting in settings]
            self.add("setting-changed", f"{kind}, {name}", shown, spans)


def text(node: Any) -> str:
    """A part of a file on one line, without its comments."""
    if isinstance(node, tuple):
        return ", ".join(map(text, node))
    if not isinstance(node, s.Node):
        return "" if node is None else str(node)
    if isinstance(node, get_args(s.Expr)):
        return print_expression(cast("s.Expr", node))
    return " ".join(re.sub(r"#[^\n]*", "", node.span.text).split())


def _default(value: object) -> str:
    """A setting that is not written."""
    plain = isinstance(value, str | int | float)
    return f"{str(value).lower()} (the default)" if plain else "(the default)"


def _imported(module: Module, name: s.ImportName) -> Module | None:
    if name.alias is not None:
        return module.aliases.get(name.alias)
    return next((found for other, found in module.imports if other is name), None)


def _options(body: s.Expr) -> tuple[s.Expr, ...]:
    return body.options if isinstance(body, s.Alternatives) else (body,)


def _pair_off(
    old: Sequence[N], new: Sequence[N], same: Callable[[N, N], bool]
) -> tuple[list[tuple[int, int]], list[N], list[N]]:
    """The places of what is the same on both sides, and what each side has beyond that."""
    pairs: list[tuple[int, int]] = []
    left = list(range(len(new)))
    for place, node in enumerate(old):
        partner = next((i for i in left if same(node, new[i])), None)
        if partner is not None:
            left.remove(partner)
            pairs.append((place, partner))
    paired = {place for place, _ in pairs}
    return pairs, [n for i, n in enumerate(old) if i not in paired], [new[i] for i in left]


def _head(option: s.Expr) -> str:
    first = option.stages[0] if isinstance(option, s.Pipeline) else option
    return print_expression(first.callee if isinstance(first, s.Call) else first)
