"""`python -m genolang` is `genoc`."""

from genolang.cli.main import main

main(prog_name="genoc")
