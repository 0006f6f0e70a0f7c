"""Choices written in place with different alternatives have rows of logits of their own."""

from pathlib import Path

from genolang.api import load


def test_two_choices_in_place_are_two_sets_even_with_as_many_alternatives(tmp_path: Path) -> None:
    spec = tmp_path / "two.geno"
    spec.write_text(
        "geno 1\nop unit = (relu | silu) -> (conv(3) | conv(5))\n"
        "network n {\n  input image(3, 9, 7)\n  body unit -> unit\n"
        "  head global_avg_pool -> linear(4)\n}\n"
    )
    sets = load(spec).network().program.choices
    assert [[o.text for o in s.options] for s in sets.values()] == [["relu", "silu"], ["conv(3)", "conv(5)"]]
    assert [len(s.rows) for s in sets.values()] == [1, 1]
