"""The files of a search's answers: where they come from, and what is wrong with one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from genolang.cli.request import Request


def origin(request: Request, checked: Any, settings: Any) -> list[str]:
    """The lines of a found spec's header that say where it comes from."""
    import hashlib

    from genolang.version import __version__

    source = checked.module.source
    digest = hashlib.sha256(source.text.encode()).hexdigest()
    return [
        f"from: {Path(source.name).name} (sha256 {digest[:16]}), data {request.data or settings.data}",
        f"written by genolang {__version__}",
    ]


def write_answer(path: Path, checked: Any, program: Any, genotype: Any, given: Any, header: list[str]) -> None:
    """Write an answer's text, read again; one that has an error is kept beside it, and the error raised."""
    from genolang.diagnostics import GenoError
    from genolang.files import write_text
    from genolang.search.reading import verify
    from genolang.search.writeback import discrete_text

    text = discrete_text(checked, program, genotype, header, given=given)
    try:
        verify(checked, program, genotype, given, text)
    except GenoError as error:
        rejected = path.with_suffix(".rejected.geno")
        first, rest = text.split("\n", 1)
        reasons = "".join(f"# rejected: {d.code} {d.message}\n" for d in error.diagnostics)
        write_text(rejected, f"{first}\n{reasons}{rest}")
        note = f"what was found is kept in `{rejected}`"
        raise GenoError([replace(d, notes=(*d.notes, note)) for d in error.diagnostics]) from None
    write_text(path, text)
