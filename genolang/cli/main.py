"""genoc: the list of commands. Each is loaded only when it is called."""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import sys

import click

COMMANDS: dict[str, str] = {
    "new": "A commented starting spec, from a shipped one.",
    "check": "Say everything that is wrong with a spec.",
    "fmt": "Bring specs into the one canonical form.",
    "plan": "What a network would cost, before any of it runs.",
    "compile": "Build a network and write it in other forms.",
    "bench": "Time what is fused against plain PyTorch.",
    "search": "Run a spec's search and write the answer back as a spec.",
    "train": "Train a discrete network from scratch.",
    "evaluate": "Measure a trained network on a data set.",
    "predict": "What a trained network says of images.",
    "diff": "What changed between two specs, by meaning.",
    "import": "Turn another notation into a spec: DARTS, NAS-Bench-201, EAN.",
    "export": "Print a spec in another notation.",
    "show": "Draw cells, modules and networks.",
    "study": "Statistics of searches: schemes, correlation, convergence, Grad-CAM.",
    "report": "A run as one static HTML page.",
    "help": "What a command does, as its --help.",
    "explain": "The page of an error code, or where a name is defined.",
}


# With torch loaded, the interpreter's last collections take longer than many a command.
atexit.register(gc.freeze)


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"genolang.cli.{cmd_name}")
        command: click.Command = getattr(module, f"{cmd_name}_command", None) or getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from genolang.diagnostics import did_you_mean

            near = did_you_mean(args[0], COMMANDS)
            raise click.UsageError(f"No such command '{args[0]}'." + (f" {near}" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(None, "-V", "--version", package_name="genolang", prog_name="genoc")
def main() -> None:
    """A small language for convolutional networks with attention.

    \b
    genoc new first.geno             a spec to begin with
    genoc check first.geno           what is wrong with it
    genoc plan first.geno            what it would cost
    genoc search first.geno          search; writes a new spec
    genoc train found.geno           train the answer from scratch
    """
    _speak_plainly()


def _speak_plainly() -> None:
    """Lets any text be printed: results as UTF-8, or on a terminal with escapes for what it lacks.

    In JSON the escape of half a character, which a broken name of a file may hold, is the text itself.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            encoding = stream.encoding if stream.isatty() or stream is sys.stderr else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


if __name__ == "__main__":
    main()
