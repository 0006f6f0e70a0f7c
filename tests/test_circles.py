"""No module needs itself, by whatever way: at the top, inside a function, or for a type alone."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import networkx

ROOT = Path(__file__).parent.parent


def modules() -> dict[str, Path]:
    """The package's files by the names under which they are imported."""
    found = {}
    for path in (ROOT / "genolang").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(text: str, known: Mapping[str, object]) -> Iterator[str]:
    """The known modules that a text imports anywhere, under `TYPE_CHECKING` and in functions too."""
    for node in ast.walk(ast.parse(text)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in known else str(node.module) for name in inside]
        yield from (name for name in names if name in known)


def circles(texts: Mapping[str, str]) -> list[list[str]]:
    """The modules that need each other, group by group."""
    graph = networkx.DiGraph()
    for name, text in texts.items():
        graph.add_edges_from((name, other) for other in imported(text, texts) if other != name)
    return [sorted(group) for group in networkx.strongly_connected_components(graph) if len(group) > 1]


def test_imports_of_every_kind_are_seen() -> None:
    texts = {
        "a": "import b",
        "b": "def f():\n    from c import d",
        "c": "if TYPE_CHECKING:\n    import a",
        "e": "import a",
    }
    assert circles(texts) == [["a", "b", "c"]]
    assert circles(texts | {"c": ""}) == []
    assert circles({"p": "from p import q", "p.q": "from p import r", "p.r": "import p.q"}) == [["p.q", "p.r"]]


def test_no_module_needs_itself() -> None:
    texts = {name: path.read_text("utf-8") for name, path in modules().items()}
    assert len(texts) > 200
    assert circles(texts) == []
