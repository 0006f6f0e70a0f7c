"""Names for the generated Python that mean nothing else there, whatever a spec calls its parts."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Collection

from torch import nn

from genolang.semantics.program import Path

# Names that the generated text uses itself.
OURS = frozenset(
    "self torch nn F Tensor weights mix mix_product subsample matmul standardize pad_channels super"
    " MEAN STD CLASSES prepare".split()
)
_ATTRIBUTES = frozenset((*dir(nn.Module()), *dir(nn.ModuleList()))) | frozenset(
    ("choices", "set_drop_path", "auxiliary_weight", "forward")
)


def is_plain(part: str) -> bool:
    """Whether a layer of this name can be reached as `self.name`."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", part) or part.startswith("__"):
        return False
    return not keyword.iskeyword(part) and part not in _ATTRIBUTES


def attribute(base: str, part: str, *, in_list: bool = False) -> str:
    """`base.part`, or another way to the same child where Python or torch has taken the name."""
    if in_list:
        return f"{base}[{int(part)}]"
    return f"{base}.{part}" if is_plain(part) else f"{base}._modules[{quoted(part)}]"


def quoted(text: str) -> str:
    """A string literal that holds exactly this text."""
    return json.dumps(text)


def class_name(name: str, taken: Collection[str]) -> str:
    """`sep_conv` as `SepConv`, numbered where that is taken."""
    words = [w for w in re.sub(r"[^A-Za-z0-9]", "_", name).split("_") if w]
    base = "".join(w[0].upper() + w[1:] for w in words)
    if not base or base[0].isdigit() or keyword.iskeyword(base):
        base = f"Block{'' if keyword.iskeyword(base) else base}" if base != "None" else "NoneBlock"
    return numbered(base, taken)


def variable(topic: Path, taken: Collection[str]) -> str:
    """A local name for what a topic (`n1`, `s0`) is about."""
    base = re.sub(r"[^A-Za-z0-9_]", "_", "_".join(topic)).lstrip("_") or "y"
    if base[0].isdigit():
        base = f"y{base}"
    if keyword.iskeyword(base) or base in OURS:
        base += "_"
    return numbered(base, taken)


def numbered(base: str, taken: Collection[str]) -> str:
    """`base`, or `base_2`, `base_3` ... the first that is free."""
    name, count = base, 1
    while name in taken:
        count += 1
        name = f"{base}{'' if base[0].isupper() else '_'}{count}"
    return name
