"""What only the class of the whole network has, in the generated Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from genolang.compiler.ir import Graph
from genolang.compiler.python.names import quoted
from genolang.compiler.python.text import literal
from genolang.semantics.program import ChoiceSet


@dataclass(frozen=True, slots=True)
class NetworkText:
    """What only the network's own class has."""

    sets: Mapping[str, ChoiceSet]
    auxiliary_weight: float

    def docstring(self, graph: Graph) -> list[str]:
        image, result = graph.node(graph.inputs[0]).type, graph.node(graph.outputs[0]).type
        answer = ", ".join(map(str, result[:1] if result.is_vector else result))
        text = [f'    """(B, {image.C}, {image.H}, {image.W}) -> logits (B, {answer}).']
        if len(graph.outputs) == 2:
            text += [
                "",
                "    In training also the logits of the auxiliary head, whose share of the loss is",
                "    `auxiliary_weight`.",
            ]
        if self.sets:
            text += ["", "    `choices` holds the logits of the open decisions; they are not parameters."]
        return [text[0] + '"""', ""] if len(text) == 1 else [*text, '    """', ""]

    def attributes(self) -> list[str]:
        found = [f"        self.auxiliary_weight = {literal(float(self.auxiliary_weight))}"]
        if self.sets:
            found.append("        self.choices = {")
            for key, choice in self.sets.items():
                shape = f"{len(choice.rows)}, {len(choice.options)}"
                found.append(f"            {quoted(key)}: torch.zeros({shape}, requires_grad=True),")
            found.append("        }")
        return found

    def weights(self) -> list[str]:
        if not self.sets:
            return []
        return ["        weights = {key: t.softmax(-1) for key, t in self.choices.items()}"]

    def methods(self, drop_path: bool) -> list[str]:
        found: list[str] = []
        if drop_path:
            found += _SET_DROP_PATH
        return found + (_APPLY if self.sets else [])


_SET_DROP_PATH = """
    def set_drop_path(self, p: float) -> None:
        for module in self.modules():
            if isinstance(module, DropPath):
                module.p = p""".split("\n")

_APPLY = """
    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        for key, logits in self.choices.items():
            self.choices[key] = fn(logits.detach()).requires_grad_()
        return self""".split("\n")
