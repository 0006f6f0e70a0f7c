"""`genoc evaluate`: how good a trained network is."""

from __future__ import annotations

from typing import Any

import click

from genolang.cli.options import json_option, network_option, set_option


@click.command("evaluate")
@click.argument("spec", metavar="SPEC|RUN")
@click.option("--weights", metavar="FILE", help="Its weights: a run's own, or published ones; else the run's best.")
@network_option
@click.option("--data", metavar="NAME", help="The images to test on; else those of the run or of the spec.")
@click.option("--batch", type=click.IntRange(1), default=100, show_default=True, help="Images at a time.")
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="cpu, cuda, cuda:1 ...")
@click.option("--threads", type=click.IntRange(1), help="CPU threads; else torch's choice.")
@set_option("A parameter of the network: --set channels=36.")
@json_option
def evaluate(as_json: bool, **asked: Any) -> None:
    """Measure a trained network on the test images of a data set; nothing is trained.

    Says the loss, the metrics of the task and, where there are classes, how good the answers are for each of them.
    Images are normalised as in the training, which the weights say. `--json` has the confusion matrix too.

    \b
    genoc evaluate runs/found-train-1
    genoc evaluate runs/v2/spec.geno --weights runs/v2/weights.safetensors --data npz:other.npz
    genoc evaluate darts/v2 --weights cifar10_model.pt --data cifar10:data
    """
    from genolang.cli.output import fail_with, print_json
    from genolang.diagnostics import GenoError

    try:
        found = _run(**asked)
    except GenoError as error:
        fail_with(error, as_json)
    if as_json:
        print_json(found.to_json())
        return
    said = found.to_json()
    for name, value in said.items():
        if isinstance(value, float):
            click.echo(f"{name.replace('_', ' '):20} {value:.4f}")
    click.echo(f"{'images':20} {found.images:,}")
    for row in said.get("classes", ()):
        share = "no images" if row["accuracy"] is None else f"{row['accuracy']:.4f} of {row['count']:,}"
        click.echo(f"  {row['name']:18} {share}")


def _run(
    spec: str,
    weights: str | None,
    network: str | None,
    data: str | None,
    batch: int,
    device: str,
    threads: int | None,
    values: dict[str, str],
) -> Any:
    from genolang.cli import runs
    from genolang.semantics.sections import train_settings
    from genolang.semantics.settings import crop_size
    from genolang.train.assess import assess
    from genolang.train.trained import load_trained

    runs.use_threads(threads)
    trained = load_trained(spec, weights, network, values)
    settings = train_settings(trained.spec.checked.module.sections("train"), {})
    card = trained.card
    task = settings.task if card is None else card.task
    size = crop_size(settings.augment) if card is None else card.image[1] if card.cut else None
    name = data or runs.data_of_run(spec) or settings.data
    images = runs.read_data(name, trained.network.program, task, size)
    return assess(trained.module, images, card, batch=batch, device=runs.choose_device(device))
