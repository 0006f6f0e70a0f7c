"""Everything that can be said about a file before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from genolang.diagnostics import Diagnostic, GenoError, Label, Source, Span, did_you_mean, fail
from genolang.lang import syntax as s
from genolang.lang.limits import limit
from genolang.lang.parser import parse_expression
from genolang.primitives import PRIMITIVES, MapType
from genolang.semantics.expansion.builder import MapValue
from genolang.semantics.expansion.networks import NetworkBuilder
from genolang.semantics.expansion.state import Budget
from genolang.semantics.expansion.values import PrimitiveOp
from genolang.semantics.modules import DefinitionRef, Module, load_module
from genolang.semantics.names import check_names
from genolang.semantics.program import Block, Program
from genolang.semantics.reach import reach, searching
from genolang.semantics.sections import names_networks, read_section


class Checked:
    """A loaded file with its diagnostics and the networks that could be expanded."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.diagnostics: list[Diagnostic] = list(module.all_diagnostics)
        self.programs: dict[str, Program] = {}

    @property
    def ok(self) -> bool:
        return not any(d.severity == "error" for d in self.diagnostics)


def check_source(source: Source, path: Path | None = None) -> Checked:
    """Check a file: text, names, sections, and every network at its default parameters."""
    checked = Checked(load_module(source, path))
    if len(checked.diagnostics) < limit("problems"):
        _check_module(checked)
    checked.diagnostics.sort(key=lambda d: _place(d, source))
    _shorten(checked.diagnostics)
    return checked


def _place(diagnostic: Diagnostic, source: Source) -> tuple[bool, str, int]:
    """Diagnostics of this file in its order, those of other files after it."""
    if diagnostic.span is None:
        return True, "", 0
    return diagnostic.span.source is not source, diagnostic.span.source.name, diagnostic.span.start


def _shorten(diagnostics: list[Diagnostic]) -> None:
    most = limit("problems")
    more = len(diagnostics) - most
    if more > 0:
        del diagnostics[most:]
        last = diagnostics[-1]
        diagnostics[-1] = replace(last, notes=(*last.notes, f"{more} or more further problems are not shown"))


def _check_module(checked: Checked) -> None:
    module = checked.module
    found, bad = check_names(module)
    checked.diagnostics += found
    for kind in ("search", "train"):
        sections = module.sections(kind)
        for section in sections:
            checked.diagnostics += read_section(section)[1]
        for extra in sections[1:]:
            checked.diagnostics.append(
                Diagnostic(
                    "G412", f"a file has one `{kind}` section", extra.span, (Label(sections[0].span, "first here"),)
                )
            )
    search, train = module.sections("search"), module.sections("train")
    if names_networks((*search, *train)):
        # Most files do not, and need not pay for the import.
        from genolang.semantics.recipes import check_recipes

        checked.diagnostics += check_recipes(module, search, train)
    _expand_networks(checked, bad)


def _expand_networks(checked: Checked, bad: set[DefinitionRef]) -> None:
    """Expand every network whose text is in order, and the modules that no network uses."""
    module = checked.module
    expanded: set[str] = set()
    failed: set[DefinitionRef] = set()
    closed: dict[bool, dict[object, Block]] = {True: {}, False: {}}
    budget = Budget()
    builders: list[NetworkBuilder] = []
    for ref in module.definitions.values():
        if ref.kind != "network" or not is_complete(ref) or bad & reach(ref) or budget.left < 0:
            continue
        if len(checked.diagnostics) >= limit("problems"):
            return
        builder, program = _built(module, ref, {}, _meanings(ref), closed, budget)
        builders.append(builder)
        new = [d for d in builder.expansion.diagnostics if d not in checked.diagnostics]
        checked.diagnostics += new
        expanded |= {block.name for block in builder.expansion.memo.values()}
        if program is not None:
            checked.programs[ref.name] = program
        else:
            failed |= reach(ref)
    expanded |= {block.name for blocks in closed.values() for block in blocks.values()}
    checked.diagnostics += _spread_and_given(builders)
    if not module.source.library and budget.left > 0:
        _try_alone(checked, expanded, failed, bad, budget)
        _try_unused(checked, bad, budget)


def _built(
    module: Module,
    ref: DefinitionRef,
    given: dict[str, Any],
    meanings: tuple[bool, ...],
    closed: dict[bool, dict[object, Block]] | None = None,
    budget: Budget | None = None,
) -> tuple[NetworkBuilder, Program | None]:
    """A network expanded with the first meaning of `searching` that leaves a choice open, else the last."""
    for open_ in meanings:
        builder = NetworkBuilder(
            module, searching=open_, closed=None if closed is None else closed[open_], budget=budget
        )
        program = builder.build(ref, given, ref.syntax.name.span)
        if program is None or any(not choice.plug for choice in program.choices.values()):
            break
    return builder, program


def _meanings(ref: DefinitionRef) -> tuple[bool, ...]:
    """What `searching` may mean in a network's text, which may lead to a choice by name without using it:
    `if stride == 1 then a else choice_of_b`."""
    return (True, False) if searching(ref) else (False,)


def _spread_and_given(builders: list[NetworkBuilder]) -> list[Diagnostic]:
    """Parameters whose default is decided edge by edge, though another use of the cell gives them."""
    spread = {key: span for b in builders for key, span in b.expansion.spread.items()}
    given = {key: span for b in builders for key, span in b.expansion.given.items()}
    return [
        Diagnostic(
            "G422",
            f"`{name}` of `{ref.name}` is decided edge by edge here, but given elsewhere",
            span,
            (Label(given[ref, name], "given here"),),
            help="write the choice on the edges themselves, or give the parameter everywhere",
        )
        for (ref, name), span in spread.items()
        if (ref, name) in given
    ]


def is_complete(ref: DefinitionRef) -> bool:
    """Whether every parameter has a default, so that a network stands by itself."""
    return all(p.default is not None for p in ref.syntax.params)


PLACE = Span(Source("<tried>", "identity"), 0, 8)
TRIAL = MapType(64, 16, 16)
TRIALS = 40


def _try_alone(
    checked: Checked, expanded: set[str], failed: set[DefinitionRef], bad: set[DefinitionRef], budget: Budget
) -> None:
    """Expand attention modules that no network uses on a 64x16x16 map, which most take.

    One that does not may be made for the maps of this file, as those that an answer leaves out are:
    it must take one of the maps of the file's networks.
    """
    for ref in checked.module.definitions.values():
        complete = is_complete(ref) and ref.map_params == ["x"]
        if ref.kind != "attention" or not complete or ref.name in expanded or bad & reach(ref):
            continue
        if len(checked.diagnostics) >= limit("problems") or budget.left < 0:
            return
        builder = _try(checked.module, ref, TRIAL, budget)
        if builder.expansion.diagnostics:
            blocks = [block for program in checked.programs.values() for block in program.block.walk()]
            maps = dict.fromkeys(n.type for b in blocks for n in b.nodes if not n.type.is_vector)
            others = [map for map in maps if map != TRIAL][: TRIALS - 1]
            if any(not _try(checked.module, ref, map, budget).expansion.diagnostics for map in others):
                continue
        # A network that has a mistake may use it, and may have said the same.
        said = {(d.code, d.span) for d in checked.diagnostics}
        unused = "no network here uses `{}`, so it" if ref not in failed else "`{}`"
        note = f"{unused.format(ref.name)} was tried on a map of {TRIAL}"
        found = [replace(d, notes=(*d.notes, note)) for d in builder.expansion.diagnostics]
        checked.diagnostics += [d for d in found if (d.code, d.span) not in said]


# Maps and, for parameters without a default, values that a definition which nothing uses is tried on.
_MAPS = (TRIAL, MapType(48, 7, 7), MapType(512, 1, 1))
_VALUES: tuple[Any, ...] = (PrimitiveOp(PLACE, PRIMITIVES["identity"], ()), 2, (2, 4), True, "a")
# What may be due to these maps, and what is due to no value whatever it is.
_OF_MAPS = ("G3", "G212")
_OF_THE_TEXT = ("G101", "G105", "G202", "G203", "G204")


def _try_unused(checked: Checked, bad: set[DefinitionRef], budget: Budget) -> None:
    """Expand operations and cells that no network's text leads to, on maps and values that stand for others.

    What is wrong with all of them at the same words is said: none of it depends on what they are given.
    """
    module = checked.module
    used = {found for ref in module.definitions.values() if ref.kind == "network" for found in reach(ref)}
    for ref in module.definitions.values():
        if ref in used or ref.kind not in ("op", "cell") or ref.syntax.states or bad & reach(ref):
            continue
        missing = [p.name for p in ref.value_params if p.default is None]
        common: dict[tuple[str, Any], Diagnostic] | None = None
        for type in _MAPS:
            for value in _VALUES if missing else _VALUES[:1]:
                if len(checked.diagnostics) >= limit("problems") or budget.left < 0:
                    return
                builder = _try(module, ref, type, budget, dict.fromkeys(missing, value))
                found = {(d.code, d.span): d for d in builder.expansion.diagnostics}
                common = found if common is None else {key: common[key] for key in common if key in found}
        said = {(d.code, d.span) for d in checked.diagnostics}
        for (code, span), diagnostic in (common or {}).items():
            certain = code in _OF_THE_TEXT if missing else not code.startswith(_OF_MAPS)
            if certain and (code, span) not in said:
                note = f"no network here uses `{ref.name}`, so it was tried on maps and values of several kinds"
                checked.diagnostics.append(replace(diagnostic, notes=(*diagnostic.notes, note)))


def _try(
    module: Module, ref: DefinitionRef, type: MapType, budget: Budget, given: Mapping[str, Any] | None = None
) -> NetworkBuilder:
    """A definition put to maps of one shape by itself; diagnostics gather in the builder's expansion."""
    builder = NetworkBuilder(module, searching=searching(ref), budget=budget)
    span = ref.syntax.name.span
    with builder.expansion.reporting(span):
        builder.block(ref, given or {}, [type] * len(ref.map_params))
    return builder


def find_network(module: Module, name: str | None) -> DefinitionRef:
    """The network of that name, or the file's only (or last) one. Errors: G101, G408."""
    networks = {r.name: r for r in module.definitions.values() if r.kind == "network"}
    if name is not None:
        if name in networks:
            return networks[name]
        raise fail(
            "G408",
            f"{module.source.name} has no network `{name}`",
            help=did_you_mean(name, networks) or f"it has {', '.join(networks) or 'none'}",
        )
    complete = [r for r in networks.values() if is_complete(r)]
    if not complete:
        raise fail("G408", f"{module.source.name} has no network", help="define one: `network n { ... }`")
    if len(complete) > 1:
        raise fail(
            "G409",
            f"{module.source.name} has several networks",
            complete[1].syntax.name.span,
            help=f"say which: --network {' | '.join(r.name for r in complete)}",
        )
    return complete[0]


def expand_network(
    checked: Checked, name: str | None, given: Mapping[str, Any], *, searching: bool | None = None
) -> Program:
    """A network at the given parameters, expanded; `searching` is what that word means there, by default
    whether a choice is open. Raises GenoError with all its problems."""
    if not checked.ok:
        raise GenoError([d for d in checked.diagnostics if d.severity == "error"])
    ref = find_network(checked.module, name)
    if not given and searching is None and ref.name in checked.programs:
        return checked.programs[ref.name]
    builder = NetworkBuilder(checked.module, searching=bool(searching))
    values = {key: _value(builder, ref, key, value) for key, value in given.items()}
    meanings = _meanings(ref) if searching is None else (searching,)
    builder, program = _built(checked.module, ref, values, meanings)
    if program is None or builder.expansion.diagnostics:
        raise GenoError(builder.expansion.diagnostics)
    conflicts = _spread_and_given([builder])
    if conflicts:
        raise GenoError(conflicts)
    return program


def takes_text(ref: DefinitionRef, key: str) -> bool:
    """Whether a network, or one that it stands for, has text as a parameter's default."""
    networks = (found.syntax for found in reach(ref) if found.kind == "network")
    return any(p.name == key and isinstance(p.default, s.String) for n in networks for p in n.params)


def _value(builder: NetworkBuilder, ref: DefinitionRef, key: str, value: Any) -> Any:
    """A parameter from Python or the command line; text is an expression of the language, but a bare
    word stands for itself where the parameter's default is text."""
    if isinstance(value, float):
        value = repr(value)
    if not isinstance(value, str):
        if isinstance(value, (bool, int)):
            return value
        raise fail("G205", f"`{key}` is a number, true, false or text, not {type(value).__name__}")
    source = Source(f"--set {key}", value)
    expr = parse_expression(source)
    if isinstance(expr, s.Name) and takes_text(ref, key):
        return expr.id
    found = builder.frame(ref.module, ref.name).evaluate(expr)
    if isinstance(found, MapValue):
        raise fail("G205", f"`{key}` cannot be a feature map")
    return found
