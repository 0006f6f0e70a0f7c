"""`001100,000111,101100`: which blocks of each stage share the stage's plug-in module.

The first character is the first block. (Huang et al., "Efficient Attention Network", 2020, table 2.)
"""

from __future__ import annotations

import itertools
import re

from genolang.diagnostics import Source, Span, did_you_mean, fail
from genolang.lang import syntax as s
from genolang.lang.formatter import format_source
from genolang.search.notations.cells import cannot_say
from genolang.semantics.modules import Module

MODULE = "se(r=16, bias=true)"
# How many blocks the stages of the paper's networks have, and the spec with that network.
NETWORKS = {(18, 18, 18): "ean.resnet164", (3, 4, 6, 3): "ean.resnet50"}
_EXAMPLE = "bits by stage: 3 times 18 for a ResNet-164, 3, 4, 6 and 3 for a ResNet-50"


def read(source: Source, name: str | None) -> str:
    """The spec of a scheme, on one of the paper's networks or a bottleneck ResNet for CIFAR. Error: G610."""
    network = name or "found"
    if not re.fullmatch(r"[A-Za-z_]\w*", network, re.ASCII):
        raise fail("G610", f"`{network}` cannot be the name of a network")
    words = list(re.finditer(r"[^\s,|\[\]\"']+", source.text))
    for word in words:
        if set(word[0]) - set("01"):
            raise fail(
                "G610",
                f"a scheme is written in the digits 0 and 1, not `{word[0][:40]}`",
                Span(source, *word.span()),
                help=_EXAMPLE,
            )
    stages = _stages([word[0] for word in words])
    imports, base = _network(tuple(map(len, stages)), source)
    quoted = ", ".join(f'"{stage}"' for stage in stages)
    text = "\n".join(
        [
            "geno 1",
            "# A scheme of an efficient attention network: the blocks that share a stage's module.",
            f"import {imports}, std.attention",
            "",
            f"network {network} = {base}",
            f"  with {MODULE} at residual shared per stage where [{quoted}]",
            "",
        ]
    )
    return format_source(Source("imported.geno", text))


def _stages(words: list[str]) -> list[str]:
    """A string for each stage; one string for a whole network of the paper's is cut into those."""
    for blocks in NETWORKS:
        if len(words) == 1 and len(words[0]) == sum(blocks):
            ends = itertools.accumulate(blocks, initial=0)
            return [words[0][start:end] for start, end in itertools.pairwise(ends)]
    return words


def _network(blocks: tuple[int, ...], source: Source) -> tuple[str, str]:
    """What is imported, and the network whose stages have so many blocks."""
    if blocks in NETWORKS:
        return f"{NETWORKS[blocks]} as ean", "ean.org"
    if len(blocks) == 3 and len(set(blocks)) == 1:
        depth = 9 * blocks[0] + 2
        return ("std.residual_blocks, std.resnet_cifar", f"resnet_cifar(depth={depth}, block=bottleneck, classes=100)")
    found = " + ".join(map(str, blocks)) or "none"
    raise fail(
        "G610",
        f"no network here has stages of {found} blocks",
        Span(source, 0, max(len(source.text), 1)),
        help=_EXAMPLE,
    )


def write(module: Module, name: str | None) -> str:
    """The bits of the network of that name, or of the only one that has some. Error: G609."""
    schemes = {
        ref.name: [plug.where for plug in ref.syntax.plugs if plug.where and plug.where.kind == "bits"]
        for ref in module.definitions.values()
        if ref.kind == "network"
    }
    named = {key: found for key, found in schemes.items() if found}
    if name is None and len(named) > 1:
        raise cannot_say(
            f"{module.source.name} has several networks with bits", help=f"say which: --name {' | '.join(named)}"
        )
    key = name or next(iter(named), "")
    if key not in named:
        what = f"the network `{key}`" if key else "no network"
        message = f"{what} of {module.source.name} has{' no' if key else ''} bits for its slots"
        raise cannot_say(message, help=did_you_mean(key, named) or "write `with se at residual where [...]`")
    where = named[key][0]
    if len(named[key]) > 1:
        raise cannot_say(f"the network `{key}` has bits for several slots", where.span)
    value = where.value
    items = value.items if isinstance(value, s.Sequence) else (value,)
    texts = [item.value for item in items if isinstance(item, s.String)]
    if len(texts) != len(items):
        raise cannot_say("the bits are not written out", where.span)
    return ",".join(texts) + "\n"
