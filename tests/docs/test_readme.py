import re
from pathlib import Path

from genolang.cli.main import COMMANDS

TEXT = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def test_every_command_is_in_the_table() -> None:
    rows = re.findall(r"^\| (`genoc [^|]*) \|", TEXT, re.MULTILINE)
    named = re.findall(r"`(?:genoc )?(\w+)`", " ".join(rows))
    assert sorted(named) == sorted(COMMANDS)
