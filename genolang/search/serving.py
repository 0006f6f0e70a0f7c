"""The work of a process that trains for a run: one task after another, until it is told to stop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from genolang.diagnostics import GenoError
from genolang.search.channel import Channel, leave
from genolang.search.workers import Task
from genolang.train.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from genolang.search.job import Job


def serve(channel: Channel, prepare: Callable[[Mapping[str, Any], RunFolder], Job]) -> None:
    """Performs the tasks that the channel brings; `prepare` makes the job from what it is told first.

    The job resumes in the run's folder. Stops at SIGTERM once the state is saved. Whatever goes wrong
    is told as one line: the run's process performs the task itself, and comes to the same end.
    """
    setup = channel.hear()
    run = RunFolder.lent(Path(setup["run"]), setup["command"])
    job = None
    while True:
        task = Task.from_json(channel.hear())
        try:
            if job is None:
                job = prepare(setup, run)
                job.open()
            channel.tell(done=job.perform(task))
        except GenoError as error:
            if any(diagnostic.code == "G710" for diagnostic in error.diagnostics):
                leave(0)
            channel.tell(failed=error.diagnostics[0].message)
        except KeyboardInterrupt:
            leave(0)
        except Exception as error:
            channel.tell(failed=f"{type(error).__name__}: {error}")
