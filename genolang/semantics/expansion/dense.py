"""Networks that answer for every pixel of their image, and the image by name in their text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genolang.semantics.expansion.builder import MapValue
from genolang.semantics.expansion.frames import Frame
from genolang.semantics.modules import DefinitionRef, is_map_param
from genolang.semantics.program import BlockNode

IMAGE = "input"
"""What the image of a network is called in the network's text."""


def answers_every_pixel(value: MapValue) -> bool:
    """Whether an output of a network has been brought to its image's size by `resize(like=input)`.

    Nothing else makes an output a map: a head that forgets to pool has a map of some size, too, and
    is a mistake (G309).
    """
    nodes = value.builder.nodes
    image = next(i for i, node in enumerate(nodes) if node.kind == "input")
    return _ends_like(nodes, value.index, image)


def _ends_like(nodes: Any, index: int, image: int) -> bool:
    """Whether a node, or the last one of the definition that it calls, resizes to the size of another."""
    node: BlockNode = nodes[index]
    if node.body is None:
        return node.layer == "resize" and node.inputs[1:] == (image,)
    # The inputs of a block are its first nodes.
    body, places = node.body, [place for place, i in enumerate(node.inputs) if i == image]
    return any(_ends_like(body.nodes, body.outputs[0], place) for place in places)


def image_maps(ref: DefinitionRef, given: Mapping[str, Any], maps: int, frame: Frame) -> dict[str, MapValue]:
    """The image for map parameters that have it as their default, where too few maps are given."""
    image = frame.names.get(IMAGE)
    free = [name for name in ref.map_params if name not in given]
    if len(free) <= maps or not isinstance(image, MapValue):
        return {}
    return {
        param.name: image
        for param in ref.syntax.params
        if param.name in free and is_map_param(param, ref.kind) and param.default is not None
    }
