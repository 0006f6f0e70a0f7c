"""`genoc compile`: builds a network, runs it once, and writes it in other forms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genolang.cli.options import json_option, network_option, set_option, without_option
from genolang.cli.reporting.kernels import kernels_json, kernels_text, library_json, library_text, plain_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from genolang.api import Network, Spec
    from genolang.compiler.driver import NetworkModule
    from genolang.train.card import Card

FORMS = ("module", "python", "export", "onnx", "ir", "graph")
BATCH = 2
SEED = 0


def _forms(context: click.Context, option: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    found = tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
    for part in found:
        if part not in FORMS:
            raise click.BadParameter(f"{part!r} is none of {', '.join(FORMS)}")
    return found


@click.command("compile")
@click.argument("spec")
@network_option
@click.option("-o", "--out", "folder", metavar="DIR", help="Where to write; build/NETWORK unless given.")
@click.option(
    "--emit",
    "forms",
    metavar="FORM,...",
    callback=_forms,
    help=f"What to write: {', '.join(FORMS)}. With -o alone: module.",
)
@click.option(
    "--explain", is_flag=True, help="Say what each pass changed, and which lines became which kernel or why not."
)
@click.option("--weights", metavar="FILE", help="Its weights: a run's own, or published ones, poured in by position.")
@click.option(
    "--with-input-norm",
    "norm",
    is_flag=False,
    flag_value="unit",
    type=click.Choice(["unit", "uint8"]),
    help="In `export` and `onnx`: normalise images inside, as the weights say; they come on the scale 0 to 1,"
    " or as bytes.",
)
@click.option(
    "--inference", is_flag=True, help="In `export` and `onnx`: batch norms folded into the layers before them."
)
@without_option
@set_option("Change a parameter of the network: --set channels=36.")
@json_option
def compile_command(
    spec: str,
    network: str | None,
    folder: str | None,
    forms: tuple[str, ...] | None,
    explain: bool,
    weights: str | None,
    norm: str | None,
    inference: bool,
    without: tuple[str, ...],
    values: dict[str, str],
    as_json: bool,
) -> None:
    """Build a network, run it once on its declared input, and write it in other forms.

    \b
    module   weights (safetensors) and the spec
    python   readable PyTorch source that needs torch alone
    export   a torch.export archive (.pt2), for any batch size
    onnx     an ONNX model, for any batch size
    ir       the compiler's graph after its passes, as text
    graph    the layers as they are written, for networkx: node-link JSON and GraphML

    \b
    genoc compile darts/v2 --network cifar --emit python,module -o build/v2
    genoc compile quickstart --explain
    genoc compile runs/v2/spec.geno --weights runs/v2/weights.safetensors --inference --emit export
    """
    from genolang.api import load
    from genolang.cli.output import fail_with, print_json
    from genolang.compiler import driver
    from genolang.diagnostics import GenoError

    try:
        loaded = load(spec)
        card = _card(weights, norm)
        if card is not None and network in (None, card.network) and card.network in loaded.networks:
            network, values = card.network, {**card.set, **values}
        found = loaded.network(network, **values)
        plan = found.plan().to_json()
        if without:
            plan["activation_bytes"] = driver.activation_bytes(found.program, 1, without=without)
        module = build_and_run(found, without, weights)
        wanted = forms if forms is not None else ("module",) if folder is not None else ()
        told = None if card is None else card.to_json()
        files = contents(loaded, found, module, values, wanted, without, inference, told, norm)
        paths = write(Path(folder) if folder is not None else Path("build", found.name), files)
        kernels = driver.kernels(found.program, without=without) if as_json or explain else []
        passes = passes_of(found, without) if explain else []
        plain = driver.left_plain(found.program, BATCH, without=without) if explain else []
        library = driver.left_to_library(found.program, without=without) if explain else []
    except GenoError as error:
        fail_with(error, as_json)
    if as_json:
        answer = {**plan, "kernels": kernels_json(kernels), "artifacts": paths}
        if explain:
            answer |= {"passes": passes, "plain": plain_json(plain), "library": library_json(library)}
        print_json(answer)
        return
    from genolang.cli.plan import plan_text

    click.echo(plan_text(plan))
    if explain:
        kinds = kernels_text(kernels, plain), *([library_text(library)] if library else [])
        click.echo("\n" + "\n".join([f"{passes_text(passes)}\n", *kinds]))
    click.echo(f"ran on {BATCH} random images of {'x'.join(map(str, plan['input']))}", err=True)
    for path in paths:
        click.echo(f"wrote {path}", err=True)


def build_and_run(network: Network, without: tuple[str, ...] = (), weights: str | None = None) -> NetworkModule:
    """The module, made without some passes, after one forward in evaluation.

    Images, and weights where no file is named, come from a fixed seed. Errors: G507 for a network that does
    not fit into memory, G001 and G714 for weights that cannot be read or do not fit.
    """
    import torch

    from genolang.compiler import driver
    from genolang.diagnostics import fail

    program = network.program
    shape = (BATCH, *program.input)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            module = driver.to_module(program, without=without) if without else network.module()
        if weights is not None:
            from genolang.train.pouring import pour

            pour(module, weights)
        module.eval()
        images = torch.randn(shape, generator=torch.Generator().manual_seed(SEED))
        with torch.no_grad():
            logits = module(images)
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and "allocate" not in str(error):
            raise
        raise fail(
            "G507",
            f"the network `{program.name}` does not fit into memory",
            help="`genoc plan` says what it needs; make it smaller with --set",
        ) from None
    assert logits.shape == (BATCH, *program.answer), f"{program.name} gives {tuple(logits.shape)}"
    return module


def contents(
    spec: Spec,
    network: Network,
    module: NetworkModule,
    values: Mapping[str, str],
    forms: tuple[str, ...],
    without: tuple[str, ...] = (),
    inference: bool = False,
    card: Mapping[str, Any] | None = None,
    norm: str | None = None,
) -> dict[str, bytes]:
    """The files of every form by their names. Error: G713 where a form needs a missing package."""
    from genolang.compiler import driver

    program = network.program
    answers = network.for_inference(module) if inference else module
    files: dict[str, bytes] = {}
    for form in forms:
        if form == "module":
            files["weights.safetensors"] = _weights(network, module, values, card)
            files["spec.geno"] = spec.checked.module.source.text.encode()
        elif form == "python":
            files["network.py"] = driver.to_python(program, card).encode()
        elif form == "export":
            files["network.pt2"] = driver.to_exported(answers, program, card, norm)
        elif form == "onnx":
            files["network.onnx"] = driver.to_onnx(answers, program, card, norm)
        elif form == "graph":
            found = network.graph()
            for ending in (".json", ".graphml"):
                files[f"network{ending}"] = driver.to_graph_file(found, ending)
        else:
            files["network.ir"] = driver.to_text(program, without=without).encode()
    return files


def _card(weights: str | None, norm: str | None) -> Card | None:
    """What the weights say of themselves. Error: G715 where the images' normalisation is asked for and not known."""
    from genolang.diagnostics import fail
    from genolang.train.trained import card_of_file

    card = None if weights is None else card_of_file(weights)
    if norm is not None and card is None:
        raise fail(
            "G715",
            "nothing says how images are normalised: only the weights of a run of `genoc train` know that",
            help="--weights runs/NAME/weights.safetensors",
        )
    return card


def _weights(
    network: Network, module: NetworkModule, values: Mapping[str, str], card: Mapping[str, Any] | None
) -> bytes:
    from genolang.train.weights import sealed
    from genolang.version import __version__

    about = {**(card or {}), "version": __version__, "network": network.name, "set": dict(values)}
    return sealed(module.state_dict(), about)


def write(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Write files, each whole or not at all; their paths. Error: G709."""
    from genolang.files import make_folder, write_atomically

    paths = []
    for name, content in files.items():
        make_folder(folder)
        write_atomically(folder / name, content)
        paths.append(str(folder / name))
    return paths


def passes_of(network: Network, without: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """What every pass changed, as plain data."""
    from dataclasses import asdict

    from genolang.compiler import driver

    return [asdict(effect) for effect in driver.explain(network.program, without=without)]


def passes_text(passes: list[dict[str, Any]]) -> str:
    """A paragraph for every pass: its sentence, the nodes before and after, the lines it changed."""
    verbs = {"share": "merged", "zeros": "left out", "depthwise": "took over", "pointwise": "took over"}
    blocks = []
    for step in passes:
        before, after = step["nodes_before"], step["nodes_after"]
        counts = f"{before:,}" if before == after else f"{before:,} -> {after:,}"
        lines = [f"{step['name']}: {step['sentence']}", f"  nodes {counts}"]
        for change in step["changes"]:
            place = f"{change['file']}:{change['line']}"
            verb = verbs.get(step["name"], "joined")
            lines.append(f"  {verb} {change['count']} {change['layer']}  {place}")
        if step["elsewhere"]:
            lines.append(f"  {step['elsewhere']}")
        blocks.append("\n".join(lines))
    return "\n".join(blocks)
