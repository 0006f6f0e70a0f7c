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


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
network_option = click.option("--network", metavar="NAME", help="Which network, where there are several.")
