"""Random syntax trees, as a parse would give them, and random comments between their tokens."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from genolang.diagnostics import Source, Span
from genolang.lang import syntax as s
from genolang.lang.tokens import tokenize
from genolang.lang.tree import number_value

NOWHERE = Span(Source("nowhere", ""), 0, 0)
names = st.sampled_from(["x", "n1", "relu", "conv", "s0", "classes", "a_long_name_of_an_operation"])
# Words of the language are plain names where nothing else could stand.
words = st.one_of(names, names, st.sampled_from(["of", "input", "at", "then", "weight", "in", "by"]))
name_nodes = names.map(lambda text: s.Name(NOWHERE, text))
numbers = st.sampled_from(["0", "1", "16", "0.5", ".5", "3E-4", "20k", "3.5M"]).map(
    lambda text: s.Number(NOWHERE, number_value(text), text)
)
strings = st.text("ab #({->", max_size=8).map(lambda text: s.String(NOWHERE, text))
FLAT = ("+", "*", "and", "or")
OTHER = ("-", "/", "//", "%", "==", "!=", "<", ">=")


def several(elements: st.SearchStrategy[Any], least: int = 0, most: int = 4) -> Any:
    return st.lists(elements, min_size=least, max_size=most).map(tuple)


def _flat(operator: str, operands: tuple[s.Expr, ...]) -> s.Expr:
    first = operands[0]
    if isinstance(first, s.Infix) and first.operator == operator:
        operands = first.operands + operands[1:]
    return s.Infix(NOWHERE, operator, operands)


def _pipeline(stages: tuple[s.Expr, ...]) -> s.Expr:
    first = stages[0]
    return s.Pipeline(NOWHERE, (first.stages if isinstance(first, s.Pipeline) else (first,)) + stages[1:])


def _alternatives(options: tuple[s.Expr, ...]) -> s.Expr:
    first = options[0]
    head = first.options if isinstance(first, s.Alternatives) else (first,)
    return s.Alternatives(NOWHERE, head + options[1:])


def _larger(inner: st.SearchStrategy[s.Expr]) -> st.SearchStrategy[s.Expr]:
    args = st.builds(s.Arg, st.just(NOWHERE), st.none() | names, inner)
    at = st.just(NOWHERE)
    return st.one_of(
        several(inner, 2).map(_pipeline),
        several(inner, 2).map(_alternatives),
        st.builds(_flat, st.sampled_from(FLAT), several(inner, 2)),
        st.builds(s.Infix, at, st.sampled_from(OTHER), several(inner, 2, 2)),
        st.builds(s.Prefix, at, st.sampled_from(("-", "not")), inner),
        st.builds(s.Call, at, inner, several(args)),
        st.builds(s.Attribute, at, inner, words),
        st.builds(s.Index, at, inner, inner),
        st.builds(s.Sequence, at, several(inner), st.just(True)),
        st.builds(s.Sequence, at, several(inner, 1), st.just(False)),
        st.builds(s.If, at, inner, inner, inner),
        st.builds(s.For, at, several(name_nodes, 1, 3), inner, inner),
    )


def _plugs() -> st.SearchStrategy[s.Plug]:
    at = st.just(NOWHERE)
    where = st.one_of(
        st.builds(s.Where, at, st.sampled_from(("all", "search"))),
        st.builds(s.Where, at, st.just("every"), expressions, st.none() | expressions),
        st.builds(s.Where, at, st.just("bits"), expressions),
    )
    return st.builds(s.Plug, at, expressions, name_nodes, st.none() | name_nodes, st.none() | where)


leaves = st.one_of(
    words.map(lambda text: s.Name(NOWHERE, text)),
    numbers,
    strings,
    names.map(lambda text: s.Slot(NOWHERE, text)),
    st.booleans().map(lambda value: s.Bool(NOWHERE, value)),
)
expressions: st.SearchStrategy[s.Expr] = st.recursive(leaves, _larger, max_leaves=24)


def _statements() -> st.SearchStrategy[s.Statement]:
    at = st.just(NOWHERE)
    assigns = st.builds(s.Assign, at, name_nodes, expressions)
    edges = st.builds(s.Edge, at, name_nodes, name_nodes, expressions)
    placed = st.builds(s.Placed, at, expressions, st.none() | expressions)
    keywords = st.sampled_from(("input", "stem", "body", "stages", "head"))
    return st.one_of(
        assigns,
        assigns,
        st.builds(s.Return, at, expressions),
        st.builds(s.Require, at, expressions, st.none() | strings),
        st.builds(s.Inputs, at, several(assigns, 1, 3)),
        st.builds(s.Nodes, at, several(name_nodes, 1, 20)),
        st.builds(s.Edges, at, several(edges, 1, 1), st.just(False)),
        st.builds(s.Edges, at, several(edges), st.just(True)),
        st.builds(s.Keep, at, expressions, name_nodes),
        st.builds(s.Part, at, keywords, expressions),
        st.builds(s.Cells, at, expressions, several(placed, 1, 3)),
        st.builds(s.Auxiliary, at, expressions, expressions, expressions, st.none() | expressions),
    )


def _items() -> st.SearchStrategy[s.Item]:
    at = st.just(NOWHERE)
    kinds = st.sampled_from(("op", "attention", "cell", "choice", "network"))
    params = st.builds(s.Param, at, names, st.none() | names, st.none() | expressions)
    settings = st.builds(s.Setting, at, names, expressions)
    lines = st.builds(s.SettingLine, at, several(settings, 1, 3))
    imported = st.builds(s.ImportName, at, several(names, 1, 2), st.none() | names)
    return st.one_of(
        st.builds(s.Version, at, st.integers(0, 99)),
        st.builds(s.Import, at, several(imported, 1)),
        st.builds(s.Section, at, st.sampled_from(("search", "train")), several(lines)),
        st.builds(s.Definition, at, kinds, name_nodes, several(params), expressions, st.none() | name_nodes),
        st.builds(
            s.Definition,
            at,
            kinds,
            name_nodes,
            several(params),
            several(_statements(), 0, 6),
            st.none(),
            st.just(()),
            several(name_nodes, 0, 2),
        ),
        st.builds(
            s.Definition, at, kinds, name_nodes, several(params), expressions, st.none(), several(_plugs(), 1, 3)
        ),
    )


files = several(_items()).map(lambda items: s.File(NOWHERE.source, items, ()))


def gaps(text: str) -> list[int]:
    """The places between tokens where a line may end without a change of meaning."""
    joins = frozenset("ARROW BAR PLUS MINUS STAR SLASH COMPARE THEN ELSE AND OR ASSIGN COMMA COLON NOT OF IN".split())
    found, opened = [], [""]
    tokens = tokenize(Source("text", text)).tokens
    for before, after in pairwise(tokens):
        if before.type in ("LPAR", "LBRACKET", "LBRACE"):
            opened.append(before.type)
        elif before.type in ("RPAR", "RBRACKET", "RBRACE"):
            opened.pop()
        before_joins = before.type in joins and after.type not in ("NAME", "NEWLINE")
        if (
            opened[-1] in ("LPAR", "LBRACKET")
            or "NEWLINE" in (before.type, after.type)
            or after.type in ("ARROW", "BAR", "PLUS", "STAR", "SLASH", "COMPARE")
            or (before_joins and before.value in ("->", "|", "+", "=", ",", ":"))
        ):
            found.append(before.end)
    return found


BREAKS = (" # c{}\n", "\n  # c{}\n", "\n\n#c{}\n\n", "\n", " \n\n\n")


@st.composite
def with_comments(draw: st.DrawFn, text: str) -> str:
    """The text with comments, blank lines and line ends between some of its tokens."""
    places = sorted(draw(st.lists(st.sampled_from(gaps(text) or [0]), max_size=12)))
    parts, start = [], 0
    for number, place in enumerate(places):
        inserted = draw(st.sampled_from(BREAKS)).format(number)
        parts += [text[start:place], inserted]
        start = place
    return "".join([*parts, text[start:]])
