"""`genoc plan`: parameters, MACs, memory and the size of the search space, without running."""

from __future__ import annotations

import gc

import click

from genolang.cli.options import json_option, network_option, set_option


@click.command("plan")
@click.argument("spec")
@network_option
@click.option("--batch", default=1, show_default=True, type=click.IntRange(1), help="Images per step.")
@set_option("Change a parameter of the network: --set channels=36.")
@json_option
def plan(spec: str, network: str | None, batch: int, values: dict[str, str], as_json: bool) -> None:
    """What a network would cost: parameters, MACs, memory, size of the search space.

    \b
    genoc plan darts/search --batch 64
    genoc plan darts/v2 --network cifar --set auxiliary=true --json
    """
    from genolang.api import load
    from genolang.cli.output import fail_with, print_json
    from genolang.diagnostics import GenoError

    # A plan is short and makes few cycles worth collecting.
    gc.disable()
    try:
        found = load(spec).network(network, **values).plan(batch)
    except GenoError as error:
        fail_with(error, as_json)
    if as_json:
        print_json(found.to_json())
    else:
        click.echo(plan_text(found.to_json()))


def plan_text(found: dict[str, object]) -> str:
    """A plan as aligned lines."""
    from genolang.cli.output import number, size

    def integer(key: str) -> int:
        value = found[key]
        assert isinstance(value, int)
        return value

    shape = found["input"]
    assert isinstance(shape, (tuple, list))
    rows = [
        ("network", str(found["network"])),
        ("input", "x".join(map(str, shape))),
        ("parameters", number(integer("params"))),
        ("running statistics", number(integer("buffers"))),
        ("MACs per image", number(integer("macs"))),
        ("  without attention products", number(integer("macs_conv_linear"))),
        (f"saved for backward, batch {found['batch']}", size(integer("activation_bytes"))),
    ]
    if integer("choices"):
        rows += [("open choices", number(integer("choices"))), ("genotypes", _big(str(found["genotypes"])))]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _big(digits: str) -> str:
    return digits if len(digits) < 16 else f"{digits[0]}.{digits[1:4]}e{len(digits) - 1}"
