"""Every `train` and `search` section that ships: legal, made for its networks, and a step of training runs.

The step is that of the recipe (its optimiser, its changes of images, its loss) in small: two images a batch,
narrow networks where they have such parameters, the published resolution, a supernet in place of its answer.
Data that is not embedded is stood in for. Of a file with many networks only the cheapest one is run.
"""

import random
import re
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from shipped import SMALL, four_photographs

from genolang.api import Spec, load
from genolang.compiler import driver
from genolang.diagnostics import GenoError
from genolang.search.space import random_genotype
from genolang.search.writeback import discrete_program
from genolang.semantics.methods import EanSettings
from genolang.semantics.modules import LIBRARY
from genolang.semantics.program import Program
from genolang.semantics.sections import search_settings, train_settings
from genolang.semantics.settings import SearchSettings, TrainSettings, crop_size
from genolang.train.datasets import Dataset, load_data
from genolang.train.phase import Phase
from genolang.train.training import train_network

torch.set_num_threads(1)
CPU = torch.device("cpu")
SPECS = sorted(LIBRARY.rglob("*.geno"))
# What a recipe means by its data: shape and classes.
PUBLISHED = {
    "cifar10": ((3, 32, 32), 10),
    "cifar100": ((3, 32, 32), 100),
    "folder:data/imagenet": ((3, 224, 224), 1000),
    # This one takes long to draw.
    "cluttered_digits": ((1, 32, 32), 10),
}
NARROW = {**SMALL, "width": 16, "blocks": [1, 1, 1, 1], "widen": 1, "modules": [1, 1, 1], "alpha": "1/4"}
# One block in each of three stages; a search writes schemes into its file, which has others of the full depth.
DEPTHS = {
    ("ean/resnet164", False): 11,
    ("ean/resnet164", True): 164,
    ("resnet/cifar", False): 8,
    ("apnas/search", True): 8,
    ("apnas/found", False): 8,
    ("aacn/wide_resnet", False): 10,
}


def having(kind: str) -> list[str]:
    """The shipped specs with such a section."""
    return [
        path.relative_to(LIBRARY).with_suffix("").as_posix()
        for path in SPECS
        if re.search(rf"^{kind} \{{", path.read_text("utf-8"), re.M)
    ]


TRAINED, SEARCHED = having("train"), having("search")


@cache
def spec_of(name: str) -> Spec:
    return load(name)


def training(name: str) -> TrainSettings:
    return train_settings(spec_of(name).checked.module.sections("train"), {})


def searching(name: str) -> SearchSettings:
    return search_settings(spec_of(name).checked.module.sections("search"), {})


def programs(name: str, searched: bool) -> list[Program]:
    """The complete networks of a spec: those with open choices, or those without."""
    found = spec_of(name).checked.programs.values()
    return [program for program in found if bool(program.choices) == searched]


@cache
def data_of(name: str, size: int | None) -> Dataset:
    return load_data(name, size=size)


def shape_of(settings: TrainSettings | SearchSettings) -> tuple[tuple[int, int, int], int]:
    if settings.data in PUBLISHED:
        return PUBLISHED[settings.data]
    data = data_of(settings.data, crop_size(settings.augment))
    return data.image_shape, data.classes


def test_every_paper_has_its_recipes() -> None:
    assert {
        "resnet/cifar",
        "resnet/imagenet",
        "ean/resnet164",
        "ean/resnet50",
        "residual_attention/cifar",
        "residual_attention/imagenet",
        "darts/v1",
        "darts/v2",
        "darts/imagenet",
        "att_darts/found",
        "att_darts/imagenet",
        "apnas/search",
        "aacn/resnet",
        "aacn/wide_resnet",
    } <= set(TRAINED)
    assert {
        "darts/search",
        "att_darts/search",
        "att_darts/product",
        "apnas/search",
        "ean/resnet164",
        "ean/resnet50",
    } <= set(SEARCHED)


@pytest.mark.parametrize("name", sorted({*TRAINED, *SEARCHED}))
def test_the_data_of_a_recipe_fits_its_networks(name: str) -> None:
    recipes: list[tuple[TrainSettings | SearchSettings, list[Program]]] = []
    if name in SEARCHED:
        recipes.append((searching(name), programs(name, True)))
    if name in TRAINED:
        # The training of a search is for its answer, which has the shape of the supernet.
        recipes.append((training(name), programs(name, False) or programs(name, True)))
    for settings, networks in recipes:
        shape, classes = shape_of(settings)
        assert (shape, classes) in [(tuple(n.input), n.output.C) for n in networks]
        assert crop_size(settings.augment) == (224 if settings.data == "folder:data/imagenet" else None)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> str:
    return four_photographs(tmp_path_factory.mktemp("photographs"))


def four_images(settings: TrainSettings | SearchSettings, program: Program, photographs: str) -> Dataset:
    """Four images for training, as the recipe's own are, with the classes that the network has."""
    if settings.data == "folder:data/imagenet":
        data = data_of(photographs, crop_size(settings.augment))
    elif settings.data in PUBLISHED:
        pixels = torch.randint(0, 256, (4, *program.input), dtype=torch.uint8)
        data = Dataset("made up", pixels, torch.arange(4), pixels, torch.arange(4), 4, (), (0.5,), (0.2,))
    else:
        data = data_of(settings.data, None)
    labels = data.train_labels[:4]
    return replace(
        data,
        train_images=data.train_images[:4],
        test_images=data.test_images[:0],
        test_labels=data.test_labels[:0],
        train_labels=labels % program.output.C if labels.dtype == torch.int64 else labels,
    )


def narrow(name: str, searched: bool) -> tuple[Program, dict[str, Any]]:
    """The cheapest network of a spec with those narrow parameters that it has, and these."""
    chosen = min(programs(name, searched), key=lambda program: program.block.macs)
    given = NARROW | {"depth": DEPTHS.get((name, searched), 2 if searched else 3)}
    while True:
        try:
            return spec_of(name).network(chosen.name, **given).program, given
        except GenoError as error:
            message = error.diagnostics[0].message
            unknown = [key for key in given if f"`{key}`" in message]
            assert unknown, message
            del given[unknown[0]]


@pytest.mark.parametrize("name", TRAINED)
def test_a_training_step_of_every_recipe_runs(name: str, photographs: str) -> None:
    answer = not programs(name, False)
    program, given = narrow(name, answer)
    if answer:
        genotype = random_genotype(program, random.Random(0))
        program = discrete_program(spec_of(name).checked, program, genotype, given)
    settings = replace(training(name), epochs=1, batch=2, split=0.5)
    module = driver.to_module(program)
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    result = train_network(module, settings, four_images(settings, program, photographs), Phase(0, CPU))
    assert result.epochs == 1 and result.history[0].train_loss > 0
    assert any(not torch.equal(before[key], tensor) for key, tensor in module.state_dict().items())


def test_published_searches_measure_as_their_codes_do_and_small_ones_by_fresh_statistics() -> None:
    assert searching("ean/resnet164").sampling == EanSettings(steps=1000)
    small = {"quickstart", "ean/clutter", "apnas/clutter", "aacn/share_search"}
    assert {name for name in SEARCHED if searching(name).statistics} == small
