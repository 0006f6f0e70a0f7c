import os
import signal
import subprocess
import sys
import threading

import pytest

from genolang.train.interrupt import interrupted, interruptible


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_request(number):
    with interruptible() as interrupt:
        assert not interrupt.requested
        os.kill(os.getpid(), number)
        assert interrupt.requested


def test_the_second_signal_stops_at_once():
    with pytest.raises(KeyboardInterrupt), interruptible():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_handlers_are_put_back():
    before = signal.getsignal(signal.SIGINT)
    with interruptible():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible() as interrupt:
            os.kill(os.getpid(), signal.SIGINT)
            assert not interrupt.requested
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_keyboard_interrupt_in_a_deferred_block_is_a_request_in_any_thread():
    seen = []

    def work():
        with interruptible() as interrupt:
            with interrupt.deferred():
                raise KeyboardInterrupt
            seen.append(interrupt.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [True]


def test_the_help_is_the_command_that_goes_on():
    diagnostic = interrupted("genoc train a.geno --resume run").diagnostics[0]
    assert diagnostic.code == "G710"
    assert "`genoc train a.geno --resume run`" in diagnostic.help


BACKGROUND = """
import os, signal
from genolang.train.interrupt import interruptible
with interruptible() as interrupt:
    os.kill(os.getpid(), signal.SIGINT)
    print(interrupt.requested)
"""


@pytest.mark.parametrize("ignored", [False, True])
def test_a_run_in_the_background_of_a_script_goes_on(ignored):
    def begin():
        signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)

    found = subprocess.run(
        [sys.executable, "-c", BACKGROUND], preexec_fn=begin, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == str(not ignored)
