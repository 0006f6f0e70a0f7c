"""An answer is read again: the text that is written has to say what was decided, nothing else.

The network of that text is expanded as the searched one was (with `searching` as it was there) and compared
with what was decided, layer by layer. Names could come to mean something else: an alternative `relu` where a
parameter is called so, a word of a choice's file that the user's file gives another meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genolang.diagnostics import GenoError, Source, fail
from genolang.search.handover import names_of_answer
from genolang.search.space import Genotype, derive
from genolang.search.writeback import discrete_text, recheck
from genolang.semantics.check import Checked, check_source, expand_network
from genolang.semantics.program import Program
from genolang.semantics.space import usable


def verify(checked: Checked, program: Program, genotype: Genotype, given: Mapping[str, Any], text: str) -> None:
    """Raise GenoError if a text that is to be written has an error or says something else (G423)."""
    recheck(checked, text)
    searching = any(not choice.plug for choice in program.choices.values())
    found = check_source(Source(checked.module.source.name, text), checked.module.path)
    answer = expand_network(found, program.name, given, searching=searching)
    try:
        names_of_answer(checked, program, genotype, answer)
    except ValueError as error:
        raise fail(
            "G423",
            f"the answer's file would not say what was decided: {error}",
            help="give what a choice names and the parameters of definitions that use it different names",
        ) from None


def verify_space(checked: Checked, program: Program, given: Mapping[str, Any]) -> None:
    """Raise GenoError if an answer could not be written: every alternative is written once and read again.

    Requirements of answers (G212) are not its matter.
    """
    ways = {key: usable(program, key) for key in program.choices}
    for number in range(max(map(len, ways.values()), default=0)):
        logits = {}
        for key, choice in program.choices.items():
            wanted = ways[key][min(number, len(ways[key]) - 1)]
            row = [float(option == wanted) for option in range(len(choice.options))]
            logits[key] = [row] * len(choice.rows)
        genotype = derive(program, logits)
        try:
            verify(checked, program, genotype, given, discrete_text(checked, program, genotype, given=given))
        except GenoError as error:
            if any(d.code != "G212" for d in error.diagnostics):
                raise
