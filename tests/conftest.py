"""Signals as on a terminal, however the suite was started.

A run that is started in the background of a script, or with `nohup`, is told to ignore Ctrl-C, and so is
everything that it starts. Tests press it.
"""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
