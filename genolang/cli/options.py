"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def _pairs(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or not key.isidentifier() or not text:
            raise click.BadParameter(f"{value!r} is not of the form name=value")
        if key in found:
            raise click.BadParameter(f"{key} is set twice")
        found[key] = text
    return found


def set_option(help: str) -> Callable[[F], F]:
    return click.option("--set", "values", multiple=True, metavar="NAME=VALUE", callback=_pairs, help=help)


def _passes(context: click.Context, option: click.Parameter, value: str | None) -> tuple[str, ...]:
    if value is None:
        return ()
    from genolang.compiler.driver import passes

    known = [step.name for step in passes()]
    found = tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
    for part in found:
        if part not in known:
            raise click.BadParameter(f"{part!r} is none of {', '.join(known)}")
    return found


without_option = click.option("--without", metavar="PASS,...", callback=_passes, help="Passes to switch off, by name.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
jobs_option = click.option(
    "--jobs",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Trainings side by side, each in a process with --threads threads of its own;"
    " the answer does not depend on it.",
)
network_option = click.option("--network", metavar="NAME", help="Which network, where there are several.")
