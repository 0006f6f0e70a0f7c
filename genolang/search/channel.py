"""How a process that trains for a run speaks with the run's own: JSON lines, one way each.

Nothing heavy is imported here, so that a process is heard, and hears, before torch is loaded.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from queue import SimpleQueue
from typing import Any, NoReturn


class Channel:
    """The end of the process that does the work; what it prints goes to stderr from here on.

    Once the run's process is gone this one ends at once, as if it had been killed together with it.
    """

    def __init__(self) -> None:
        # Also where the run itself ignores it: this is how a worker is told to stop.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._told = SimpleQueue[dict[str, Any]]()
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        # Not sys.stdin: a thread that waits in it would hold its lock at the end of the process.
        with os.fdopen(os.dup(0), "r", encoding="utf-8") as lines:
            for line in lines:
                # A last line may have been cut off when its writer was killed.
                if line.endswith("\n"):
                    self._told.put(json.loads(line))
        leave(1)

    def hear(self) -> dict[str, Any]:
        """The next message; waits for it."""
        return self._told.get()

    def tell(self, **message: object) -> None:
        try:
            self._out.write(json.dumps(message) + "\n")
            self._out.flush()
        except OSError:
            leave(1)


def leave(code: int) -> NoReturn:
    """Ends the process now, whatever its other threads do."""
    sys.stderr.flush()
    os._exit(code)
