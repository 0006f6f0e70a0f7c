"""What weights say of the images that they take, on its way into files and back."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genolang.compiler.python.images import images_text
from genolang.diagnostics import GenoError
from genolang.train.card import Card, read_card
from genolang.train.weights import opened_with_card, sealed

NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False)
SCALES = st.floats(1e-6, 1e6)


@st.composite
def cards(draw):
    channels = draw(st.sampled_from([1, 3]))
    numbers = lambda of: tuple(draw(st.lists(of, min_size=channels, max_size=channels)))  # noqa: E731
    return Card(
        draw(st.text()),
        draw(st.dictionaries(st.text(), st.text(), max_size=3)),
        draw(st.sampled_from(["classification", "segmentation", "counting"])),
        (channels, draw(st.integers(1, 999)), draw(st.integers(1, 999))),
        "grey" if channels == 1 else "RGB",
        numbers(NUMBERS),
        numbers(SCALES),
        draw(st.booleans()),
        tuple(draw(st.lists(st.text(), max_size=30))),
        draw(st.text()),
        "a" * 64,
        "b" * 64,
    )


@given(cards())
@settings(max_examples=60, deadline=None)
def test_a_card_comes_back_from_a_file_of_weights_as_it_was(tmp_path_factory, card):
    path = tmp_path_factory.getbasetemp() / "w.safetensors"
    tensors, told = opened_with_card(path, sealed({"w": torch.ones(2)}, card.to_json()))
    assert read_card("w", told) == card and tensors["w"].tolist() == [1, 1]


@given(cards())
@settings(max_examples=60, deadline=None)
def test_the_emitted_source_says_the_same_numbers_and_names_whatever_they_hold(card):
    text = "import torch\nfrom torch import Tensor\n" + images_text(card.to_json())
    assert text.isascii() and max(map(len, text.splitlines()[:4])) <= 120
    found: dict = {}
    exec(compile(text, "emitted", "exec"), found)
    assert (found["MEAN"], found["STD"], found["CLASSES"]) == (card.mean, card.std, card.classes)
    images = torch.randint(0, 256, (2, card.image[0], 3, 3), dtype=torch.uint8)
    assert torch.equal(found["prepare"](images), found["prepare"](images.float() / 255))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mean", [float("inf")]),
        ("mean", [0.1, 0.2]),
        ("mean", "0"),
        ("std", [0.0]),
        ("std", [True]),
        ("image", [1, 8]),
        ("image", [1, 8, 10**9]),
        ("image", [1, 8, 8.0]),
        ("classes", [1]),
        ("classes", None),
        ("set", ["a"]),
        ("set", {"a": 1}),
        ("task", "detection"),
        ("cut", 1),
        ("network", None),
    ],
)
def test_what_is_no_card_is_refused(name, value):
    whole = Card("n", {}, "classification", (1, 8, 8), "grey", (0.1,), (0.2,), False, ("a",), "digits", "", "")
    assert read_card("w", json.loads(json.dumps(whole.to_json()))) == whole
    with pytest.raises(GenoError) as error:
        read_card("w", {**whole.to_json(), name: value})
    assert error.value.diagnostics[0].code == "G705"


def test_weights_that_were_never_trained_have_none():
    assert read_card("w", {"network": "n", "set": {}, "version": "0"}) is None
