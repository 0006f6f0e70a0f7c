"""A network's graph for networkx: what is in it, and what becomes of one that came from anywhere."""

import copy
import json
import random
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference.pouring import compiled

from genolang import GenoError, load, load_graph
from genolang.api import Network
from genolang.compiler.interchange import from_bytes, to_bytes
from genolang.diagnostics import render_all
from genolang.diagnostics.codes import CODES
from genolang.lang.limits import limit

DOCS = Path(__file__).parents[3] / "docs" / "graph.md"
CALM = settings(deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
TEXT = """geno 1
op block = relu -> conv(3, bias=true)
op third = x * (1/3)
choice gate = identity | block | zeros(1)
network n(classes=3) {
  input image(2, 5, 4)
  stem  conv(1, 4) -> block -> block -> gate
  head  third -> global_avg_pool -> linear(classes)
}
"""
Graph = nx.MultiDiGraph
LAUGHS = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><graph edgedefault="directed"><node id="&b;"/></graph></graphml>
"""


def network() -> Network:
    return compiled(TEXT)


GRAPHS = {flat: network().graph(flat=flat) for flat in (True, False)}


def said(action: Callable[[], object]) -> Any:
    with pytest.raises(GenoError) as error:
        action()
    (found,) = error.value.diagnostics
    assert render_all([found])
    return found


def test_a_flat_graph_is_the_network_and_the_other_has_each_definition_once() -> None:
    flat, nested = network().graph(), network().graph(flat=False)
    assert nx.is_directed_acyclic_graph(flat) and nx.number_weakly_connected_components(flat) == 1
    assert flat.graph["definitions"] == ["n"] and nested.graph["definitions"] == ["block", "third", "n"]
    assert nx.number_weakly_connected_components(nested) == 3
    assert [facts["calls"] for _, facts in nested.nodes(data=True) if facts["kind"] == "call"] == [
        "block",
        "block",
        "block",
        "third",
    ]
    layers = [facts.get("layer", facts["kind"]) for _, facts in flat.nodes(data=True)]
    assert layers == ["input", "conv", *["relu", "conv"] * 3, "zeros", "mix", "multiply", "global_avg_pool", "linear"]
    (end,) = [name for name, facts in flat.nodes(data=True) if "outputs" in facts]
    assert set(flat) - nx.ancestors(flat, end) == {end}


def test_weights_are_at_the_paths_of_the_state_dict_in_its_order() -> None:
    facts = [f for _, f in load("darts/search").network(None, channels=4, depth=3).graph().nodes(data=True)]
    weighted = sorted((f for f in facts if "path" in f and f["parameters"] + f["buffers"]), key=lambda f: f["rank"])
    names = load("darts/search").network(None, channels=4, depth=3).module(fused=False).state_dict()
    assert list(dict.fromkeys(f["path"] for f in weighted)) == list(dict.fromkeys(n.rpartition(".")[0] for n in names))


def test_costs_add_up_to_the_plan() -> None:
    whole = load("resnet/cifar").network("se_resnet56")
    facts = [f for _, f in whole.graph().nodes(data=True)]
    owners = {f["path"]: f for f in facts if "path" in f}.values()
    plan = whole.plan()
    assert sum(f["parameters"] for f in owners) == plan.params
    assert sum(f["buffers"] for f in owners) == plan.buffers
    assert sum(f["macs"] for f in facts) == plan.macs


def test_a_mix_names_its_decision_and_the_graph_what_it_decides() -> None:
    graph = network().graph()
    (mix,) = [(name, facts) for name, facts in graph.nodes(data=True) if facts["kind"] == "mix"]
    (choice,) = graph.graph["choices"]
    assert mix[1]["choice"] == choice["name"] and choice["rows"][mix[1]["row"]]["place"] == ["spec.geno", 7]
    assert choice["options"] == ["identity", "block", "zeros(1)"] and choice["zeros"] == [False, False, True]
    edges = sorted(graph.in_edges(mix[0], keys=True, data="argument"), key=lambda edge: edge[2])
    assert [graph.nodes[start].get("layer") for start, *_ in edges] == ["conv", "conv", "zeros"]
    assert [key for *_, key, _ in edges] == [argument for *_, argument in edges] == [0, 1, 2]


def test_the_page_tells_every_attribute_and_no_other() -> None:
    graph = network().graph(flat=False)
    told = DOCS.read_text("utf-8").split("Of the graph:")[1]
    rows = re.findall(r"^\| (`[^|]+) \|", told, re.MULTILINE)
    names = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    facts = [graph.graph, *(f for _, f in graph.nodes(data=True)), *(f for *_, f in graph.edges(data=True))]
    assert names == {name for one in facts for name in one}


def test_the_example_of_the_page_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    (tmp_path / "example.py").write_text(example, "utf-8")
    runpy.run_path(str(tmp_path / "example.py"))
    assert re.fullmatch(r"\d+ \d+\n", capsys.readouterr().out)


def test_a_network_that_was_read_and_changed_is_another_network(tmp_path: Path) -> None:
    file = tmp_path / "n.graphml"
    file.write_bytes(to_bytes(network().graph(), ".graphml"))
    again = load_graph(file)
    assert again.plan().params == network().plan().params
    graph = again.graph()
    (last,) = [f for _, f in graph.nodes(data=True) if f.get("layer") == "linear"]
    last["attributes"]["out"], last["shape"] = 7, [7, 1, 1]
    module = Network.from_graph(graph).module()
    assert module(torch.zeros(2, 2, 5, 4)).shape == (2, 7)
    assert said(lambda: module(torch.zeros(2, 2, 6, 4))).code == "G310"


def test_a_document_type_is_refused_before_anything_is_put_in_its_place() -> None:
    for text in (LAUGHS, LAUGHS.replace("<!DOCTYPE lolz [", "<!DOCTYPE g SYSTEM 'file:///etc/passwd' [")):
        for content in (text.encode(), text.replace("1.0", '1.0" encoding="ISO-8859-1').encode()):
            found = said(lambda content=content: from_bytes(content, ".graphml", "it"))
            assert found.code == "G611" and "document type" in found.message
    assert said(lambda: from_bytes(LAUGHS.encode("utf-16"), ".graphml", "it")).code == "G611"


def test_files_that_nest_without_end_are_refused() -> None:
    assert said(lambda: from_bytes(b"[" * 10**5, ".json", "it")).code == "G611"
    assert said(lambda: from_bytes(b"<a>" * 10**5, ".graphml", "it")).code == "G611"


def test_a_file_over_the_limit_or_none_at_all_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(limit("graph_bytes") + 1)
    assert said(lambda: load_graph(tmp_path / "large.json")).code == "G003"
    assert said(lambda: load_graph(tmp_path / "none.json")).code == "G001"


@pytest.mark.parametrize(
    ("calls", "levels", "code", "told"), [(2, 30, "G507", "2,000,000"), (1, 41, "G611", "40 deep")]
)
def test_calls_that_double_or_nest_without_end_are_refused(calls: int, levels: int, code: str, told: str) -> None:
    graph = compiled(
        "geno 1\nop a = relu -> relu\nnetwork n {\n input image(2, 1, 1)\n head a -> linear(2)\n}\n"
    ).graph(flat=False)
    previous = "a"
    for level in range(levels):
        name = f"a_{level}"
        for number in range(1 + calls):
            facts = {"kind": "call", "calls": previous} if number else {"kind": "input"}
            graph.add_node(f"{name}/{number}", **facts, definition=name, number=number, shape=[2, 1, 1], place=["f", 1])
            if number:
                graph.add_edge(f"{name}/{number - 1}", f"{name}/{number}", argument=0)
        graph.nodes[f"{name}/{calls}"]["outputs"] = [0]
        graph.graph["definitions"].insert(-1, name)
        previous = name
    found = said(lambda: Network.from_graph(graph))
    assert found.code == code and told in found.message


WRONG: dict[str, Callable[[Graph], object]] = {
    "`format`": lambda g: g.graph.update(format="other"),
    "`shape` is three": lambda g: g.nodes["n/1"].update(shape=[1, 2]),
    "its shape is 4x5x4, not 4x5x5": lambda g: g.nodes["n/1"].update(shape=[4, 5, 5]),
    "`kind` is missing": lambda g: g.nodes["n/1"].pop("kind"),
    "`k` is a whole number of at least 1, not 0": lambda g: g.nodes["n/1"]["attributes"].update(k=0),
    "no argument 'q'": lambda g: g.nodes["n/1"]["attributes"].update(q=0),
    "`bias` is true or false, not 1": lambda g: g.nodes["n/1"]["attributes"].update(bias=1),
    "it reads nothing": lambda g: g.remove_edge("n/0", "n/1"),
    "node of a higher number": lambda g: g.add_edge("n/5", "n/1", argument=1),
    "this argument twice": lambda g: g.add_edge("n/0", "n/2", argument=0),
    "it reads arguments 0, 2": lambda g: g.add_edge("n/0", "n/2", argument=2),
    "`row` is": lambda g: g.nodes["n/9"].update(row=True),
    "has 1 rows of 3 alternatives": lambda g: g.nodes["n/9"].update(row=1),
    "one of the graph's choices": lambda g: g.nodes["n/9"].update(choice="other"),
    "is inside another layer": lambda g: g.nodes["n/3"].update(path=g.nodes["n/1"]["path"] + ".conv"),
    "another node of `n` has its number": lambda g: g.nodes["n/2"].update(number=1),
    "its outputs have none as places": lambda g: [f.pop("outputs", None) for _, f in g.nodes(data=True)],
    "`place` is": lambda g: g.nodes["n/1"].update(place=["f", 0]),
    "`definition` is one": lambda g: g.nodes["n/1"].update(definition="m"),
    "at most 100 names": lambda g: g.nodes["n/1"].update(path=".".join(["a"] * 101)),
    "`path` is a name": lambda g: g.nodes["n/1"].update(path="a/../b"),
    "a number beyond 1e15": lambda g: g.nodes["n/1"]["attributes"].update(k=10**5000),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_graph_that_says_two_things_is_refused_with_what_is_wrong(message: str) -> None:
    graph = network().graph()
    WRONG[message](graph)
    found = said(lambda: Network.from_graph(graph))
    if message == "`format`":
        assert "no network of genolang's format" in found.message
    else:
        assert message in found.message
    assert found.code == "G611"


def test_layers_that_do_not_fit_together_are_told_as_those_of_a_text() -> None:
    graph = network().graph()
    graph.nodes["n/1"]["attributes"]["groups"] = 3
    assert said(lambda: Network.from_graph(graph)).code == "G303"


STRANGE = (
    None,
    True,
    -1,
    0,
    1,
    2,
    1.5,
    10**16,
    float("nan"),
    float("inf"),
    "",
    "n",
    "n/1",
    "1/3",
    "\x00",
    [],
    [1],
    [3, 3],
    [0, 0, 0],
    [1, 1, 1],
    {},
    {"k": 1},
    "conv",
    "add",
    "mix",
    "image",
    [[]],
    ["f", 1],
    b"",
    object(),
)


@settings(CALM, max_examples=400)
@given(st.booleans(), st.randoms(use_true_random=False))
def test_a_damaged_graph_is_a_network_or_refused_with_a_code(flat: bool, drawn: random.Random) -> None:
    graph = copy.deepcopy(GRAPHS[flat])
    for _ in range(drawn.randrange(1, 3)):
        damage(graph, drawn)
    try:
        Network.from_graph(graph).graph()
    except GenoError as error:
        assert {d.code for d in error.diagnostics} <= set(CODES)


def damage(graph: Graph, drawn: random.Random) -> None:
    where = drawn.randrange(6)
    node = drawn.choice([*graph])
    if where == 0 and graph.number_of_edges():
        graph.remove_edges_from([drawn.choice([*graph.edges(keys=True)])])
    elif where == 1:
        graph.add_edge(node, drawn.choice([*graph]), argument=drawn.choice((0, 1, 2, "0")))
    elif where == 2 and graph.number_of_edges():
        change(drawn.choice([facts for *_, facts in graph.edges(data=True)]), drawn)
    elif where == 3:
        choices = graph.graph.get("choices")
        change(drawn.choice([graph.graph, *(choices if isinstance(choices, list) else [])]), drawn)
    elif where == 4 and graph.nodes[node].get("attributes"):
        change(graph.nodes[node]["attributes"], drawn)
    else:
        change(graph.nodes[node], drawn)


def change(facts: Any, drawn: random.Random) -> None:
    if not isinstance(facts, dict) or not facts:
        return
    name = drawn.choice([*facts, "other"])
    if drawn.random() < 0.2:
        facts.pop(name, None)
    else:
        facts[name] = copy.copy(drawn.choice(STRANGE))


@settings(CALM, max_examples=100)
@given(st.randoms(use_true_random=False), st.sampled_from([".json", ".graphml"]))
def test_a_damaged_file_is_a_network_or_refused_with_a_code(drawn: random.Random, ending: str) -> None:
    content = bytearray(to_bytes(network().graph(), ending))
    for _ in range(drawn.randrange(1, 4)):
        at = drawn.randrange(len(content))
        match drawn.randrange(3):
            case 0:
                del content[at : at + drawn.choice((1, 10, 1000))]
            case 1:
                content[at] = drawn.randrange(256)
            case _:
                other = drawn.randrange(len(content))
                content[at:at] = content[other : other + drawn.choice((1, 5, 40))]
    try:
        Network.from_graph(from_bytes(bytes(content), ending, "it")).graph()
    except GenoError as error:
        assert {d.code for d in error.diagnostics} <= set(CODES)


def test_node_link_text_is_that_of_networkx(tmp_path: Path) -> None:
    graph = network().graph()
    assert nx.node_link_graph(json.loads(to_bytes(graph, ".json")), edges="edges").graph == graph.graph
    (tmp_path / "n.graphml").write_bytes(to_bytes(graph, ".graphml"))
    read = nx.read_graphml(tmp_path / "n.graphml", edge_key_type=str, force_multigraph=True)
    assert set(read) == set(graph) and len({key for *_, key in read.edges(keys=True)}) == graph.number_of_edges()
    assert "op block" not in to_bytes(graph, ".json").decode()
