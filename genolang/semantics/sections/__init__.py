"""`search { }` and `train { }` to settings. Errors: G501 to G504, each at its words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, get_args

from genolang.diagnostics import Diagnostic, GenoError, Label, did_you_mean, fail
from genolang.lang import syntax as s
from genolang.lang.limits import limit
from genolang.semantics.datasets import data_name
from genolang.semantics.sections.readers import (
    Read,
    arguments,
    bad,
    callee,
    count,
    flag,
    items,
    named_arguments,
    network,
    real,
    word,
)
from genolang.semantics.settings import (
    Augmentation,
    Collapse,
    OptimizerSettings,
    RivalKind,
    Schedule,
    SearchSettings,
    TaskKind,
    TrainSettings,
    crop_size,
)

FRESH_BATCHES = 4
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
# What each augmentation takes, with its defaults.
_AUGMENTATIONS: dict[str, dict[str, tuple[Read, float]]] = {
    "flip": {},
    "crop": {"amount": (real(0, 512), 4.0)},
    "shift": {"amount": (real(0, 1), 0.15)},
    "cutout": {"amount": (real(0, 512), 16.0)},
    "resized_crop": {"amount": (count(1, 4096), 224)},
    "jitter": {"amount": (real(0, 1), 0.4), "hue": (real(0, 0.5), 0.0)},
}


def _data(expr: s.Expr) -> str:
    if not isinstance(expr, (s.String, s.Name)):
        raise bad(expr, "the name of a data set", '`digits` or `"cifar10:folder"`')
    text = expr.value if isinstance(expr, s.String) else expr.id
    data_name(text, expr.span)
    return text


def schedule(expr: s.Expr) -> Schedule:
    """A number, or `cosine(0.025, 0.001)`, `linear`, `step`, `exponential`, each with `warmup=`."""
    if isinstance(expr, (s.Number, s.Prefix, s.Infix)):
        return Schedule("constant", real(0, 1e6)(expr))
    name, call = callee(expr, _SCHEDULES, "schedule")
    values: dict[str, Any] = {}
    for key, value in arguments(call, _SCHEDULES[name]).items():
        if key == "at":
            values[key] = tuple(count(0)(item) for item in items(value))
        else:
            values[key] = real(0, 1e6)(value)
    if "start" not in values:
        raise fail("G503", f"`{name}` needs its first value", call.span, help=f"`{name}(0.025, ...)`")
    return Schedule(name, **values)  # type: ignore[arg-type]


def _drop_path(expr: s.Expr) -> Schedule:
    """A schedule of probabilities below 1: what lets nothing through scales it by infinity."""
    found = schedule(expr)
    # Every form lies between its first and its last value, or multiplies by the factor.
    if max(found.start, found.end) >= 1 or (found.kind in ("step", "exponential") and found.factor > 1):
        raise fail("G503", "a probability of dropping stays below 1", expr.span, help="for example 0.2")
    return found


def optimizer(expr: s.Expr) -> OptimizerSettings:
    """`sgd(lr=cosine(0.025, 0.001), momentum=0.9, decay=3e-4, clip=5)` and the like."""
    name, call = callee(expr, _OPTIMIZERS, "optimiser")
    readers: dict[str, Read] = {
        "lr": schedule,
        "momentum": real(0, 1),
        "decay": real(0, 10),
        "nesterov": flag,
        "clip": real(0, 1e9, open_low=True),
        "betas": _betas,
        "eps": real(0, 1, open_low=True),
        "alpha": real(0, 1),
    }
    given = arguments(call, _OPTIMIZERS[name])
    values = {key: readers[key](value) for key, value in given.items()}
    if "lr" not in values:
        raise fail("G503", f"`{name}` needs a learning rate", call.span, help=f"`{name}(lr=0.1)`")
    if name in ("sgd", "rmsprop"):
        values.setdefault("momentum", 0.0)
    if values.get("nesterov") and not values["momentum"]:
        raise fail("G503", "Nesterov's step needs a momentum", call.span, help="`momentum=0.9`")
    return OptimizerSettings(name, **values)  # type: ignore[arg-type]


def _betas(expr: s.Expr) -> tuple[float, float]:
    pair = items(expr)
    if len(pair) != 2:
        raise bad(expr, "a pair of numbers", "`(0.9, 0.999)`")
    first, second = (real(0, 1)(item) for item in pair)
    if first >= 1 or second >= 1:
        raise fail("G503", "both must be below 1", expr.span)
    return first, second


def augmentations(expr: s.Expr) -> tuple[Augmentation, ...]:
    """`[resized_crop(224), flip, jitter(0.4, hue=0.2)]`, `[crop(4), shift(0.15), cutout(16)]` ..."""
    found: list[Augmentation] = []
    for item in items(expr):
        name, call = callee(item, _AUGMENTATIONS, "augmentation")
        taken = _AUGMENTATIONS[name]
        given = arguments(call, tuple(taken))
        values = {key: read(given[key]) if key in given else default for key, (read, default) in taken.items()}
        if name == "resized_crop" and crop_size(found) is not None:
            raise fail("G502", "`resized_crop` is given twice", item.span)
        found.append(Augmentation(name, **values))  # type: ignore[arg-type]
    return tuple(found)


def _method(expr: s.Expr) -> dict[str, Any]:
    # Its settings take a while to import, and most files search nothing.
    from genolang.semantics.sections.methods import read_method

    return read_method(expr)


def _statistics(expr: s.Expr) -> int:
    """How many batches: `stored` is none, `fresh(batches=4)` four."""
    name, call = callee(expr, {"stored": (), "fresh": ("batches",)}, "kind of statistics")
    given = arguments(call, ("batches",) if name == "fresh" else ())
    return 0 if name == "stored" else count(1, 1000)(given["batches"]) if given else FRESH_BATCHES


def _collapse(expr: s.Expr) -> Collapse:
    """`warn`, `stop(skips=2)`, `stop(eigenvalue=0.75, window=5)`, `regularise(dropout=0.4)`."""
    taken: dict[str, dict[str, Read]] = {
        "warn": {},
        "stop": {"skips": count(1, 1000), "eigenvalue": real(0, 1, open_low=True), "window": count(1, 1000)},
        "regularise": {"dropout": real(0, 0.99, open_low=True)},
    }
    name, call = callee(expr, taken, "answer to a collapse")
    values = {key: taken[name][key](value) for key, value in arguments(call, tuple(taken[name])).items()}
    if ("window" in values and "eigenvalue" not in values) or {"skips", "eigenvalue"} <= set(values):
        raise fail(
            "G503",
            "a search stops by the count of skips or by the eigenvalue, which has a window",
            call.span,
            help="`stop(skips=2)` or `stop(eigenvalue=0.75, window=5)`",
        )
    defaults: dict[str, dict[str, Any]] = {"stop": {"skips": 2}, "regularise": {"dropout": 0.4}}
    return Collapse(**(values or defaults.get(name, {})))


def _compared(expr: s.Expr) -> tuple[str, ...]:
    names = tuple(word(*get_args(RivalKind))(item) for item in items(expr))
    for name, item in zip(names, items(expr), strict=True):
        if names.count(name) > 1:
            raise fail("G502", f"`{name}` is listed twice", item.span)
    return names


def _score(expr: s.Expr) -> OptimizerSettings | dict[str, Any]:
    """An optimiser, or what `train(...)` changes of the file's `train` section."""
    name, call = callee(expr, {**_OPTIMIZERS, "train": ()}, "optimiser")
    if name != "train":
        return optimizer(expr)
    found: dict[str, Any] = {}
    taken = {key: read for key, read in TRAIN.items() if key not in _OF_THE_SEARCH}
    for key, value in named_arguments(call).items():
        if key in _OF_THE_SEARCH:
            raise fail(
                "G501",
                f"a score takes its `{key}` from the search",
                value.span,
                help=f"leave it out, or set `{key}` in `search`",
            )
        if key not in taken:
            raise fail("G501", f"`train` has no setting `{key}`", value.span, help=did_you_mean(key, taken))
        found[key] = taken[key](value)
    return found


_OF_THE_SEARCH = ("task", "data", "split", "seed")
_SEED = count(0, 2**31 - 1)
_SHARED: dict[str, Read] = {
    "network": network,
    "data": _data,
    "epochs": count(1, 100_000),
    "batch": count(2, 100_000),
    "seed": _SEED,
    "augment": augmentations,
    "precision": word("auto", "float32"),
}
SEARCH: dict[str, Read] = _SHARED | {
    "method": _method,
    "split": real(0.05, 0.95),
    "weights": optimizer,
    "choices": optimizer,
    "init": real(0, 10),
    "choices_start": count(0),
    "fresh_validation": flag,
    "unrolled_radius": real(0, 1, open_low=True),
    "seeds": count(1, 1000),
    "random": count(0, 1000),
    "score": _score,
    "score_epochs": count(1, 100_000),
    "connect": real(0, 1),
    "statistics": _statistics,
    "compare": _compared,
    "collapse": _collapse,
}
TRAIN: dict[str, Read] = _SHARED | {
    "task": word(*get_args(TaskKind)),
    "split": real(0, 0.95),
    "optimizer": optimizer,
    "drop_path": _drop_path,
    "label_smoothing": real(0, 0.99),
    "patience": count(1),
}
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
                    raise fail(
                        "G501",
                        f"`{section.kind}` has no setting `{setting.name}`",
                        setting.span,
                        help=did_you_mean(setting.name, table),
                    )
                if setting.name in seen:
                    raise fail(
                        "G502",
                        f"`{setting.name}` is set twice",
                        setting.span,
                        labels=[Label(seen[setting.name].span, "first here")],
                    )
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


def search_settings(
    sections: list[s.Section], changes: Mapping[str, Any], train: Sequence[s.Section] = ()
) -> SearchSettings:
    """The settings of a file's `search` section, with some changed. Errors: G501 to G504.

    `train` is the file's section of that name, which `score train` refers to.
    """
    found: SearchSettings = _settings("search", sections, changes, SearchSettings)
    if isinstance(found.score, Mapping):
        found = replace(found, score=train_settings(list(train), found.score))
        assert isinstance(found.score, TrainSettings)
    return found


def train_settings(sections: list[s.Section], changes: Mapping[str, Any]) -> TrainSettings:
    """The settings of a file's `train` section, with some changed. Errors: G501 to G504."""
    found: TrainSettings = _settings("train", sections, changes, TrainSettings)
    return found


def settings_of(sections: Iterable[s.Section]) -> Iterator[s.Setting]:
    """All settings as written."""
    return (setting for section in sections for line in section.lines for setting in line.settings)


def names_networks(sections: Iterable[s.Section]) -> bool:
    """Whether sections may name networks or one another, which no section can be read for alone."""
    return any(
        setting.name == "network" or (setting.name == "score" and _callee(setting.value) == "train")
        for setting in settings_of(sections)
    )


def _callee(expr: s.Expr) -> str | None:
    name = expr.callee if isinstance(expr, s.Call) else expr
    return name.id if isinstance(name, s.Name) else None
