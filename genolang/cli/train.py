"""`genoc train`: a discrete network from scratch."""

from __future__ import annotations

from typing import Any

import click

from genolang.cli.request import Request, run_options


@click.command("train")
@run_options
@click.option(
    "--init",
    metavar="FILE",
    help="Begin with these weights: a published torch file, poured in by position, or a run's own.",
)
def train(as_json: bool, **asked: Any) -> None:
    """Train a discrete network from scratch, as the spec's `train` section says.

    The section may name the network and its parameters too; --network takes another one. Writes
    weights.safetensors (best), last.safetensors and metrics.json into the run's folder.

    \b
    genoc train found.geno
    genoc train darts/v2 --data cifar10:data
    genoc train found.geno --data cifar10:data --set channels=16
    """
    from genolang.cli.output import fail_with, print_json
    from genolang.diagnostics import GenoError

    try:
        result = _run(Request("train", **asked), as_json)
    except GenoError as error:
        fail_with(error, as_json)
    if as_json:
        print_json(result)
        return
    for key, value in result.items():
        if key.startswith(("train_", "val_", "test_")) and value is not None:
            click.echo(f"{key.replace('_', ' '):20} {value:.4f}")
    click.echo(f"{'parameters':20} {result['params']:,}")
    click.echo(f"{'run':20} {result['run']}")


def _run(request: Request, quiet: bool) -> dict[str, Any]:
    import torch

    from genolang.cli import runs
    from genolang.cli.facts import facts_of
    from genolang.cli.progress import ConsoleReporter
    from genolang.compiler import driver
    from genolang.diagnostics import fail
    from genolang.semantics.check import expand_network
    from genolang.semantics.settings import crop_size
    from genolang.train.card import card_of
    from genolang.train.phase import Phase
    from genolang.train.pouring import pour
    from genolang.train.training import train_network

    request = runs.begun(request)
    runs.use_threads(request.threads)
    checked = runs.read_spec(request)
    settings, network, given = runs.training_of(checked, request)
    program = expand_network(checked, network, given)
    if program.choices:
        raise fail(
            "G506",
            f"the network `{program.name}` has open choices: {', '.join(program.choices)}",
            help=f"let a search make them: genoc search {request.spec}",
        )
    runs.require_weights(program)
    device = runs.choose_device(request.device)
    data = runs.read_data(request.data or settings.data, program, settings.task, crop_size(settings.augment))
    seed = settings.seed if request.seed is None else request.seed
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = driver.to_module(program, without=request.without)
    if request.init is not None:
        pour(module, request.init)
    facts = facts_of(request, checked.module, program, given, settings, data, seed, device)
    with runs.open_run(request, checked, facts, card_of(data, facts)) as run:
        reporter = ConsoleReporter(quiet=quiet)
        reporter.message(
            f"training `{program.name}` ({program.params:,} parameters) on {data.name},"
            f" seed {seed}, {runs.threads_told()}, in {run.path}"
        )
        for line in run.told:
            reporter.message(line)
        phase = Phase(seed, device, run, resume=request.resume is not None, reporter=reporter)
        result = train_network(module, settings, data, phase)
        return {
            "train_accuracy": result.train_accuracy,
            "val_accuracy": result.val_accuracy,
            "test_accuracy": result.test_accuracy,
            **result.metrics,
            "task": result.task,
            "metric": result.metric,
            "params": result.params,
            "seconds": result.seconds,
            "run": str(run.path),
        }
