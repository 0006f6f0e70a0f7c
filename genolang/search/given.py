"""What a search was given for its network's parameters (`--set`), as text of the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from genolang.diagnostics import Source
from genolang.lang import syntax as s
from genolang.lang.parser import parse_expression
from genolang.semantics.canonical import resolve
from genolang.semantics.check import takes_text
from genolang.semantics.modules import DefinitionRef, Module


def with_given(item: s.Definition, module: Module, given: Mapping[str, Any]) -> s.Definition:
    """A network whose parameters have the given values by themselves, be they its own or of the network
    that it stands for."""
    ref = module.definitions[item.name.id]
    words = {name: placed(_expression(ref, name, value), item.name.span) for name, value in given.items()}
    params = tuple(replace(p, default=words.pop(p.name)) if p.name in words else p for p in item.params)
    body = item.body
    if words and not isinstance(body, tuple):
        call = body if isinstance(body, s.Call) else s.Call(body.span, body, ())
        named = _named(call, module)
        kept = tuple(arg for arg in named if arg.name not in words)
        more = tuple(s.Arg(call.span, name, value) for name, value in words.items())
        body = replace(call, args=(*kept, *more))
    return replace(item, params=params, body=body)


def _named(call: s.Call, module: Module) -> tuple[s.Arg, ...]:
    """The arguments of a call of a network, all by name."""
    target = resolve(call.callee, module)
    names = [p.name for p in target.value_params] if isinstance(target, DefinitionRef) else []
    free = iter([name for name in names if name not in {arg.name for arg in call.args}])
    return tuple(replace(arg, name=arg.name or next(free, None)) for arg in call.args)


def _expression(ref: DefinitionRef, name: str, value: Any) -> s.Expr:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    expr = parse_expression(Source(f"--set {name}", text))
    if isinstance(expr, s.Name) and takes_text(ref, name):
        return s.String(expr.span, expr.id)
    return expr


def placed(node: Any, span: Any) -> Any:
    """A tree that stands at other words, so that comments keep their neighbours."""
    if isinstance(node, tuple):
        return tuple(placed(item, span) for item in node)
    if not isinstance(node, s.Node):
        return node
    changes = {f.name: placed(getattr(node, f.name), span) for f in fields(node) if f.name != "span"}
    return replace(node, span=span, **changes)
