"""Files, what they define and what they import."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genolang.diagnostics import Diagnostic, GenoError, Label, Source, Span, did_you_mean, fail
from genolang.lang import syntax
from genolang.lang.limits import limit, limit_note
from genolang.lang.parser import parse
from genolang.lang.reading import read_plain
from genolang.primitives import PRIMITIVES

if TYPE_CHECKING:
    from typing import BinaryIO

LIBRARY = Path(__file__).parent.parent / "specs"
VERSION = 1
MAX_PATH = 10
MAX_IMPORTS = 50
RESERVED = frozenset("x C H W searching true false earlier inputs nodes each later core repeat".split())


class DefinitionRef:
    """A definition and the file whose names it sees; compared by identity."""

    __slots__ = ("kind", "map_params", "module", "name", "syntax", "value_params")

    def __init__(self, definition: syntax.Definition, module: Module) -> None:
        self.syntax = definition
        self.module = module
        self.name = definition.name.id
        self.kind = definition.kind
        maps = [p.name for p in definition.params if is_map_param(p, definition.kind)]
        # The feature maps it takes: `x` for operations, undefaulted parameters for a cell.
        self.map_params = ["x", *maps] if self.kind in ("op", "attention") else maps
        self.value_params = [p for p in definition.params if not is_map_param(p, self.kind)]


def is_map_param(param: syntax.Param, kind: str) -> bool:
    return param.kind == "map" or (kind == "cell" and param.default is None and param.kind is None)


class Module:
    """One parsed file: its definitions, and the names that its imports bring in."""

    def __init__(self, file: syntax.File, path: Path | None) -> None:
        self.file = file
        self.path = path
        self.definitions: dict[str, DefinitionRef] = {}
        self.imports: list[tuple[syntax.ImportName, Module]] = []
        self.aliases: dict[str, Module] = {}
        self.diagnostics: list[Diagnostic] = []
        # Text of this file or of one that it imports could not be read.
        self.broken = False
        # Names that such text may have brought in, and whether it may have brought in any at all.
        self.lost: set[str] = set(file.lost)
        self.open_ended = False
        self.references: dict[DefinitionRef, Any] = {}

    @property
    def source(self) -> Source:
        return self.file.source

    def report(self, code: str, message: str, span: Span, **more: Any) -> None:
        self.diagnostics.append(Diagnostic(code, message, span, **more))

    def sections(self, kind: str) -> list[syntax.Section]:
        return [i for i in self.file.items if isinstance(i, syntax.Section) and i.kind == kind]

    def lookup(self, name: str) -> list[DefinitionRef]:
        """The definitions a name may mean: the file's own, else those of its imports."""
        own = self.definitions.get(name)
        if own is not None:
            return [own]
        found = [m.definitions[name] for _, m in self.imports if name in m.definitions]
        return list(dict.fromkeys(found))

    def visible_definitions(self) -> list[DefinitionRef]:
        """Every definition that can be named without an alias."""
        found = list(self.definitions.values())
        for _, module in self.imports:
            found += module.definitions.values()
        return found

    def visible(self) -> set[str]:
        """Every name of a definition that an expression of this file may use."""
        return {ref.name for ref in self.visible_definitions()} | set(self.aliases)

    def family(self) -> list[Module]:
        """This file and every one that it imports, directly or not, once."""
        found: list[Module] = []
        stack = [self]
        while stack:
            module = stack.pop()
            if module not in found:
                found.append(module)
                stack += [m for _, m in module.imports] + list(module.aliases.values())
        return found

    @property
    def all_diagnostics(self) -> list[Diagnostic]:
        """Those of this file and, where they are the user's too, of the files it imports."""
        theirs = [m for m in self.family()[1:] if not m.source.library]
        return [d for module in (self, *theirs) for d in module.diagnostics]


def read_source(path: str) -> Source:
    """The text of a file. Errors: G001 not readable, G002 not text, G003 too large."""
    return decode(path, read_raw(path))


def read_raw(path: str) -> bytes:
    """The bytes of a file that may be a source. Errors: G001, G003."""
    try:
        return within_limit(path, read_plain(path, limit("bytes")))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise fail("G001", f"cannot read {path}: {reason}", help=_similar_file(path)) from None


def read_stream(name: str, stream: BinaryIO) -> bytes:
    """The bytes of standard input, under the name that messages give it. Error: G003."""
    return within_limit(name, stream.read(limit("bytes") + 1))


def within_limit(name: str, raw: bytes) -> bytes:
    if len(raw) > limit("bytes"):
        raise fail(
            "G003",
            f"{name} has more than {limit('bytes'):,} bytes",
            help="split it into several files",
            notes=(limit_note("bytes"),),
        )
    return raw


def decode(name: str, raw: bytes, *, library: bool = False) -> Source:
    """Bytes as a source. Error: G002 with the place of the first byte that is not text."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise fail(
            "G002", f"{name} is not UTF-8 text: byte {error.start} is {raw[error.start]:#04x}", help="save it as UTF-8"
        ) from None
    return source_of(name, text, library=library)


def source_of(name: str, text: str, *, library: bool = False) -> Source:
    """A text as a source. Error: G002 for zero bytes, and for the halves of characters of a broken call."""
    if "\0" in text:
        raise fail("G002", f"{name} is not text: it has a zero byte at {text.index(chr(0))}")
    if not text.isascii() and (half := re.search("[\ud800-\udfff]", text)) is not None:
        raise fail("G002", f"{name} is not text: it has half a character at {half.start()}")
    return Source(name, text.replace("\r\n", "\n"), library=library)


def _similar_file(path: str) -> str | None:
    return did_you_mean(Path(path).name, _files_beside(Path(path)))


def _files_beside(path: Path) -> list[str]:
    """The names of the specs in a file's folder."""
    try:
        return [name for name in os.listdir(path.parent) if name.endswith(".geno")]
    except (OSError, ValueError):
        return []


def load_module(source: Source, path: Path | None) -> Module:
    """Parse a source and everything it imports; problems are in `all_diagnostics`."""
    return _Loader().load(source, path)


@cache
def library_module(name: tuple[str, ...]) -> Module:
    """A shipped file, parsed once a process."""
    path = LIBRARY.joinpath(*name).with_suffix(".geno")
    shown = "/".join(name) + ".geno"
    return _Loader().load(Source(shown, path.read_text("utf-8"), library=True), path)


@cache
def library_names() -> list[tuple[str, ...]]:
    """The import names of all shipped files."""
    found = (p.relative_to(LIBRARY).with_suffix("").parts for p in LIBRARY.rglob("*.geno"))
    return sorted(found)


class _Loader:
    """Loads a file and, through it, its imports; one loader sees each file once."""

    def __init__(self) -> None:
        self.loading: list[Path] = []
        self.done: dict[Path, Module] = {}

    def load(self, source: Source, path: Path | None) -> Module:
        file, problems = parse(source)
        module = Module(file, path)
        module.diagnostics += problems
        module.broken = bool(problems)
        if path is not None:
            self.loading.append(path.resolve())
        self._versions(module)
        for item in file.items:
            if isinstance(item, syntax.Definition):
                self._define(module, item)
            elif isinstance(item, syntax.Import):
                for name in item.names:
                    if len(module.diagnostics) < limit("problems"):
                        self._import(module, name)
        if path is not None:
            self.done[self.loading.pop()] = module
        return module

    def _versions(self, module: Module) -> None:
        versions = [i for i in module.file.items if isinstance(i, syntax.Version)]
        first = module.file.items[0] if module.file.items else None
        if not isinstance(first, syntax.Version):
            if not module.broken:
                start = versions[0].span if versions else Span(module.source, 0, 1)
                module.report(
                    "G008",
                    "a file begins with the version of its language",
                    start,
                    help=f"write `geno {VERSION}` on the first line",
                )
            return
        if first.number != VERSION:
            message = f"this genolang reads version {VERSION} of the language"
            module.report(
                "G009", message, first.span, help=f"write `geno {VERSION}`, or use the genolang that the file needs"
            )
        for extra in versions[1:]:
            module.report("G008", "the version stands once, on the first line", extra.span)

    def _define(self, module: Module, item: syntax.Definition) -> None:
        name, before = item.name.id, module.definitions.get(item.name.id)
        if name in RESERVED:
            module.report(
                "G106", f"`{name}` has a meaning of its own in the language", item.name.span, help="choose another name"
            )
        elif before is not None:
            module.report(
                "G102",
                f"`{name}` is defined twice",
                item.name.span,
                help="rename one of them",
                labels=(Label(before.syntax.name.span, "first here"),),
            )
        else:
            module.definitions[name] = DefinitionRef(item, module)

    def _import(self, module: Module, name: syntax.ImportName) -> None:
        try:
            found = self._find(module, name)
        except GenoError as error:
            module.diagnostics += error.diagnostics
            module.broken = True
            module.open_ended |= name.alias is None
            module.lost.add(name.alias or "")
            return
        if name.alias is None:
            module.imports.append((name, found))
        else:
            module.aliases[name.alias] = found
        if found.broken and not found.source.library:
            module.broken = True
            module.open_ended |= name.alias is None

    def _find(self, module: Module, name: syntax.ImportName) -> Module:
        shown = ".".join(name.path)
        if len(name.path) > MAX_PATH:
            raise fail("G103", f"an import has at most {MAX_PATH} parts", name.span)
        if module.path is not None and not module.source.library and name.path[0] != "std":
            path = module.path.parent.joinpath(*name.path).with_suffix(".geno")
            if os.path.isfile(path):
                return self._local(path, name.span, shown)
        if name.path in library_names():
            path = LIBRARY.joinpath(*name.path).with_suffix(".geno").resolve()
            if path in self.loading:
                raise self._cycle(path, name.span, shown)
            return library_module(name.path)
        options = [".".join(n) for n in library_names()]
        if module.path is not None:
            options += [name.removesuffix(".geno") for name in _files_beside(module.path)]
        raise fail(
            "G103",
            f"there is no file `{'/'.join(name.path)}.geno` beside this one or in the library",
            name.span,
            help=did_you_mean(shown, options),
        )

    def _local(self, path: Path, span: Span, shown: str) -> Module:
        resolved = path.resolve()
        if resolved in self.loading:
            raise self._cycle(resolved, span, shown)
        if len(self.loading) >= MAX_IMPORTS:
            raise fail(
                "G007",
                f"files import each other more than {MAX_IMPORTS} deep",
                span,
                help="import what is needed where it is used",
            )
        if resolved not in self.done:
            return self.load(read_source(str(path)), path)
        return self.done[resolved]

    def _cycle(self, path: Path, span: Span, shown: str) -> GenoError:
        names = [p.stem for p in self.loading[self.loading.index(path) :]]
        return fail(
            "G104",
            f"`{shown}` imports itself: {' -> '.join([*names, path.stem])}",
            span,
            help="move what both need into a third file",
        )


@cache
def core_names() -> frozenset[str]:
    """The names of all primitives that an expression may use."""
    return frozenset(PRIMITIVES) - {"add", "multiply", "subtract", "divide", "image"}
