"""`search { }` and `train { }` to settings. Errors: G501 to G504, each at its words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from fractions import Fraction
from typing import Any

from genolang.diagnostics import Diagnostic, GenoError, Label, did_you_mean, fail
from genolang.lang import syntax as s
from genolang.lang.limits import limit
from genolang.semantics.settings import (
    Augmentation,
    OptimizerSettings,
    Schedule,
    SearchSettings,
    TrainSettings,
)

Read = Callable[[s.Expr], Any]

# What each optimiser and schedule takes, in the order of positional arguments.
_OPTIMIZERS = {
    "sgd": ("lr", "momentum", "decay", "nesterov", "clip"),
    "adam": ("lr", "betas", "decay", "eps", "clip"),
    "adamw": ("lr", "betas", "decay", "eps", "clip"),
    "rmsprop": ("lr", "alpha", "momentum", "decay", "eps", "clip"),
}
_SCHEDULES = {
    "constant": ("start", "warmup"),
    "cosine": ("start", "end", "warmup"),
    "linear": ("start", "end", "warmup"),
    "step": ("start", "factor", "at", "warmup"),
    "exponential": ("start", "factor", "warmup"),
}
_AUGMENTATIONS = {"flip": None, "crop": 4.0, "shift": 0.15, "cutout": 16.0}
_METHODS = ("darts",)


def _bad(expr: s.Expr, wanted: str, example: str) -> GenoError:
    return fail("G503", f"{wanted} is needed here, not `{expr.span.text[:50]}`", expr.span,
                help=f"for example {example}")  # fmt: skip


def _number(expr: s.Expr) -> float | int | Fraction:
    if isinstance(expr, s.Number):
        return expr.value
    if isinstance(expr, s.Prefix) and expr.operator == "-":
        return -_number(expr.operand)
    if isinstance(expr, s.Infix) and expr.operator == "/":
        below = _number(expr.operands[1])
        if below != 0:
            return Fraction(_number(expr.operands[0])) / Fraction(below)
    raise _bad(expr, "a number", "0.025")


def _float(value: float | int | Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def real(low: float, high: float, *, open_low: bool = False) -> Read:
    def read(expr: s.Expr) -> float:
        value = _float(_number(expr))
        if not low <= value <= high or (open_low and value == low):
            raise fail("G503", f"{value:g} is outside of {low:g} to {high:g}", expr.span)
        return value

    return read


def count(low: int, high: int = 10**9) -> Read:
    def read(expr: s.Expr) -> int:
        value = _number(expr)
        if not isinstance(value, int) or not low <= value <= high:
            raise fail("G503", f"a whole number from {low} to {high} is needed here, not"
                       f" `{expr.span.text[:50]}`", expr.span)  # fmt: skip
        return value

    return read


def _flag(expr: s.Expr) -> bool:
    if isinstance(expr, s.Bool):
        return expr.value
    raise _bad(expr, "true or false", "`true`")


def word(*options: str) -> Read:
    def read(expr: s.Expr) -> str:
        name = expr.id if isinstance(expr, s.Name) else None
        if name in options:
            return str(name)
        listed = " or ".join(f"`{o}`" for o in options)
        raise fail("G503", f"{listed} is needed here", expr.span,
                   help=did_you_mean(name or "", options))  # fmt: skip

    return read


def _data(expr: s.Expr) -> str:
    if isinstance(expr, s.String):
        return expr.value
    if isinstance(expr, s.Name):
        return expr.id
    raise _bad(expr, "the name of a data set", '`digits` or `"cifar10:folder"`')


def _items(expr: s.Expr) -> tuple[s.Expr, ...]:
    return expr.items if isinstance(expr, s.Sequence) else (expr,)


def _arguments(expr: s.Call, names: tuple[str, ...]) -> dict[str, s.Expr]:
    """Arguments of a setting's call by name."""
    found: dict[str, s.Expr] = {}
    free = list(names)
    for arg in expr.args:
        name = arg.name or (free[0] if free else None)
        if name is None or name not in names:
            raise fail("G501", f"no argument `{arg.name or arg.value.span.text[:40]}` here", arg.span,
                       help=did_you_mean(arg.name or "", names)
                       or f"it takes {', '.join(names)}")  # fmt: skip
        if name in found:
            raise fail("G502", f"`{name}` is given twice", arg.span)
        found[name] = arg.value
        free = [n for n in free if n != name]
    return found


def _callee(expr: s.Expr, table: Mapping[str, Any], what: str) -> tuple[str, s.Call]:
    if isinstance(expr, s.Name):
        expr = s.Call(expr.span, expr, ())
    if not isinstance(expr, s.Call) or not isinstance(expr.callee, s.Name):
        raise _bad(expr, f"a {what}", f"`{next(iter(table))}(...)`")
    name = expr.callee.id
    if name not in table:
        raise fail("G504", f"there is no {what} called `{name[:40]}`", expr.callee.span,
                   help=did_you_mean(name, table) or f"there are {', '.join(table)}")  # fmt: skip
    return name, expr


def schedule(expr: s.Expr) -> Schedule:
    """A number, or `cosine(0.025, 0.001)`, `linear`, `step`, `exponential`, each with `warmup=`."""
    if isinstance(expr, (s.Number, s.Prefix, s.Infix)):
        return Schedule("constant", real(0, 1e6)(expr))
    name, call = _callee(expr, _SCHEDULES, "schedule")
    values: dict[str, Any] = {}
    for key, value in _arguments(call, _SCHEDULES[name]).items():
        if key == "at":
            values[key] = tuple(count(0)(item) for item in _items(value))
        else:
            values[key] = real(0, 1e6)(value)
    if "start" not in values:
        raise fail("G503", f"`{name}` needs its first value", call.span, help=f"`{name}(0.025, ...)`")
    return Schedule(name, **values)  # type: ignore[arg-type]


def optimizer(expr: s.Expr) -> OptimizerSettings:
    """`sgd(lr=cosine(0.025, 0.001), momentum=0.9, decay=3e-4, clip=5)` and the like."""
    name, call = _callee(expr, _OPTIMIZERS, "optimiser")
    readers: dict[str, Read] = {
        "lr": schedule, "momentum": real(0, 1), "decay": real(0, 10), "nesterov": _flag,
        "clip": real(0, 1e9, open_low=True), "betas": _betas, "eps": real(0, 1, open_low=True),
        "alpha": real(0, 1),
    }  # fmt: skip
    given = _arguments(call, _OPTIMIZERS[name])
    values = {key: readers[key](value) for key, value in given.items()}
    if "lr" not in values:
        raise fail("G503", f"`{name}` needs a learning rate", call.span, help=f"`{name}(lr=0.1)`")
    if name in ("sgd", "rmsprop"):
        values.setdefault("momentum", 0.0)
    if values.get("nesterov") and not values["momentum"]:
        raise fail("G503", "Nesterov's step needs a momentum", call.span, help="`momentum=0.9`")
    return OptimizerSettings(name, **values)  # type: ignore[arg-type]


def _betas(expr: s.Expr) -> tuple[float, float]:
    items = _items(expr)
    if len(items) != 2:
        raise _bad(expr, "a pair of numbers", "`(0.9, 0.999)`")
    first, second = (real(0, 1)(item) for item in items)
    if first >= 1 or second >= 1:
        raise fail("G503", "both must be below 1", expr.span)
    return first, second


def augmentations(expr: s.Expr) -> tuple[Augmentation, ...]:
    """`[crop(4), flip, shift(0.15), cutout(16)]`, in any order."""
    found = []
    for item in _items(expr):
        name, call = _callee(item, _AUGMENTATIONS, "augmentation")
        amounts = _arguments(call, ("amount",) if name != "flip" else ())
        default = _AUGMENTATIONS[name] or 0.0
        limit = 1.0 if name == "shift" else 512
        amount = real(0, limit)(amounts["amount"]) if amounts else default
        found.append(Augmentation(name, amount))  # type: ignore[arg-type]
    return tuple(found)


def _method(expr: s.Expr) -> dict[str, Any]:
    name, call = _callee(expr, dict.fromkeys(_METHODS), "search method")
    values: dict[str, Any] = {"method": name}
    for key, value in _arguments(call, ("order",)).items():
        if isinstance(value, s.Name):
            values[key] = {"first": 1, "second": 2}[word("first", "second")(value)]
        else:
            values[key] = count(1, 2)(value)
    return values


_SEED = count(0, 2**31 - 1)
_SHARED: dict[str, Read] = {
    "data": _data, "epochs": count(1, 100_000), "batch": count(2, 100_000), "seed": _SEED,
    "augment": augmentations, "precision": word("auto", "float32"),
}  # fmt: skip
SEARCH: dict[str, Read] = _SHARED | {
    "method": _method, "split": real(0.05, 0.95), "weights": optimizer, "choices": optimizer,
    "init": real(0, 10), "choices_start": count(0), "fresh_validation": _flag,
    "unrolled_radius": real(0, 1, open_low=True), "seeds": count(1, 1000), "random": count(0, 1000),
    "score": optimizer, "score_epochs": count(1, 100_000),
}  # fmt: skip
TRAIN: dict[str, Read] = _SHARED | {
    "split": real(0, 0.95), "optimizer": optimizer, "drop_path": schedule,
    "label_smoothing": real(0, 0.99), "patience": count(1),
}  # fmt: skip
_TABLES: dict[str, dict[str, Read]] = {"search": SEARCH, "train": TRAIN}


def read_section(section: s.Section) -> tuple[dict[str, Any], list[Diagnostic]]:
    """The values a section gives, and what is wrong with it."""
    table = _TABLES[section.kind]
    values: dict[str, Any] = {}
    found: list[Diagnostic] = []
    seen: dict[str, s.Setting] = {}
    for line in section.lines:
        for setting in line.settings:
            if len(found) >= limit("problems"):
                break
            try:
                if setting.name not in table:
                    raise fail("G501", f"`{section.kind}` has no setting `{setting.name}`", setting.span,
                               help=did_you_mean(setting.name, table))  # fmt: skip
                if setting.name in seen:
                    raise fail("G502", f"`{setting.name}` is set twice", setting.span,
                               labels=[Label(seen[setting.name].span, "first here")])  # fmt: skip
                seen[setting.name] = setting
                value = table[setting.name](setting.value)
                values.update(value if setting.name == "method" else {setting.name: value})
            except GenoError as error:
                found += error.diagnostics
    return values, found


def _settings(kind: str, sections: list[s.Section], changes: Mapping[str, Any], record: type) -> Any:
    values: dict[str, Any] = {}
    problems: list[Diagnostic] = []
    for section in sections:
        given, found = read_section(section)
        values |= given
        problems += found
    if problems:
        raise GenoError(problems)
    names = {f.name for f in fields(record)}
    assert set(values) <= names, f"settings of {kind} that {record.__name__} lacks"
    return record(**(values | dict(changes)))


def search_settings(sections: list[s.Section], changes: Mapping[str, Any]) -> SearchSettings:
    """The settings of a file's `search` section, with some changed. Errors: G501 to G504."""
    found: SearchSettings = _settings("search", sections, changes, SearchSettings)
    return found


def train_settings(sections: list[s.Section], changes: Mapping[str, Any]) -> TrainSettings:
    """The settings of a file's `train` section, with some changed. Errors: G501 to G504."""
    found: TrainSettings = _settings("train", sections, changes, TrainSettings)
    return found
