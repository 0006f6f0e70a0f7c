"""What a trained network's source says of its images and classes."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import Any

_PREPARED = '''
def prepare(images: Tensor) -> Tensor:
    """Images (B, C, H, W), uint8 or on the scale 0 to 1, as the network was trained on them."""
    if images.dtype == torch.uint8:
        images = images.float() / 255
    mean, std = (images.new_tensor(values).view(1, -1, 1, 1) for values in (MEAN, STD))
    return (images - mean) / std
'''


def images_text(card: Mapping[str, Any]) -> str:
    """Constants and a function: what stands in the card goes in as numbers and as escaped text."""
    colours = card["colours"] if card["colours"] in ("grey", "RGB") else "its"
    lines = [f"# It takes {colours} images of {'x'.join(map(str, map(int, card['image'])))}, normalised by `prepare`."]
    for name, kind, values in (("MEAN", "float", card["mean"]), ("STD", "float", card["std"])):
        lines += _constant(name, kind, [repr(float(value)) for value in values])
    lines += _constant("CLASSES", "str", [_escaped(value) for value in card["classes"]])
    return "\n".join(lines) + "\n\n" + _PREPARED


def _constant(name: str, kind: str, values: list[str]) -> list[str]:
    """A tuple on a line, or on as many as it takes."""
    head, words = f"{name}: tuple[{kind}, ...] = (", [f"{value}," for value in values]
    if len(head) + len(" ".join(words)) < 100:
        return [f"{head}{' '.join(words)})"]
    # A space in a text is no place to break it.
    text = " ".join(word.replace(" ", "\0") for word in words)
    rows = wrap(text, 100, break_long_words=False, break_on_hyphens=False)
    return [head, *(f"    {row}".replace("\0", " ") for row in rows), ")"]


def _escaped(text: str) -> str:
    """A literal of this text in ASCII, which ends where it should."""
    body = text.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    return f'"{body}"'
