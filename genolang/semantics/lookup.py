"""Where a name of the library or of the primitives is defined, and what it is."""

from __future__ import annotations

import itertools
import re

from genolang.primitives import PRIMITIVES, Primitive
from genolang.records import record
from genolang.semantics.modules import DefinitionRef, library_module, library_names
from genolang.semantics.signatures import definition_signature, primitive_signature

# The place of an expression leaves out the round brackets around it.
_CLOSING = re.compile(r"(?:\s*\))*")


@record(frozen=True)
class Entry:
    """One thing that a name stands for. `kind` is `primitive`, `file`, or the definition's word."""

    name: str
    kind: str
    file: str
    line: int
    signature: str
    comment: str
    text: str

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "kind": self.kind,
            "file": self.file,
            "line": self.line,
            "signature": self.signature,
            "comment": self.comment,
            "text": self.text,
        }


def find_entries(name: str) -> list[Entry]:
    """Everything of that name: `cbam`, `std.attention.cbam`, `std.ops`, `conv`; shipped files too."""
    path = tuple(name.replace("/", ".").removesuffix(".geno").split("."))
    if path[0] == "specs" and len(path) > 1:
        path = path[1:]
    if path in library_names():
        return [_file(path)]
    *folder, last = path
    found = []
    if not folder or folder == ["core"]:
        found += [_primitive(PRIMITIVES[last])] if last in PRIMITIVES else []
    for module in library_names():
        if not folder or tuple(folder) == module:
            ref = library_module(module).definitions.get(last)
            # Specs of papers have their own cells and networks of the same few names.
            if ref is not None and (folder or module[0] == "std" or ref.kind in ("op", "attention")):
                found.append(_definition(ref, module))
    return found


def known_names() -> set[str]:
    """Every name that `find_entries` finds, short and in full."""
    names = set(PRIMITIVES)
    for module in library_names():
        shown = ".".join(module)
        names.add(shown)
        for ref in library_module(module).definitions.values():
            names.add(f"{shown}.{ref.name}")
            if module[0] == "std":
                names.add(ref.name)
    return names


def _primitive(primitive: Primitive) -> Entry:
    maps = {0: "no feature map", 1: "one feature map", None: "one or more feature maps"}
    takes = f"It takes {maps.get(primitive.maps, f'{primitive.maps} feature maps')}."
    if any(f.kind == "map" for f in primitive.fields):
        takes = ""
    return Entry(
        primitive.name,
        "primitive",
        "genolang/primitives",
        0,
        primitive_signature(primitive),
        f"{primitive.doc} {takes}".strip(),
        "",
    )


def _definition(ref: DefinitionRef, module: tuple[str, ...]) -> Entry:
    span = ref.syntax.span
    closing = _CLOSING.match(span.source.text, span.end)
    assert closing is not None
    return Entry(
        ".".join((*module, ref.name)),
        ref.kind,
        "/".join(module) + ".geno",
        span.line,
        definition_signature(ref.syntax),
        _comment_above(ref),
        span.source.text[span.start : closing.end()],
    )


def _comment_above(ref: DefinitionRef) -> str:
    """The comment lines that end right above a definition, without their signs."""
    source, line = ref.module.source, ref.syntax.span.line
    found: list[str] = []
    while line > 1 and source.line(line - 1).startswith("#"):
        line -= 1
        found.insert(0, source.line(line).lstrip("# ").rstrip())
    return "\n".join(found)


def _file(path: tuple[str, ...]) -> Entry:
    module = library_module(path)
    lines = itertools.takewhile(lambda line: line.startswith("#"), module.source.text.split("\n")[1:])
    above = [line.lstrip("# ").rstrip() for line in lines]
    text = "\n".join(f"{ref.kind} {definition_signature(ref.syntax)}" for ref in module.definitions.values())
    name = ".".join(path)
    return Entry(name, "file", "/".join(path) + ".geno", 1, f"import {name}", "\n".join(above), text)
