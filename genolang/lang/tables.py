"""The parse tables of `geno.lark`, made by lark and kept as JSON. The only file that imports lark.

Building LALR(1) tables, and importing lark at all, costs more than parsing a usual file, so they are
built ahead (`python -m genolang.lang.tables`); a test compares the kept ones with the grammar.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from genolang.records import record

GRAMMAR = Path(__file__).with_name("geno.lark")
TABLES = Path(__file__).with_name("geno.tables.json")
STARTS = ("file", "expr")
_SUFFIXED = frozenset(("import", "return", "if", "for"))


@record(frozen=True)
class Rule:
    """A grammar rule: the TreeBuilder method for it (none where its one child passes through)."""

    method: str | None
    origin: str
    size: int


@record(frozen=True)
class Tables:
    """Per state: token or rule name -> the next state, or, below zero, -1 - the rule to reduce."""

    starts: dict[str, int]
    ends: dict[str, int]
    states: list[dict[str, int]]
    rules: list[Rule]


def build_tables() -> str:
    """The tables as JSON text, made anew from the grammar."""
    from lark import Lark
    from lark.grammar import Rule as LarkRule
    from lark.parsers.lalr_analysis import Shift

    lark = Lark(GRAMMAR.read_text("utf-8"), parser="lalr", lexer="basic", start=list(STARTS), maybe_placeholders=False)
    table = lark.parser.parser.parser.parse_table
    # In the order in which they are met from the starts: lark's own numbers differ from run to run.
    numbers = {table.start_states[start]: number for number, start in enumerate(STARTS)}
    rules: list[list[object]] = []
    known: dict[LarkRule, int] = {}
    states = []
    for state in (order := list(numbers)):
        actions = {}
        for name, (action, argument) in sorted(table.states[state].items()):
            if action is Shift:
                if argument not in numbers:
                    numbers[argument] = len(order)
                    order.append(argument)
                actions[name] = numbers[argument]
                continue
            if argument not in known:
                known[argument] = len(rules)
                rules.append([_method(argument), argument.origin.name, len(argument.expansion)])
            actions[name] = -1 - known[argument]
        states.append(actions)
    ends = {start: numbers[table.end_states[start]] for start in STARTS}
    starts = {start: numbers[table.start_states[start]] for start in STARTS}
    tables = {"starts": starts, "ends": ends, "states": states, "rules": rules}
    return json.dumps(tables, separators=(",", ":"))


def _method(rule: object) -> str | None:
    name = rule.alias or rule.origin.name  # type: ignore[attr-defined]
    if not rule.alias and rule.options.expand1 and len(rule.expansion) == 1:  # type: ignore[attr-defined]
        return None
    return f"{name}_" if name in _SUFFIXED else str(name)


@cache
def load_tables() -> Tables:
    raw = json.loads(TABLES.read_text("utf-8"))
    return Tables(raw["starts"], raw["ends"], raw["states"], [Rule(*rule) for rule in raw["rules"]])


if __name__ == "__main__":
    from genolang.files import write_text

    write_text(TABLES, build_tables())
