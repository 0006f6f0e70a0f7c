"""The words of `augment`: what they mean, their bounds, and that the reference has them all."""

import re
from pathlib import Path

import pytest

from genolang.api import check
from genolang.diagnostics import Source
from genolang.lang.parser import parse
from genolang.lang.syntax import Section
from genolang.semantics.sections import _AUGMENTATIONS, train_settings
from genolang.semantics.settings import Augmentation, crop_size

PAGE = (Path(__file__).parents[2] / "docs" / "language.md").read_text("utf-8")


def text(augment: str) -> str:
    return f"geno 1\ntrain {{\n  augment {augment}\n}}\n"


def read(augment: str) -> tuple[Augmentation, ...]:
    file, problems = parse(Source("x", text(augment)))
    assert not problems
    return train_settings([item for item in file.items if isinstance(item, Section)], {}).augment


@pytest.mark.parametrize(
    "augment, meant",
    [
        ("[resized_crop(160), flip]", [Augmentation("resized_crop", 160), Augmentation("flip")]),
        ("resized_crop", [Augmentation("resized_crop", 224)]),
        ("[jitter(0.4, hue=0.2)]", [Augmentation("jitter", 0.4, 0.2)]),
        (
            "[jitter, crop, shift, cutout]",
            [
                Augmentation("jitter", 0.4),
                Augmentation("crop", 4),
                Augmentation("shift", 0.15),
                Augmentation("cutout", 16),
            ],
        ),
        ("[jitter(hue=0.1)]", [Augmentation("jitter", 0.4, 0.1)]),
    ],
)
def test_augmentations_mean_what_they_say(augment: str, meant: list[Augmentation]) -> None:
    assert list(read(augment)) == meant
    assert crop_size(read(augment)) == next((m.amount for m in meant if m.kind == "resized_crop"), None)


@pytest.mark.parametrize(
    "augment, code",
    [
        ("[resized_crop(0)]", "G503"),
        ("[resized_crop(224.5)]", "G503"),
        ("[resized_crop(5000)]", "G503"),
        ("[resized_crop(32), resized_crop(16)]", "G502"),
        ("[jitter(1.1)]", "G503"),
        ("[jitter(0.4, hue=0.6)]", "G503"),
        ("[jitter(0.4, 0.1, 0.1)]", "G501"),
        ("[flip(0.5)]", "G501"),
        ("[flip(hue=0.1)]", "G501"),
        ("[resize(32)]", "G504"),
    ],
)
def test_what_they_cannot_mean_is_refused(augment: str, code: str) -> None:
    assert [d.code for d in check(text(augment))] == [code]


def test_the_reference_has_every_word_with_its_defaults() -> None:
    start = PAGE.index("| `augment` | |")
    shown = re.findall(r"^\| `(\w+(?:\(.*?\))?)` \|", PAGE[start : PAGE.index("\n\n", start)], re.M)[1:]
    assert {word.split("(")[0] for word in shown} == set(_AUGMENTATIONS)
    for word in shown:
        assert read(f"[{word}]") == read(f"[{word.split('(')[0]}]")
