"""One form for expressions that mean the same: arguments by name, defaults left out."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import fields, replace
from typing import Any

from genolang.lang import syntax as s
from genolang.primitives import PRIMITIVES, Primitive
from genolang.semantics.modules import DefinitionRef, Module, core_names

Resolved = DefinitionRef | Primitive | None


def resolve(callee: s.Expr, module: Module, local: Collection[str] = ()) -> Resolved:
    """What a name stands for in a file, apart from names that are `local` to a definition."""
    match callee:
        case s.Name(id=name) if name not in local:
            found = module.lookup(name)
            if found:
                return found[0]
            return PRIMITIVES[name] if name in core_names() else None
        case s.Attribute(base=s.Name(id="core"), name=name):
            return PRIMITIVES.get(name)
        case s.Attribute(base=s.Name(id=alias), name=name) if alias in module.aliases:
            return module.aliases[alias].definitions.get(name)
    return None


def canonical(node: Any, module: Module, local: Collection[str] = ()) -> Any:
    """A tree with its calls in one form: `sep_conv(3, stride=1)` is `sep_conv(k=3)`, `f()` is `f`.

    Only literals in front are given the names of their parameters, since anything else may be a map. A
    name behind an alias of the library stands by itself.
    """
    if isinstance(node, tuple):
        return tuple(canonical(item, module, local) for item in node)
    if not isinstance(node, s.Node):
        return node
    changes = {f.name: canonical(getattr(node, f.name), module, local) for f in fields(node) if f.name != "span"}
    if isinstance(node, s.Call):
        args = _arguments(changes["args"], resolve(node.callee, module, local))
        if not args:
            return changes["callee"]
        changes["args"] = args
    if isinstance(node, s.Attribute):
        target = resolve(node, module, local)
        if isinstance(target, DefinitionRef) and target.module.source.library:
            return s.Name(node.span, node.name)
    return replace(node, **changes)


def _arguments(args: tuple[s.Arg, ...], target: Resolved) -> tuple[s.Arg, ...]:
    defaults = dict(_parameters(target))
    if not defaults:
        return args
    found: list[s.Arg] = []
    free = iter([name for name in defaults if name not in {arg.name for arg in args}])
    naming = True
    for arg in args:
        naming = naming and (arg.name is not None or _literal(arg.value))
        name = next(free, None) if arg.name is None and naming else arg.name
        arg = replace(arg, name=name)
        if name is None or not _same(arg.value, defaults.get(name)):
            found.append(arg)
    return tuple(sorted(found, key=lambda arg: arg.name or ""))


def _parameters(target: Resolved) -> Iterator[tuple[str, Any]]:
    if isinstance(target, Primitive):
        yield from ((f.name, f.default) for f in target.fields if f.name != "constant")
    elif target is not None:
        yield from ((p.name, p.default) for p in target.value_params)


def _literal(value: s.Expr) -> bool:
    return isinstance(value, (s.Number, s.Bool)) or (isinstance(value, s.Sequence) and all(map(_literal, value.items)))


def _same(value: s.Expr, default: Any) -> bool:
    """Whether an argument is its parameter's default, as far as one can see without computing."""
    if isinstance(default, s.Node):
        return _literal(value) and value == default
    return isinstance(value, (s.Number, s.Bool)) and type(value.value) is type(default) and (value.value == default)
