"""A network with its weights, from a run's folder or from a spec and a file of weights."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genolang.api import Network, Spec, load
from genolang.diagnostics import did_you_mean, fail
from genolang.files import read_regular
from genolang.lang.reading import open_plain
from genolang.semantics.recipes import network_for
from genolang.semantics.sections import train_settings
from genolang.train.about import NAME, About, read_about
from genolang.train.card import Card, read_card
from genolang.train.journal import read_journal
from genolang.train.pouring import pour
from genolang.train.run_folder import SPEC
from genolang.train.weights import opened_with_card

if TYPE_CHECKING:
    from genolang.compiler.driver import NetworkModule

WEIGHTS = "weights.safetensors"


@dataclass(frozen=True, slots=True)
class Trained:
    """A network of a spec, the module with its weights in evaluation, and their card, where they have one."""

    spec: Spec
    network: Network
    module: NetworkModule
    card: Card | None


@dataclass(frozen=True, slots=True)
class Run:
    """A finished training.

    `metrics` are those of metrics.json, `history` its epochs as the journal has them, `command` what began it.
    """

    path: Path
    spec: Spec
    network: Network
    module: NetworkModule
    card: Card | None
    metrics: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...]
    command: tuple[str, ...]


def load_run(path: str | os.PathLike[str]) -> Run:
    """What a run of `genoc train` came to. Its module has the best weights, and is in evaluation.

    Errors: G704 for another folder, G705 for damage, G706 for a run of another command or one that has not ended.
    """
    folder = Path(path)
    about = _training(folder)
    found = load_trained(str(folder))
    metrics = json.loads(read_regular(folder / "metrics.json"))
    history = tuple(line for line in read_journal(folder) if "epoch" in line)
    return Run(folder, found.spec, found.network, found.module, found.card, metrics, history, about.command)


def is_run(path: str) -> bool:
    """Whether a path is that of a run's folder."""
    return (Path(path) / NAME).exists()


def load_trained(
    path: str, weights: str | None = None, network: str | None = None, values: Mapping[str, str] | None = None
) -> Trained:
    """The network of a spec, or of a training's folder, with weights from a file or the folder's best.

    It is the one that the weights' card names, unless another one is asked for; else the one of the spec's
    `train` section. `values` are parameters as `--set` takes them. Errors: those of the spec and of `pour`;
    G704 to G706 for folders; G715 where nothing says where the weights are.
    """
    if is_run(path):
        about = _training(Path(path))
        weights = weights or str(Path(path, WEIGHTS))
        path = str(Path(path, SPEC))
        if not Path(weights).exists():
            raise fail(
                "G706",
                f"the run in `{Path(weights).parent}` has not ended: it has no weights yet",
                help=f"go on with it: {' '.join(about.command)} --resume {Path(weights).parent}",
            )
    if weights is None:
        raise fail("G715", f"`{path}` is a spec, which has no weights", help="name a file of them: `--weights FILE`")
    spec, card = load(path), card_of_file(weights)
    name, given = _network_of(spec, card, network)
    found = spec.network(name, **{**given, **(values or {})})
    if found.program.choices:
        raise fail("G506", f"the network `{found.name}` has open choices: {', '.join(found.program.choices)}")
    module = found.module()
    pour(module, weights)
    module.eval()
    return Trained(spec, found, module, card)


def card_of_file(path: str) -> Card | None:
    """What weights say of themselves; None for those that other programs wrote. Errors: G001, G705, G714."""
    if Path(path).suffix != ".safetensors":
        return None
    from safetensors import SafetensorError

    try:
        with open_plain(Path(path)) as file:
            return read_card(path, opened_with_card(Path(path), file.read())[1])
    except OSError as error:
        raise fail("G001", f"cannot read `{path}`: {error.strerror or error}") from error
    except SafetensorError as error:
        raise fail("G714", f"`{path}` is not a safetensors file: {error}") from error


def _network_of(spec: Spec, card: Card | None, asked: str | None) -> tuple[str | None, dict[str, Any]]:
    if asked is None and card is not None:
        if card.network not in spec.networks:
            near = did_you_mean(card.network, spec.networks)
            raise fail("G408", f"the weights are of a network `{card.network}`, which the spec has not", help=near)
        return card.network, dict(card.set)
    given = dict(card.set) if card is not None and card.network == asked else {}
    return network_for(train_settings(spec.checked.module.sections("train"), {}).network, asked, given)


def _training(folder: Path) -> About:
    """What began a run. Error: G706 unless it was a training of one network."""
    about = read_about(folder)
    if about.command[1:2] != ("train",):
        raise fail(
            "G706",
            f"the run in `{folder}` is one of `genoc {about.command[1]}`, which trains no single network",
            help=f"train its answer: genoc train {folder / 'found.geno'}",
        )
    return about
