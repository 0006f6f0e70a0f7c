"""A process that trains for `genoc search --jobs` or `genoc study`; nobody calls it by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genolang.search.channel import Channel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from genolang.search.job import Job
    from genolang.train.run_folder import RunFolder


def main() -> None:
    # Before anything heavy is imported: from here on it ends when the run does.
    channel = Channel()

    from genolang.cli.progress import ConsoleReporter
    from genolang.cli.request import Request
    from genolang.cli.search import prepare
    from genolang.search.job import Job
    from genolang.search.serving import serve
    from genolang.train.phase import Phase

    reporter = ConsoleReporter(tell=lambda text: channel.tell(line=text))

    def job_of(setup: Mapping[str, Any], run: RunFolder) -> Job:
        request = Request(**setup["request"])
        ready = prepare(request)
        whole = Phase(ready.settings.seed, ready.device, run, resume=True, reporter=reporter, without=request.without)
        return Job(ready.checked, ready.program, ready.given, ready.settings, ready.data, whole)

    serve(channel, job_of)


if __name__ == "__main__":
    main()
