"""What `genoc search` and `genoc train` share: the spec, the settings, the data, the run folder."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genolang.cli.request import Request
from genolang.diagnostics import Source, fail

if TYPE_CHECKING:
    import torch

    from genolang.search.workers import Workers
    from genolang.semantics.check import Checked
    from genolang.semantics.program import Program
    from genolang.semantics.settings import TaskKind, TrainSettings
    from genolang.train.card import Card
    from genolang.train.datasets import Dataset
    from genolang.train.run_folder import RunFolder


def begun(request: Request) -> Request:
    """The request; one to go on with a run has that run's threads, unless it says others.

    Errors: G704, G705, and G706 for a run of another command.
    """
    if request.resume is None:
        return request
    from genolang.cli.facts import begun_threads
    from genolang.train.about import read_about

    about = read_about(Path(request.resume))
    asked = request.verb.split()
    verb = list(about.command[1 : 1 + len(asked)])
    if verb != asked:
        again = shlex.join([*about.command, "--resume", request.resume])
        raise fail(
            "G706",
            f"the run in `{request.resume}` is one of `genoc {' '.join(verb)}`, not of `genoc {request.verb}`",
            help=f"go on with it: `{again}`; or begin another one with `--out`",
        )
    return replace(request, threads=request.threads or begun_threads(about.facts))


def read_spec(request: Request) -> Checked:
    """The checked spec; on a resume it must be the one that the run began with. Error: G706."""
    from genolang.api import load, locate
    from genolang.semantics.modules import read_source

    if request.resume is not None:
        from genolang.train.about import digest_of, read_about

        folder = Path(request.resume)
        facts = read_about(folder).facts
        text = read_source(str(locate(request.spec))).text
        if facts.get("file spec.geno", "") != digest_of(text):
            raise fail(
                "G706",
                f"{request.spec} has changed since the run in {request.resume} began",
                help=f"resume with the run's own copy: {folder / 'spec.geno'}",
            )
    return load(request.spec).checked


def split_values(values: Mapping[str, str], record: type) -> tuple[dict[str, str], dict[str, str]]:
    """`--set` values as (network parameters, settings): a setting's name means the setting."""
    names = {f.name for f in fields(record)} - {"method"}
    settings = {k: v for k, v in values.items() if k in names}
    return {k: v for k, v in values.items() if k not in names}, settings


def training_of(checked: Checked, request: Request) -> tuple[TrainSettings, str | None, dict[str, Any]]:
    """The settings of a training, its network and what that is given: the spec's with the changes."""
    from genolang.diagnostics import GenoError
    from genolang.semantics.recipes import check_recipes, network_for
    from genolang.semantics.sections import train_settings
    from genolang.semantics.settings import TrainSettings

    given, changed = split_values(request.values, TrainSettings)
    sections = checked.module.sections("train")
    if changed:
        sections = [*sections, setting_section("train", changed)]
        problems = check_recipes(checked.module, (), sections)
        if problems:
            raise GenoError(problems)
    settings = train_settings(sections, {})
    return settings, *network_for(settings.network, request.network, given)


def require_weights(program: Program) -> None:
    """Error: G509 for a network that cannot learn."""
    from genolang.train.optimizers import no_weights

    if not program.params:
        raise no_weights(f"the network `{program.name}`")


def setting_section(kind: str, settings: Mapping[str, str]) -> Any:
    """Settings from the command line as a section of the language, so that they are read alike."""
    from genolang.lang import syntax
    from genolang.lang.parser import parse

    text = "geno 1\n" + f"{kind} {{\n" + "".join(f"{k} {v}\n" for k, v in settings.items()) + "}\n"
    file, problems = parse(Source("--set", text))
    if problems:
        from genolang.diagnostics import GenoError

        raise GenoError(problems)
    return next(item for item in file.items if isinstance(item, syntax.Section))


def choose_device(name: str) -> torch.device:
    """The device of that name. Error: G708 where it is not there."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).split("\n")[0]
        raise fail("G708", f"the device `{name}` cannot be used: {reason}", help="--device cpu") from None
    return device


def read_data(name: str, program: Program, task: TaskKind = "classification", size: int | None = None) -> Dataset:
    """The data, which must be made for the task and fit the network's input and output.

    `size` is that of `resized_crop`.

    Errors: G309, G604, G605, G608, and the data's.
    """
    from genolang.train.datasets import data_for, load_data

    _check_end(program, task)
    data = load_data(name, size=size)
    if data.task != task:
        raise fail(
            "G608",
            f"the data `{name}` is made for {data.task}, not for {task}",
            help=f"write `task {data.task}` in `train`, or take {' or '.join(data_for(task))}",
        )
    shape = tuple(data.image_shape)
    if shape != tuple(program.input):
        raise fail(
            "G605",
            f"the images of `{name}` are {'x'.join(map(str, shape))}, but the network"
            f" `{program.name}` takes {program.input}",
            help=f"declare it: `input image{shape}`",
        )
    if data.classes != program.output.C:
        raise fail(
            "G604",
            f"`{name}` has {data.classes} classes, but the network `{program.name}` tells {program.output.C} apart",
            help=f"--set classes={data.classes}",
        )
    return data


def data_of_run(path: str) -> str | None:
    """The `--data` that a run began with; None for a spec, or where the spec says it."""
    from genolang.train.about import read_about
    from genolang.train.trained import is_run

    words = read_about(Path(path)).command if is_run(path) else ()
    return words[words.index("--data") + 1] if "--data" in words[:-1] else None


def _check_end(program: Program, task: TaskKind) -> None:
    """Whether a network answers as a task asks: for every pixel or once. Error: G309."""
    for output in program.block.outputs:
        end = program.block.nodes[output].type
        if task == "classification" and not end.is_vector:
            raise fail(
                "G309",
                f"for {task} a network ends in one value per class, but `{program.name}` ends in {end}",
                help="say another task in `train`, as `task segmentation`",
            )
        if task != "classification" and end.is_vector:
            raise fail(
                "G309",
                f"for {task} a network ends in a map of its image's size, but `{program.name}` ends in {end}",
                help="end it with `resize(like=input)`, as `fcn_head` or `density_head`",
            )


def open_run(request: Request, checked: Checked, facts: Mapping[str, str], card: Card | None = None) -> RunFolder:
    """The run's folder: the one to resume, the one asked for, or the next free one under `runs/`.

    `card` goes with the weights that it will write.
    """
    from genolang.cli.facts import local_imports
    from genolang.train.run_folder import RunFolder

    root = checked.module
    text, imports = root.source.text, local_imports(root)
    if request.resume is not None:
        return RunFolder.resume(Path(request.resume), facts=facts, spec=text, imports=imports)
    path = Path(request.out or "")
    number = 1
    while request.out is None and (number == 1 or path.exists()):
        path = Path("runs") / f"{Path(request.spec).stem}-{request.verb.replace(' ', '-')}-{number}"
        number += 1
    told = None if card is None else card.to_json()
    return RunFolder.create(path, text, request.command(), facts=facts, imports=imports, card=told)


@contextmanager
def workers_for(request: Request, run: RunFolder) -> Iterator[Workers | None]:
    """The processes that train for the run beside this one, as `--jobs` asks; ended with the block."""
    if request.jobs == 1:
        yield None
        return
    from genolang.search.workers import Workers

    command = ("-m", "genolang.cli.worker")
    with Workers(run, command, {"request": asdict(request)}, request.jobs - 1) as workers:
        yield workers


def use_threads(threads: int | None) -> None:
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def threads_told() -> str:
    """`2 threads`, of this process."""
    import torch

    count = torch.get_num_threads()
    return f"{count} thread{'s' if count > 1 else ''}"
