"""What is said to a user about a program: one statement, one message, the places it concerns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from genolang.diagnostics.codes import CODES
from genolang.diagnostics.span import Span
from genolang.records import record

Severity = Literal["error", "warning"]


@record(frozen=True)
class Label:
    """A second place that matters, and what stands there."""

    span: Span
    text: str


@record(frozen=True)
class Diagnostic:
    """A message with a stable code, a main place, further places, one help line and notes."""

    code: str
    message: str
    span: Span | None = None
    labels: tuple[Label, ...] = ()
    help: str | None = None
    notes: tuple[str, ...] = ()
    severity: Severity = "error"

    def __post_init__(self) -> None:
        assert self.code in CODES, f"undeclared diagnostic code {self.code}"

    @property
    def name(self) -> str:
        return CODES[self.code]

    def to_json(self) -> dict[str, object]:
        """The contract's keys; places are null for a message about no text (a missing file)."""
        place: dict[str, object] = dict.fromkeys(("file", "line", "column", "end_line", "end_column"))
        if self.span is not None:
            line, column = self.span.source.position(self.span.start)
            end_line, end_column = self.span.source.position(self.span.end)
            place = {
                "file": self.span.source.name,
                "line": line,
                "column": column,
                "end_line": end_line,
                "end_column": end_column,
            }
        return {
            "code": self.code,
            "name": self.name,
            "severity": self.severity,
            **place,
            "message": self.message,
            "help": self.help,
            "notes": [*self.notes, *(f"{label.span!r}: {label.text}" for label in self.labels)],
        }


class GenoError(Exception):
    """One or more diagnostics that stop what was asked for."""

    def __init__(self, diagnostics: Diagnostic | Iterable[Diagnostic]) -> None:
        self.diagnostics: Sequence[Diagnostic] = (
            (diagnostics,) if isinstance(diagnostics, Diagnostic) else tuple(diagnostics)
        )
        super().__init__("; ".join(f"{d.code}: {d.message}" for d in self.diagnostics))


def fail(
    code: str,
    message: str,
    span: Span | None = None,
    *,
    help: str | None = None,
    notes: Iterable[str] = (),
    labels: Iterable[Label] = (),
) -> GenoError:
    """A one-diagnostic error, to be raised by the caller."""
    return GenoError(Diagnostic(code, message, span, tuple(labels), help, tuple(notes)))
