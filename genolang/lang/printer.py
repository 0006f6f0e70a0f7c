"""Expressions back to text on one line, with no more brackets than needed."""

from __future__ import annotations

from genolang.lang import syntax as s

_LEVELS = {"or": 3, "and": 4, "==": 6, "!=": 6, "<": 6, "<=": 6, ">": 6, ">=": 6, "+": 7, "-": 7,
           "*": 8, "/": 8, "//": 8, "%": 8}  # fmt: skip
_ASSOCIATIVE = {"+", "*", "and", "or"}


def level(expr: s.Expr) -> int:
    """How tightly an expression binds: a looser one needs brackets inside a tighter one."""
    match expr:
        case s.If() | s.For():
            return 0
        case s.Alternatives():
            return 1
        case s.Pipeline():
            return 2
        case s.Infix():
            return _LEVELS[expr.operator]
        case s.Prefix():
            return 5 if expr.operator == "not" else 9
        case _:
            return 10


def print_expression(expr: s.Expr) -> str:
    """The one canonical form of an expression."""
    match expr:
        case s.Number():
            return number_text(expr)
        case s.String():
            return f'"{expr.value}"'
        case s.Bool():
            return "true" if expr.value else "false"
        case s.Name():
            return expr.id
        case s.Attribute():
            return f"{at_least(expr.base, 10)}.{expr.name}"
        case s.Index():
            return f"{at_least(expr.base, 10)}[{print_expression(expr.index)}]"
        case s.Call():
            return f"{at_least(expr.callee, 10)}({', '.join(map(print_arg, expr.args))})"
        case s.Sequence():
            return _sequence(expr)
        case s.Pipeline():
            return " -> ".join(at_least(stage, 3) for stage in expr.stages)
        case s.Alternatives():
            return " | ".join(at_least(option, 2) for option in expr.options)
        case s.Infix():
            return print_infix(expr)
        case s.Prefix():
            word = "not " if expr.operator == "not" else expr.operator
            return word + at_least(expr.operand, 5 if expr.operator == "not" else 9)
        case s.If():
            return (
                f"if {print_expression(expr.condition)} then {print_expression(expr.then)}"
                f" else {print_expression(expr.otherwise)}"
            )
        case s.For():
            names = ", ".join(n.id for n in expr.names)
            return f"for {names} in {at_least(expr.values, 1)} : {print_expression(expr.body)}"


def number_text(number: s.Number) -> str:
    """As written, in lower case `e`, with a digit before the point."""
    text = number.text.replace("E", "e")
    return f"0{text}" if text.startswith(".") else text


def at_least(expr: s.Expr, minimum: int) -> str:
    text = print_expression(expr)
    return text if level(expr) >= minimum else f"({text})"


def print_arg(arg: s.Arg) -> str:
    text = print_expression(arg.value)
    return text if arg.name is None else f"{arg.name}={text}"


def print_infix(expr: s.Infix) -> str:
    own = _LEVELS[expr.operator]
    # Comparisons do not chain, so both sides bind tighter; of the others the left side may be equal.
    first = own + 1 if own == 6 else own
    parts = [at_least(expr.operands[0], first)]
    parts += [at_least(operand, own + 1) for operand in expr.operands[1:]]
    if isinstance(expr.operands[0], s.Infix) and expr.operands[0].operator == expr.operator:
        # A flat sign inside itself was written with brackets: keep the tree's shape.
        if expr.operator in _ASSOCIATIVE:
            parts[0] = f"({print_expression(expr.operands[0])})"
    sign = f" {expr.operator} "
    if expr.operator in ("/", "*") and all(level(o) == 10 and _short(o) for o in expr.operands):
        sign = expr.operator if expr.operator == "/" else " * "
    return sign.join(parts)


def _short(expr: s.Expr) -> bool:
    return isinstance(expr, (s.Number, s.Name, s.Attribute))


def _sequence(expr: s.Sequence) -> str:
    items = ", ".join(map(print_expression, expr.items))
    if expr.brackets:
        return f"[{items}]"
    return f"({items},)" if len(expr.items) == 1 else f"({items})"
