"""How a definition or a primitive is called, in one line."""

from __future__ import annotations

from genolang.lang import syntax as s
from genolang.primitives import REQUIRED, Field, Primitive


def definition_signature(definition: s.Definition) -> str:
    """`sep_conv(k, stride=1)`, as the definition is written."""
    if not definition.params:
        return definition.name.id
    return f"{definition.name.id}({', '.join(map(_param, definition.params))})"


def _param(param: s.Param) -> str:
    from genolang.lang.printer import print_expression

    kind = f": {param.kind}" if param.kind else ""
    return f"{param.name}{kind}" + (f"={print_expression(param.default)}" if param.default else "")


def primitive_signature(primitive: Primitive) -> str:
    """`conv(k, out, stride=1, ...)`; fields without a default in it are required or filled in."""
    shown = [_field(f) for f in primitive.fields if f.name != "constant"]
    return f"{primitive.name}({', '.join(shown)})" if shown else primitive.name


def _field(field: Field) -> str:
    if field.default is REQUIRED or field.default is None:
        return field.name
    default = field.default
    return f"{field.name}={str(default).lower() if isinstance(default, bool) else default}"


def reads(signature: str) -> str:
    """The help line for a call that does not fit."""
    return f"it reads `{signature}`" if "(" in signature else f"`{signature}` takes no arguments"
