"""A run as it is asked for on the command line: its options, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from genolang.cli.options import json_option, network_option, set_option, without_option

F = TypeVar("F", bound=Callable[..., Any])


def run_options(function: F) -> F:
    """The options of a command that runs something."""
    for option in reversed(
        (
            click.argument("spec"),
            network_option,
            click.option(
                "--data",
                metavar="NAME",
                help="digits, cluttered_digits, cifar10:DIR,"
                " cifar100:DIR, folder:DIR, idx:DIR or npz:FILE; for other tasks digit_segments,"
                " segments:DIR, digit_counts or counts:DIR; else the spec's.",
            ),
            click.option("--out", metavar="DIR", help="The run's folder; new or empty."),
            click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Instead of the spec's."),
            click.option("--resume", metavar="DIR", help="Go on with the run in this folder."),
            click.option(
                "--device",
                default="auto",
                show_default=True,
                metavar="NAME",
                help="cpu, cuda, cuda:1 ...; auto takes a GPU where there is one.",
            ),
            click.option("--threads", type=click.IntRange(1), help="CPU threads; else torch's choice."),
            without_option,
            set_option("Change a network's parameter or a setting: --set epochs=5."),
            json_option,
        )
    ):
        function = option(function)
    return function


@dataclass(frozen=True, slots=True)
class Request:
    """A run as it was asked for on the command line."""

    verb: str
    spec: str
    network: str | None
    data: str | None
    out: str | None
    seed: int | None
    resume: str | None
    device: str
    threads: int | None
    values: Mapping[str, str]
    init: str | None = None
    method: str | None = None
    jobs: int = 1
    more: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def command(self) -> list[str]:
        """The command, without `--resume`, `--out` and `--json`, for the run's records."""
        words = ["genoc", *self.verb.split(), self.spec]
        for name in ("network", "method", "data", "seed", "threads", "init"):
            value = getattr(self, name)
            if value is not None:
                words += [f"--{name}", str(value)]
        if self.jobs > 1:
            words += ["--jobs", str(self.jobs)]
        if self.without:
            words += ["--without", ",".join(self.without)]
        if self.device != "auto":
            words += ["--device", self.device]
        for key, value in self.values.items():
            words += ["--set", f"{key}={value}"]
        return [*words, *self.more]
