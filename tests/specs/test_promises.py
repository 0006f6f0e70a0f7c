"""Every command that a comment of a shipped spec promises runs, in small, and every search has its chain:
search, write the answer back, check it, plan it, train it as published, report.

A promise begins with `genoc` and ends with its line, two spaces or a backquote; `found.geno` is what the
spec's search writes. A run is as promised but for its length, its widths and its data: those that are not
embedded are stood in for by a few images of their shape.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from shipped import four_photographs

from genolang.api import Spec, load
from genolang.cli.main import main
from genolang.semantics.check import find_network
from genolang.semantics.methods import Method
from genolang.semantics.modules import LIBRARY
from genolang.semantics.recipes import network_for, parameters_of
from genolang.semantics.sections import search_settings, train_settings
from genolang.semantics.settings import NetworkChoice, SearchSettings, TrainSettings

torch.set_num_threads(1)
SPECS = sorted(path.relative_to(LIBRARY).with_suffix("").as_posix() for path in LIBRARY.rglob("*.geno"))
PAPERS = ("att_darts", "apnas", "ean", "aacn", "residual_attention")
# Widths that keep every kind of layer, and depths with a cell, a block or a stage of each kind. Schemes of
# slots are written for all blocks of the published depth, so that those stay.
SMALL: dict[str, dict[str, str]] = {
    "darts": {"channels": "4", "depth": "3"},
    "att_darts": {"channels": "4", "depth": "3"},
    "apnas": {"width": "4", "depth": "8"},
    "ean": {"width": "4", "classes": "10"},
    "residual_attention": {"channels": "4"},
    "aacn": {"width": "8"},
    "transfer": {"width": "4"},
    "ean/resnet50": {"width": "16", "classes": "2"},
}
SHAPES = {"cifar": (3, 32, 32), "cluttered_digits": (1, 32, 32), "digits": (1, 8, 8)}


def comments(text: str) -> str:
    return "\n".join(line.partition("#")[2].strip() for line in text.splitlines() if "#" in line)


def promises(text: str) -> list[str]:
    return [re.split(r"\s{2,}|`", found)[0].strip() for found in re.findall(r"\bgenoc [^\n]*", comments(text))]


@cache
def promised(spec: str) -> tuple[str, ...]:
    return tuple(promises((LIBRARY / f"{spec}.geno").read_text("utf-8")))


def searches(spec: str) -> list[str]:
    return [command for command in promised(spec) if command.split()[1] == "search"]


SEARCHED = [spec for spec in SPECS if re.search(r"^search \{", (LIBRARY / f"{spec}.geno").read_text("utf-8"), re.M)]
OTHERS = [
    (spec, command)
    for spec in SPECS
    for command in promised(spec)
    if command.split()[1] != "search" and "found.geno" not in command
]


def test_a_promise_ends_where_it_should() -> None:
    text = "geno 1\n# Try: `genoc a b --set c=d`, or\n#   genoc e f    which does g\nx = 1 # see genoc h\n# genocide\n"
    assert promises(text) == ["genoc a b --set c=d", "genoc e f", "genoc h"]


@pytest.mark.parametrize("spec", SPECS)
def test_an_option_in_a_comment_belongs_to_a_whole_command(spec: str) -> None:
    text = comments((LIBRARY / f"{spec}.geno").read_text("utf-8"))
    for command in sorted(promised(spec), key=len, reverse=True):
        text = text.replace(command, "")
    assert "--" not in text and not re.search(r"\bgenoc\b", text)


def test_every_search_promises_itself_and_the_training_of_its_answer() -> None:
    assert {spec.split("/")[0] for spec in SEARCHED} >= set(PAPERS)
    for spec in SEARCHED:
        assert searches(spec), spec
        assert any(command.startswith("genoc train found.geno") for command in promised(spec)), spec
        assert all(command.split()[2] == spec for command in searches(spec)), spec


@dataclass(frozen=True, slots=True)
class Stage:
    """A folder with the data that stand in for those that a spec names."""

    path: Path

    def data(self, name: str, classes: int) -> str:
        kind = name.partition(":")[0]
        if kind == "folder":
            return four_photographs(self.path / "photographs")
        if kind in ("digit_segments", "digit_counts"):
            return self.drawn(kind)
        shape = SHAPES["cifar" if kind.startswith("cifar") else kind]
        file = self.path / f"{kind}-{classes}.npz"
        if not file.exists():
            draw = np.random.default_rng(0)
            images = draw.integers(0, 256, (classes, *shape), dtype=np.uint8)
            labels = np.arange(classes)
            np.savez(file, x_train=images, y_train=labels, x_test=images, y_test=labels)
        return f"npz:{file}"

    def drawn(self, kind: str) -> str:
        """Ten grey images with a mask or with points each."""
        image = pytest.importorskip("PIL.Image")
        root = self.path / kind
        draw = np.random.default_rng(0)
        for folder in ("images", "masks", "points"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(10):
            image.fromarray(draw.integers(0, 256, (40, 40), dtype=np.uint8)).save(root / "images" / f"{number}.png")
            image.fromarray(draw.integers(0, 11, (40, 40), dtype=np.uint8)).save(root / "masks" / f"{number}.png")
            (root / "points" / f"{number}.json").write_text(json.dumps(draw.uniform(0, 40, (3, 2)).tolist()))
        return f"{'segments' if kind == 'digit_segments' else 'counts'}:{root}"

    def call(self, *words: str) -> dict[str, Any]:
        """What a command says as JSON."""
        result = CliRunner().invoke(main, [*words, "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.stdout
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    def run(self, command: str, spec: str, file: str, out: str) -> dict[str, Any]:
        """A promised search or training of a spec, which stands in `file`, in small."""
        verb, _, *words = shlex.split(command)[1:]
        loaded = load(file)
        small = SMALL.get(spec.split("/")[0], {}) | SMALL.get(spec, {})
        given = dict(word.split("=", 1) for place, word in enumerate(words) if words[place - 1] == "--set")
        asked = words[words.index("--network") + 1] if "--network" in words else None
        data = words.pop(words.index("--data") + 1) if "--data" in words else None
        words = [word for word in words if word != "--data"]
        sections = {kind: loaded.checked.module.sections(kind) for kind in ("search", "train")}
        settings: SearchSettings | TrainSettings
        changes = {"epochs": "1", "batch": "2", "split": "0.5"}
        if verb == "search":
            settings = search_settings(sections["search"], {}, sections["train"])
            changes |= {"seeds": "1", "random": "0", "compare": "[]", "score_epochs": "1", "choices_start": "0"}
            if isinstance(settings.score, TrainSettings):
                changes["score"] = score(settings.score, loaded, small)
            words += ["--method", method(settings)]
        else:
            settings = train_settings(sections["train"], {})
        name, known = network_for(settings.network, asked, {})
        sizes = narrow(loaded, name, small)
        classes = loaded.network(name, **{**known, **sizes, **given}).program.output.C
        stand_in = self.data(data or settings.data, classes)
        if classes > 10:
            changes["batch"] = "25"
        for key, value in {**changes, **sizes}.items():
            words += ["--set", f"{key}={value}"] if key not in given else []
        return self.call(verb, file, *words, "--data", stand_in, "--threads", "1", "--out", str(self.path / out))


def narrow(loaded: Spec, name: str | None, small: dict[str, str]) -> dict[str, str]:
    """The small parameters that a network has."""
    known = parameters_of(find_network(loaded.checked.module, name))
    return {key: value for key, value in small.items() if key in known}


def score(training: TrainSettings, loaded: Spec, small: dict[str, str]) -> str:
    """`train(...)` with one short epoch, in the network that the spec says, made small."""
    changes = "epochs=1, batch=2"
    if training.network is not None:
        given = dict(training.network.given) | narrow(loaded, training.network.name, small)
        changes += f", network={training.network.name}({', '.join(f'{k}={v}' for k, v in given.items())})"
    return f"train({changes})"


def method(settings: SearchSettings) -> str:
    """The method with one step of one scheme."""
    few = {key: 1 for key in ("steps", "samples", "evaluations") if hasattr(settings.sampling, key)}
    return str(Method(settings.method, settings.order, settings.sampling and replace(settings.sampling, **few)))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage"))


@pytest.mark.parametrize("spec", SEARCHED)
def test_a_search_goes_on_to_the_published_training_of_its_answer(spec: str, stage: Stage) -> None:
    source = str(LIBRARY / f"{spec}.geno")
    base = spec.replace("/", "-")
    founds: list[tuple[str, str]] = []
    for number, command in enumerate(searches(spec)):
        found = stage.run(command, spec, source, f"{base}-search-{number}")
        assert 0 <= found["score"] <= 1
        founds.append((command, found["found"]))
        stage.call("report", found["run"])
        assert (Path(found["run"]) / "report.html").stat().st_size > 0
    for number, command in enumerate(c for c in promised(spec) if "found.geno" in c):
        assert command.split()[1] == "train"
        words = command.split()
        asked = words[words.index("--network") + 1] if "--network" in words else None
        file = next((f for c, f in founds if asked is not None and asked in c.split()), founds[0][1])
        assert stage.call("check", file)["ok"]
        # The training is the published one: the answer's file says what the shipped one does.
        assert training_of(file) == training_of(source)
        settings, program = training_of(file), answer(file, asked)
        assert program.choices == {}
        plan = stage.call("plan", file, "--network", program.name)
        assert plan["choices"] == 0
        trained = stage.run(command, spec, file, f"{base}-train-{number}")
        assert trained["train_accuracy"] is not None and trained["params"] > 0
        weights = Path(trained["run"]) / "weights.safetensors"
        given = dict(settings.network.given) if settings.network is not None and asked is None else {}
        auxiliary = any(key.startswith("auxiliary.") for key in load_file(weights))
        assert auxiliary == (given.get("auxiliary") == "true")
        stage.call("report", trained["run"])


def training_of(file: str) -> TrainSettings:
    return train_settings(load(file).checked.module.sections("train"), {})


def answer(file: str, asked: str | None) -> Any:
    choice: NetworkChoice | None = training_of(file).network
    name, given = network_for(choice, asked, {})
    return load(file).network(name, **given).program


@pytest.mark.parametrize("spec, command", OTHERS)
def test_every_other_promise_is_kept(spec: str, command: str, stage: Stage) -> None:
    verb, file, *words = shlex.split(command)[1:]
    if verb == "train":
        stage.run(command, spec, file, re.sub(r"\W+", "-", command))
    else:
        assert verb in ("plan", "check", "show", "diff"), f"no run for `{command}`"
        stage.call(verb, file, *words)
