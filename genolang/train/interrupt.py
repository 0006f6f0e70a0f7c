"""Stopping at a step boundary instead of in the middle of a step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from genolang.diagnostics import GenoError, fail
from genolang.train.reporter import Reporter


class Interrupt:
    """Whether the user, or the system, has asked the run to stop."""

    def __init__(self) -> None:
        self.requested = False

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Notes a KeyboardInterrupt raised inside and goes on; around calls of a reporter."""
        try:
            yield
        except KeyboardInterrupt:
            self.requested = True

    def tell(self, reporter: Reporter, lines: Iterable[str]) -> None:
        """Tells a reporter some lines."""
        with self.deferred():
            for line in lines:
                reporter.message(line)


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Turns the first SIGINT or SIGTERM inside into a request; a second one acts as usual.

    Outside the main thread, which alone may handle signals, only `deferred` makes requests.
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    # None stands for a handler that was not set from Python and cannot be put back.
    usual = {number: signal.getsignal(number) or signal.SIG_DFL for number in numbers}

    def put_back() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    def request(number: int, frame: FrameType | None) -> None:
        interrupt.requested = True
        put_back()

    for number in numbers:
        # A run started with `nohup` or in the background ignores the signal, and goes on doing so.
        if usual[number] is not signal.SIG_IGN:
            signal.signal(number, request)
    try:
        yield interrupt
    finally:
        put_back()


def interrupted(resume_command: str | None, *, at_once: bool = False) -> GenoError:
    """G710, whose help is the command that goes on; None where no run folder was given.

    A run that is stopped `at_once` goes on from what was saved before.
    """
    if resume_command is None:
        return fail("G710", "interrupted, and nothing is kept", help="give a folder with `--out`")
    saved = "what was saved before is kept" if at_once else "everything up to here is saved"
    return fail("G710", f"interrupted; {saved}", help=f"go on with `{resume_command}`")
