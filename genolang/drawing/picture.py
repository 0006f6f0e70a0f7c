"""What is drawn, before anybody knows where: nodes, edges between them, groups, and notes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["right", "down"]
NodeKind = Literal["input", "node", "output", "layer", "join", "module", "attention", "choice", "cell"]
EdgeKind = Literal["operation", "choice", "flow"]
LineKind = Literal["operation", "attention", "choice", "shape"]

MAX_LINE = 44


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an edge's label."""

    text: str
    kind: LineKind


@dataclass(frozen=True, slots=True)
class Node:
    """A box: its label, smaller lines below it, and the full text that a pointer shows."""

    id: str
    label: str
    kind: NodeKind
    details: tuple[str, ...] = ()
    tip: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow; `lines` is the label in it. Edges of one `hue` (a small number) share a colour."""

    start: str
    end: str
    lines: tuple[Line, ...] = ()
    kind: EdgeKind = "flow"
    tip: str = ""
    hue: int | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Nodes that stand together under one label."""

    label: str
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """One drawing; `direction` is where its arrows lead."""

    name: str
    title: str
    direction: Direction
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    groups: tuple[Group, ...] = ()
    notes: tuple[str, ...] = ()


def short(text: str, limit: int = MAX_LINE) -> str:
    """The text cut to a number of characters, the cut shown."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
