"""`genoc help`: what a command does."""

from __future__ import annotations

import click


@click.command("help")
@click.argument("command", required=False)
@click.pass_context
def help(context: click.Context, command: str | None) -> None:
    """Say what a command does and takes, as its --help; without one, which commands there are."""
    from genolang.cli.main import main

    whole = context.parent
    assert whole is not None, "a command of the group"
    if command is None:
        click.echo(main.get_help(whole))
        return
    _, found, _ = main.resolve_command(whole, [command])
    assert found is not None, "an unknown command is an error of the call"
    click.echo(found.get_help(click.Context(found, whole, command)))
