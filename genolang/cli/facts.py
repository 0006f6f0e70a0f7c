"""What a run is made of, as facts that must be the same when it goes on: `genolang.train.about`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from genolang.cli.request import Request
    from genolang.semantics.modules import Module
    from genolang.semantics.program import Program
    from genolang.semantics.settings import SearchSettings, TrainSettings
    from genolang.train.datasets import Dataset


def facts_of(
    request: Request,
    root: Module,
    program: Program,
    given: Mapping[str, str],
    settings: SearchSettings | TrainSettings,
    data: Dataset,
    seed: int,
    device: torch.device,
) -> dict[str, str]:
    """Everything that decides what a run comes to, and the machine, which decides the last digits.

    Not among it: `--jobs`, and where spec, data and weights lie, whose contents are.
    """
    import torch

    from genolang.train.about import digest_of
    from genolang.train.datasets import digests
    from genolang.version import __version__

    texts = {"spec.geno": root.source.text, **local_imports(root)}
    told = {key: value for key, value in asdict(settings).items() if key not in ("data", "seed")}
    facts = {
        "command": " ".join((request.verb, *request.more)),
        "network": program.name,
        **{f"parameter {name}": _said(value) for name, value in given.items()},
        **{f"setting {name}": value for name, value in _flat(told)},
        "seed": str(seed),
        **{f"file {name}": digest_of(text) for name, text in texts.items()},
        "library": digest_of(json.dumps(sorted(library_texts(root).items()))),
        **digests(data),
        "threads": str(torch.get_num_threads()),
        "kind of device": device.type,
        "passes left out": ", ".join(sorted(request.without)) or "none",
        "genolang": __version__,
        "torch": torch.__version__,
        "processor": torch.backends.cpu.get_cpu_capability(),
    }
    if device.type == "cuda":
        facts["GPU"] = torch.cuda.get_device_name(device)
    if request.init is not None:
        facts["weights to begin with"] = digest_of(Path(request.init).read_bytes())
    return facts


def local_imports(root: Module) -> dict[str, str]:
    """The texts of the user's files that a file needs, by their paths from it, as `import` finds them."""
    found: dict[str, str] = {}
    left = [(root, PurePosixPath())]
    while left:
        module, folder = left.pop()
        for path, imported in _imported(module):
            place = folder.joinpath(*path).with_suffix(".geno")
            if not imported.source.library and str(place) not in found:
                found[str(place)] = imported.source.text
                left.append((imported, place.parent))
    return dict(sorted(found.items()))


def library_texts(root: Module) -> dict[str, str]:
    """The texts of all shipped files that a file needs, by their names."""
    found: dict[str, str] = {}
    seen, left = set[int](), [root]
    while left:
        module = left.pop()
        if id(module) not in seen:
            seen.add(id(module))
            if module.source.library and module is not root:
                found[module.source.name] = module.source.text
            left += [imported for _, imported in _imported(module)]
    return found


def _imported(module: Module) -> Iterator[tuple[tuple[str, ...], Module]]:
    """Each import of a file with what it stands for."""
    from genolang.lang import syntax

    for name, imported in module.imports:
        yield name.path, imported
    for item in module.file.items:
        if isinstance(item, syntax.Import):
            for name in item.names:
                if name.alias is not None and name.alias in module.aliases:
                    yield name.path, module.aliases[name.alias]


def _said(value: object) -> str:
    """A parameter's value as `--set` takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _flat(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Named numbers and words of nested settings."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    else:
        yield name, json.dumps(value, default=str)


def begun_threads(facts: Mapping[str, Any]) -> int | None:
    """How many threads a run has."""
    found = facts.get("threads", "")
    return int(found) if found.isdecimal() else None
