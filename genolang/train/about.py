"""`run.json`: the command that began a run, and the facts that must be the same for it to go on.

Facts are named as a person would name them (`setting epochs`, `file mine.geno`, `training images`), so that a
difference is said by its name. What `SAID` names may differ: it is told, since the last digits may then.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genolang.diagnostics import GenoError, fail
from genolang.files import json_digest, read_regular, write_json

NAME = "run.json"
FORMAT = 4
SAID = frozenset(("processor", "GPU"))

Facts = Mapping[str, str]
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class About:
    """What makes a folder a run: what the user typed, without `--resume`, what the run is made of, and what
    goes with its weights (`genolang.train.card`), where it trains a network."""

    command: tuple[str, ...]
    facts: Facts = field(default_factory=dict)
    card: Mapping[str, Any] | None = None


def digest_of(content: bytes | str) -> str:
    """What stands in facts for a file or a text."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def write_about(folder: Path, about: About) -> None:
    """Writes `run.json`, with a checksum of itself. Error: G709."""
    body = {"format": FORMAT, "command": list(about.command), "facts": dict(about.facts), "card": about.card}
    write_json(folder / NAME, {**body, "sha256": json_digest(body)})


def read_about(folder: Path) -> About:
    """What a run began with. Errors: G704 for another folder or another genolang's, G705 for damage."""
    path = folder / NAME
    try:
        content = read_regular(path)
    except OSError:
        raise no_run(folder) from None
    try:
        body = json.loads(content)
        stated = body.pop("sha256", None)
        known = body["format"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise no_run(folder) from None
    if known != FORMAT:
        raise fail(
            "G704",
            f"`{folder}` is a run of another genolang: its format is {known!r}, not {FORMAT}",
            help="go on with the genolang that began it, or start a new run",
        )
    words, facts, card = body.get("command"), body.get("facts"), body.get("card")
    whole = _texts(words) and isinstance(facts, dict) and _texts(list(facts.values()))
    whole = whole and (card is None or isinstance(card, dict))
    if not whole or stated != json_digest(body):
        raise fail(
            "G705", f"`{path}` does not match its checksum", help="restore the file from a copy, or start a new run"
        )
    return About(tuple(words), facts, card)


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def no_run(folder: Path) -> GenoError:
    """G704, for a folder that no run has begun in."""
    return fail(
        "G704",
        f"`{folder}` is not a run folder",
        help="name the folder that `genoc search`, `train` or `study` writes to",
    )


def require_same(folder: Path, then: Facts, now: Facts) -> list[str]:
    """What there is to say about facts that may differ. Raises G706, naming those that may not."""
    differing = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    told = {name: _told(name, then.get(name), now.get(name)) for name in differing}
    wrong = [name for name in differing if name not in SAID]
    if wrong:
        raise fail(
            "G706",
            f"the run in `{folder}` began with another {', '.join(wrong)}",
            help="undo the change, or start a new run in another folder",
            notes=[told[name] for name in wrong],
        )
    return [f"{told[name]}; the last digits may differ" for name in differing]


def _told(name: str, then: str | None, now: str | None) -> str:
    if then is None or now is None:
        return f"{name}: {'only now' if then is None else 'only when it began'}"
    if _DIGEST.fullmatch(then) and _DIGEST.fullmatch(now):
        return f"{name}: its content has changed"
    return f"{name}: {then} when it began, {now} now"
