"""Spans, diagnostics, their codes and their rendering. Imports nothing of genolang's other layers."""

from genolang.diagnostics.diagnostic import Diagnostic, GenoError, Label, fail
from genolang.diagnostics.render import printable, render, render_all, render_line
from genolang.diagnostics.span import Source, Span
from genolang.diagnostics.suggest import did_you_mean

__all__ = [
    "Diagnostic",
    "GenoError",
    "Label",
    "Source",
    "Span",
    "did_you_mean",
    "fail",
    "printable",
    "render",
    "render_all",
    "render_line",
]
