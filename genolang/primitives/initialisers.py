"""What weights begin as, by the names that torch and Keras have for it."""

from __future__ import annotations

from typing import Any

# Each word with the one that it is another name of, and the number behind it where none is given: None for
# words that need one.
INITIALISERS: dict[str, tuple[str, float | None]] = {
    "zeros": ("constant", 0.0),
    "ones": ("constant", 1.0),
    "constant": ("constant", None),
    "normal": ("normal", None),
    "uniform": ("uniform", None),
    "trunc_normal": ("trunc_normal", 0.02),
    "glorot_uniform": ("glorot_uniform", 1.0),
    "glorot_normal": ("glorot_normal", 1.0),
    "xavier_uniform": ("glorot_uniform", 1.0),
    "xavier_normal": ("glorot_normal", 1.0),
    "he_uniform": ("he_uniform", 1.0),
    "he_normal": ("he_normal", 1.0),
    "kaiming_uniform": ("he_uniform", 1.0),
    "kaiming_normal": ("he_normal", 1.0),
    "lecun_uniform": ("lecun_uniform", 1.0),
    "lecun_normal": ("lecun_normal", 1.0),
    "orthogonal": ("orthogonal", 1.0),
}


def initialiser(text: Any) -> tuple[str, float] | None:
    """The word and the number of `he_normal`, `trunc_normal(0.02)` or a number; None for anything else."""
    if not isinstance(text, str):
        return ("constant", float(text))
    word, bracket, rest = text.partition("(")
    if word not in INITIALISERS or (bracket and not rest.endswith(")")):
        return None
    name, number = INITIALISERS[word]
    if bracket:
        try:
            number = float(rest[:-1])
        except ValueError:
            return None
    # A deviation is no number below 0, and one that is needed stands there.
    if number is None or not abs(number) < 1e30 or (number < 0 and name != "constant"):
        return None
    return name, number
