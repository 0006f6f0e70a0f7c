"""Every shipped search: what is decided, what is selected and what is written back are one network."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
from generated.search_answers import Answer, undecided_where_dropped

from genolang.api import load
from genolang.diagnostics import Source
from genolang.search.schemes import SchemeSpace
from genolang.semantics.check import Checked, check_source, expand_network
from genolang.semantics.modules import library_names

CELLS = {"channels": 4, "depth": 3, "classes": 3}
# Parameters that make the networks of a spec small, and the size of an image where it is another than declared.
SMALL: dict[str, tuple[dict[str, Any], tuple[int, int] | None]] = {
    "darts/search": (CELLS, (16, 16)),
    "att_darts/search": (CELLS, None),
    "att_darts/product": (CELLS, None),
    "quickstart": (CELLS, None),
    "aacn/share_search": ({"width": 8, "classes": 3}, None),
    "apnas/clutter": ({"width": 4}, None),
    "apnas/search": ({"depth": 8, "width": 4}, None),
    "ean/clutter": ({"width": 4}, None),
    "ean/resnet164": ({}, None),
    "ean/resnet50": ({}, (64, 64)),
    "residual_attention/search": ({"channels": 4, "classes": 3}, None),
}
# Where the number of slots hangs on a parameter, an answer has as many bits: here the text itself is of another
# depth, without the published answers of its own.
SHORTER = {
    "ean/resnet164": ("resnet_cifar(depth=164", "resnet_cifar(depth=20, width=8"),
    "ean/resnet50": ("resnet_imagenet(blocks=[3, 4, 6, 3]", "resnet_imagenet(blocks=[1, 2, 1, 1], width=16"),
}


def searches() -> Iterator[tuple[str, str]]:
    """Every network with open choices in a shipped spec that has a `search` section."""
    for parts in library_names():
        spec = load("/".join(parts))
        if spec.checked.module.sections("search"):
            yield from (("/".join(parts), name) for name, p in spec.checked.programs.items() if p.choices)


SEARCHES = list(searches())


def test_no_shipped_search_is_left_out():
    assert {spec for spec, _ in SEARCHES} == set(SMALL)


@cache
def shorter(spec: str) -> Checked:
    checked = load(spec).checked
    old, new = SHORTER.get(spec, ("", ""))
    if not old:
        return checked
    source = checked.module.source
    text = re.sub(r"network \w+ = org\n  with [^\[]* where \[[^\]]*\]\n", "", source.text).replace(old, new)
    found = check_source(Source(source.name, text), checked.module.path)
    assert found.ok and old in source.text
    return found


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("spec", "name"), [pytest.param(spec, name, id=f"{spec}-{name}") for spec, name in SEARCHES])
def test_an_answer_of_a_shipped_search_is_what_was_decided(spec, name, seed):
    given, size = SMALL[spec]
    checked = shorter(spec)
    program = expand_network(checked, name, given)
    space = SchemeSpace(program)
    scheme = space.draw(generator=torch.Generator().manual_seed(seed))
    answer = Answer(checked, program, undecided_where_dropped(space, scheme), **given)
    answer.check_names()
    answer.check(size=size, fused=seed == 0)
