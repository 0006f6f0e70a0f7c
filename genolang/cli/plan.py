"""`genoc plan`: parameters, MACs, memory and the size of the search space, without running."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import click

from genolang.cli.options import json_option, network_option, set_option

if TYPE_CHECKING:
    from genolang.api import Plan, Spec


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
        loaded = load(spec)
        planned = loaded.network(network, **values).plan(batch)
        found = planned.to_json() | statistics_of(loaded, planned)
    except GenoError as error:
        fail_with(error, as_json)
    if as_json:
        print_json(found)
    else:
        click.echo(plan_text(found))


def statistics_of(spec: Spec, plan: Plan) -> dict[str, object]:
    """What the spec's search passes for fresh batch-norm statistics: of one measured scheme, of all.

    MACs are those of the whole supernet, which no scheme exceeds.
    """
    from genolang.semantics.methods import measured_schemes
    from genolang.semantics.sections import search_settings

    sections = spec.checked.module.sections("search")
    if not plan.choices or not sections:
        return {}
    settings = search_settings(sections, {})
    if not settings.statistics:
        return {}
    images, schemes = settings.statistics * settings.batch, measured_schemes(settings.sampling)
    return {
        "statistics": {
            "batches": settings.statistics,
            "images": images,
            "schemes": schemes,
            "all_images": images * schemes,
            "macs": images * schemes * plan.macs,
        }
    }


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
    passed = found.get("statistics")
    if isinstance(passed, dict):
        rows.append(
            (
                "fresh statistics, the search",
                f"{number(passed['all_images'])} images"
                f" ({number(passed['images'])} for each of up to {number(passed['schemes'])}),"
                f" up to {number(passed['macs'])} MACs",
            )
        )
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _big(digits: str) -> str:
    return digits if len(digits) < 16 else f"{digits[0]}.{digits[1:4]}e{len(digits) - 1}"
