"""What must hold of every answer of a search space: three networks that are one."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import torch
from generated.search_maker import Spec
from torch import Tensor

from genolang.api import Network
from genolang.diagnostics import Source
from genolang.lang import syntax as s
from genolang.lang.parser import parse
from genolang.search.handover import names_of_answer, weights_of_answer
from genolang.search.schemes import SchemeSpace
from genolang.search.space import derive
from genolang.search.writeback import discrete_text
from genolang.semantics.check import Checked, check_source, expand_network
from genolang.semantics.program import Program
from genolang.semantics.space import count_genotypes, usable

torch.set_num_threads(1)

# Softmax of these is exactly one and zeros.
SURE = 1e4


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="generated-specs-"))


def checked_spec(spec: Spec) -> Checked:
    """The spec, checked; files that it imports lie beside it."""
    path = _folder() / "spec.geno"
    for name, content in spec.files.items():
        (path.parent / name).parent.mkdir(exist_ok=True)
        (path.parent / name).write_text(content)
    return check_source(Source("spec.geno", spec.text), path)


def problems(checked: Checked) -> list[str]:
    return [f"{d.code} {d.message}: {d.span.text if d.span else ''}" for d in checked.diagnostics]


class Answer:
    """One decision of every row of a space, and the network of the file that was written for it."""

    def __init__(self, checked: Checked, program: Program, scheme: Sequence[int], **given: Any) -> None:
        space = SchemeSpace(program)
        self.program, self.scheme = program, tuple(scheme)
        self.selection, self.logits = space.selection(self.scheme), space.logits(self.scheme)
        self.genotype = space.genotype(self.scheme)
        self.text = discrete_text(checked, program, self.genotype)
        self.checked = check_source(Source("answer.geno", self.text), checked.module.path)
        assert not problems(self.checked), problems(self.checked)
        self.answer = expand_network(self.checked, program.name, given)
        assert not self.answer.choices, f"still open: {list(self.answer.choices)}"
        assert count_genotypes(self.answer) == 1
        self.names = names_of_answer(checked, program, self.genotype, self.answer)
        # Where no alternative is zeros, edges that an answer drops are still there in the supernet.
        self.complete = all(
            cell.keep is None or any(option.zero for option in program.choices[cell.rank_by].options)
            for cell in program.cells
        )

    def check(self, *, fused: bool = True, size: tuple[int, int] | None = None, seed: int = 0) -> None:
        supernet = Network(self.program).module(fused).double().eval()
        written = Network(self.answer).module(fused).double().eval()
        randomise(supernet, seed)
        neutral(supernet, set(self.names.values()))
        written.load_state_dict(weights_of_answer(self.names, supernet.state_dict(), written.state_dict()))
        C, H, W = self.program.input
        images = torch.randn(
            2, C, *(size or (H, W)), dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
        )
        with torch.no_grad():
            expected = written(images)
            if self.complete:
                supernet.select(self.selection)
                same(supernet(images), expected, "the selected supernet")
                supernet.select(None)
                for key, rows in self.logits.items():
                    supernet.choices[key] = torch.tensor(rows) * SURE
                same(supernet(images), expected, "the supernet at one-hot logits")

    def check_names(self) -> None:
        """An answer's names are the supernet's without the words of choices, but for numbers behind words."""
        words = {_bare(choice.name) for choice in self.program.choices.values()} | {"choice"}
        for new, old in self.names.items():
            left = [_bare(word) for word in old.split(".")]
            for word in map(_bare, new.split(".")):
                while left[0] != word and left[0] in words:
                    left.pop(0)
                assert left.pop(0) == word, (new, old)
            assert not set(left) - words, (new, old)


def _bare(word: str) -> str:
    head, _, number = word.rpartition("_")
    return head if head and number.isdigit() else word


def randomise(module: torch.nn.Module, seed: int) -> None:
    """Weights and statistics that differ everywhere, so that no layer can be taken for another."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict(keep_vars=True).items():
        with torch.no_grad():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif tensor.is_floating_point() and tensor.dim() == 1:
                tensor.add_(torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype) * 0.2)


def neutral(module: torch.nn.Module, kept: set[str]) -> None:
    """Batch norms that a search alone has, which no answer takes over, change nothing."""
    for name, layer in module.named_modules():
        if isinstance(layer, torch.nn.BatchNorm2d) and not layer.affine and name not in kept:
            layer.running_mean.zero_()
            layer.running_var.fill_(1 - layer.eps)


def same(found: Tensor, expected: Tensor, what: str) -> None:
    error = (found - expected).abs().max().item()
    scale = max(1.0, expected.abs().max().item())
    assert error <= 1e-9 * scale, f"{what} is off by {error:.3g} of {scale:.3g}"


def count_by_hand(checked: Checked, program: Program, most: int = 400) -> int | None:
    """How many different files answers are written to, for a space of no more than so many combinations.

    A decision's alternatives are all tried, each strongly and weakly, so that every set of edges is kept.
    """
    strengths = (4.0, 1.0) if any(cell.keep is not None for cell in program.cells) else (4.0,)
    rows = [(key, row) for key, choice in program.choices.items() for row in range(len(choice.rows))]
    ways = [[(option, strength) for option in usable(program, key) for strength in strengths] for key, _ in rows]
    if prod(map(len, ways)) > most:
        return None
    genotypes = set()
    for chosen in product(*ways):
        logits = {key: [[0.0] * len(c.options) for _ in c.rows] for key, c in program.choices.items()}
        for (key, row), (option, strength) in zip(rows, chosen, strict=True):
            logits[key][row][option] = strength
        genotypes.add(derive(program, logits))
    texts = {discrete_text(checked, program, genotype) for genotype in genotypes}
    ends = [(cell.definition, edge.start, edge.end) for cell in program.cells for edge in cell.edges]
    if len(strengths) == 1:
        return len(texts)
    # Of two edges between the same nodes the text does not tell which is which.
    return len(set(map(_without_order, texts))) if len(set(ends)) == len(ends) else None


def _without_order(text: str) -> str:
    """The text as a tree, with the edges of a cell in one order: theirs tells only how strong they are."""

    def sorted_edges(item: s.Item) -> s.Item:
        if not isinstance(item, s.Definition) or not isinstance(item.body, tuple):
            return item
        body = tuple(
            replace(st, edges=tuple(sorted(st.edges, key=repr))) if isinstance(st, s.Edges) else st for st in item.body
        )
        return replace(item, body=body)

    return repr(tuple(map(sorted_edges, parse(Source("answer.geno", text))[0].items)))


def undecided_where_dropped(space: SchemeSpace, scheme: Sequence[int]) -> tuple[int, ...]:
    """The scheme with the first alternative for what else stands on an edge that it drops: that is nothing
    to an answer, but what a supernet at one-hot logits makes of zeros may not be zeros."""
    places = [space.program.choices[row.key].rows[row.row] for row in space.rows]
    dropped = {
        (places[row].definition, places[row].edge): kept.zero
        for kept in space.kept
        for row in kept.rows
        if scheme[row] == kept.zero
    }
    ranks = {row for kept in space.kept for row in kept.rows}
    return tuple(
        0 if number not in ranks and (place.definition, place.edge) in dropped else option
        for number, (place, option) in enumerate(zip(places, scheme, strict=True))
    )
