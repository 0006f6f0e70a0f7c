"""The search networks of DARTS and Att-DARTS, written by hand."""

from __future__ import annotations

import torch
from reference.attention import ATTENTIONS, MixedAttention, Size
from reference.operations import PRIMITIVES, FactorizedReduce, MixedOperation, relu_conv_bn
from torch import Tensor, nn
from torch.nn import functional as F

NODES, EDGES = 4, 14


def halved(size: Size) -> Size:
    return -(-size[0] // 2), -(-size[1] // 2)


class Edge(nn.Module):
    """A mixed operation and, in Att-DARTS, a mixed attention on its result."""

    def __init__(self, C: int, stride: int, size: Size | None) -> None:
        super().__init__()
        self.operation = MixedOperation(C, stride)
        self.gate = None if size is None else MixedAttention(C, size)

    def forward(self, x: Tensor, operation: Tensor, gate: Tensor | None) -> Tensor:
        y: Tensor = self.operation(x, operation)
        return y if self.gate is None or gate is None else self.gate(y, gate)


class SearchCell(nn.Module):
    def __init__(
        self, C_before: int, C_last: int, C: int, reduction: bool, after_reduction: bool, size: Size | None
    ) -> None:
        """`size` is the map's after the stride, None without attention."""
        super().__init__()
        self.reduction = reduction
        self.preprocess0 = FactorizedReduce(C_before, C, False) if after_reduction else relu_conv_bn(C_before, C, False)
        self.preprocess1 = relu_conv_bn(C_last, C, False)
        self.edges = nn.ModuleList(
            Edge(C, 2 if reduction and source < 2 else 1, size) for node in range(NODES) for source in range(2 + node)
        )

    def forward(self, s0: Tensor, s1: Tensor, operation: Tensor, gate: Tensor | None) -> Tensor:
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        at = 0
        for _ in range(NODES):
            total: Tensor | None = None
            for source in list(states):
                term = self.edges[at](source, operation[at], None if gate is None else gate[at])
                total = term if total is None else total + term
                at += 1
            assert total is not None
            states.append(total)
        return torch.cat(states[2:], 1)


class Supernet(nn.Module):
    """(B, 3, H, W) to (B, classes); `choices` holds the logits of the cells that occur, by our names."""

    def __init__(self, C: int, depth: int, classes: int, *, attention: bool = False, size: Size = (32, 32)) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 3 * C, 3, padding=1, bias=False), nn.BatchNorm2d(3 * C))
        self.cells = nn.ModuleList()
        before = last = 3 * C
        after_reduction = False
        for index in range(depth):
            reduction = index in (depth // 3, 2 * depth // 3)
            if reduction:
                C, size = 2 * C, halved(size)
            self.cells.append(SearchCell(before, last, C, reduction, after_reduction, size if attention else None))
            before, last, after_reduction = last, NODES * C, reduction
        self.classifier = nn.Linear(last, classes)
        kinds = {"reduction" if cell.reduction else "normal" for cell in self.cells}
        self.choices = {f"{kind}.operation": _logits(PRIMITIVES) for kind in kinds}
        if attention:
            self.choices |= {f"{kind}.gate": _logits(ATTENTIONS) for kind in kinds}

    def forward(self, image: Tensor) -> Tensor:
        s0 = s1 = self.stem(image)
        for cell in self.cells:
            kind = "reduction" if cell.reduction else "normal"
            operation = F.softmax(self.choices[f"{kind}.operation"], -1)
            gates = self.choices.get(f"{kind}.gate")
            gate = None if gates is None else F.softmax(gates, -1)
            s0, s1 = s1, cell(s0, s1, operation, gate)
        logits: Tensor = self.classifier(F.adaptive_avg_pool2d(s1, 1).flatten(1))
        return logits


def _logits(options: tuple[str, ...]) -> Tensor:
    return torch.zeros(EDGES, len(options), requires_grad=True)
