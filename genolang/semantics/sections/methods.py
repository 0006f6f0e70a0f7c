"""How the method of a `search` section is read. Errors: G501 to G504, each at its words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from genolang.diagnostics import did_you_mean, fail
from genolang.lang import syntax as s
from genolang.semantics.methods import ALL, EAN_TEXT, EVALUATIONS, METHODS, SAMPLED, AllSettings, EanSettings, Method
from genolang.semantics.sections.readers import Read, arguments, callee, count, flag, items, real, word

_SHARE, _WEIGHT, _SIZE = real(0, 1), real(0, 1e6), count(1, 10_000)
_OBJECTIVE: dict[str, Read] = {"accuracy": _WEIGHT, "sparsity": _WEIGHT}
_STEPS: dict[str, Read] = {"steps": count(1, 10**6), "samples": count(1, 1000)}
_CONTROLLER: dict[str, Read] = {
    "hidden": _SIZE,
    "temperature": real(0, 1e3, open_low=True),
    "lr": real(0, 10, open_low=True),
    "baseline": real(0, 0.9999),
    "answer": word("reward", "probability"),
}
_BUDGET: dict[str, Read] = {"evaluations": count(1, 10**7)}
_READERS: dict[str, dict[str, Read]] = {
    "ean": _STEPS
    | _OBJECTIVE
    | _CONTROLLER
    | {
        "offset": _WEIGHT,
        "bonus": _WEIGHT,
        "bonus_over": word("step", "scheme"),
        "inputs": _SIZE,
        "output": word("softmax", "sigmoid"),
        "rnd_hidden": _SIZE,
        "rnd_outputs": _SIZE,
        "buffer": count(1, 10**6),
        "replay_from": count(0),
        "replay_weight": _WEIGHT,
        "replay_bonus": flag,
        "clip": real(0, 0.99),
    },
    "enas": _STEPS | _OBJECTIVE | _CONTROLLER | {"tanh": _WEIGHT, "entropy": _WEIGHT},
    "genetic": _BUDGET
    | _OBJECTIVE
    | {"population": count(2, 10**5), "tournament": _SIZE, "crossover": _SHARE, "mutation": _SHARE},
    "evolution": _BUDGET | _OBJECTIVE | {"population": count(2, 10**5), "sample": _SIZE},
    "random": _BUDGET | _OBJECTIVE,
    "heuristic": {"every": _SIZE, "offset": count(0, 10_000)} | _OBJECTIVE,
}


def read_method(expr: s.Expr) -> dict[str, Any]:
    """`darts(order=second)`, `ean(preset=text, steps=200)`, `all(evaluations=300)` and the like."""
    found = _read(expr)
    return {"method": found.method, "order": found.order, "sampling": found.sampling}


def _read(expr: s.Expr) -> Method:
    name, call = callee(expr, dict.fromkeys(METHODS), "search method")
    if name == "darts":
        given = arguments(call, ("order",))
        return Method(name, _order(given["order"]) if given else 1)
    if name == "all":
        return Method(name, sampling=_all(call))
    readers = _READERS[name]
    base: Any = SAMPLED[name]()
    given = arguments(call, ("preset", *readers) if name == "ean" else tuple(readers))
    if "preset" in given:
        base = _preset(given.pop("preset"))
    return Method(name, sampling=replace(base, **{key: readers[key](value) for key, value in given.items()}))


def _order(expr: s.Expr) -> Literal[1, 2]:
    if isinstance(expr, s.Name):
        return 1 if word("first", "second")(expr) == "first" else 2
    return 1 if count(1, 2)(expr) == 1 else 2


def _preset(expr: s.Expr) -> EanSettings:
    name = expr.value if isinstance(expr, s.String) else expr.id if isinstance(expr, s.Name) else ""
    presets = {"code": EanSettings(), "text": EAN_TEXT}
    if name not in presets:
        raise fail("G503", "a preset is `code` or `text`", expr.span, help=did_you_mean(name, presets))
    return presets[name]


def _all(call: s.Call) -> AllSettings:
    given = arguments(call, ("evaluations", "methods"))
    evaluations = _BUDGET["evaluations"](given["evaluations"]) if "evaluations" in given else EVALUATIONS
    if "methods" not in given:
        return AllSettings(evaluations, ALL)
    found = tuple(_read(item) for item in items(given["methods"]))
    for method, item in zip(found, items(given["methods"]), strict=True):
        if method.method == "all":
            raise fail("G503", "`all` cannot be one of its own methods", item.span)
        if found.count(method) > 1:
            raise fail("G502", f"`{method}` is listed twice", item.span)
    if not found:
        raise fail("G503", "at least one method is needed here", given["methods"].span)
    return AllSettings(evaluations, found)
