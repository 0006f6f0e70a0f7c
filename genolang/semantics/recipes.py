"""What the sections of a file say of its networks and of each other. Errors: G202, G408, G503."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genolang.diagnostics import Diagnostic, GenoError, did_you_mean, fail
from genolang.lang import syntax as s
from genolang.semantics.modules import DefinitionRef, Module
from genolang.semantics.reach import reach
from genolang.semantics.sections import search_settings, settings_of
from genolang.semantics.settings import NetworkChoice, TrainSettings, crop_size


def check_recipes(module: Module, search: Sequence[s.Section], train: Sequence[s.Section]) -> list[Diagnostic]:
    """What is wrong with sections that are in order each by itself; nothing is expanded for it."""
    found: list[Diagnostic] = []
    for setting in settings_of([*search, *train]):
        try:
            if setting.name == "network":
                _check_network(module, setting.value)
            elif setting.name == "score" and isinstance(setting.value, s.Call):
                for arg in setting.value.args:
                    if arg.name == "network":
                        _check_network(module, arg.value)
        except GenoError as error:
            found += error.diagnostics
    return found or _check_score(search, train)


def network_for(
    choice: NetworkChoice | None, asked: str | None, given: Mapping[str, Any]
) -> tuple[str | None, dict[str, Any]]:
    """The network to work on and its arguments: the section's, unless another one is asked for."""
    if asked is not None or choice is None:
        return asked, dict(given)
    return choice.name, {**dict(choice.given), **given}


def network_of_score(
    module: Module, choice: NetworkChoice | None, searched: str, given: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """The network that an answer is scored in: the searched one, unless the settings say another.

    What the searched network was given holds in the other one too, where that has such a parameter
    and its own setting does not say it.
    """
    if choice is None:
        return searched, dict(given)
    ref = module.definitions.get(choice.name)
    known = parameters_of(ref) if ref is not None else set()
    return choice.name, {k: v for k, v in given.items() if k in known} | dict(choice.given)


def parameters_of(ref: DefinitionRef) -> set[str]:
    """The parameters of a network and of those that it stands for, without expanding it."""
    networks = (found.syntax for found in reach(ref) if found.kind == "network")
    return {param.name for network in networks for param in network.params}


def _check_network(module: Module, expr: s.Expr) -> None:
    callee = expr.callee if isinstance(expr, s.Call) else expr
    if not isinstance(callee, s.Name):
        return  # said by the setting's own reader
    ref = module.definitions.get(callee.id)
    if ref is None or ref.kind != "network":
        names = [r.name for r in module.definitions.values() if r.kind == "network"]
        raise fail(
            "G408",
            f"{module.source.name} has no network `{callee.id}`",
            callee.span,
            help=did_you_mean(callee.id, names) or f"it has {', '.join(names) or 'none'}",
        )
    for arg in expr.args if isinstance(expr, s.Call) else ():
        if arg.name is not None and arg.name not in parameters_of(ref):
            known = sorted(parameters_of(ref))
            raise fail(
                "G202",
                f"the network `{ref.name}` has no parameter `{arg.name}`",
                arg.span,
                help=did_you_mean(arg.name, known) or f"it has {', '.join(known) or 'none'}",
            )


def _check_score(search: Sequence[s.Section], train: Sequence[s.Section]) -> list[Diagnostic]:
    """Whether answers that are scored as `train` says can have the search's images."""
    place = next((x.value for x in reversed(list(settings_of(search))) if x.name == "score"), None)
    name = place.callee if isinstance(place, s.Call) else place
    if place is None or not isinstance(name, s.Name) or name.id != "train":
        return []
    try:
        settings = search_settings(list(search), {}, train)
    except GenoError:
        return []  # said where it is read
    score = settings.score
    assert isinstance(score, TrainSettings)
    if score.task != "classification":
        return [Diagnostic("G503", f"a search is for classification, and `train` is for {score.task}", place.span)]
    if crop_size(score.augment) != crop_size(settings.augment):
        return [
            Diagnostic(
                "G503",
                "answers are scored on images of another size than the search has",
                place.span,
                help="the same `resized_crop` in `augment` of both",
            )
        ]
    return []
