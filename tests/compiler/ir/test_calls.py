"""Which graph calls which, how often, and in which order."""

from collections import Counter

from generated.specs import specs
from hypothesis import HealthCheck, given, settings
from reference.pouring import compiled

from genolang.compiler.ir import Graph, build_graph, by_height, calls, definitions, with_counts

DOUBLING = "geno 1\nop a_0 = relu\n{}\nnetwork n {{\n  input image(2, 1, 1)\n  head a_{} -> linear(2)\n}}\n"


def walked(graph: Graph, found: Counter[Graph]) -> Counter[Graph]:
    """The calls of every graph, counted one by one."""
    found[graph] += 1
    for body in graph.bodies():
        walked(body, found)
    return found


@settings(max_examples=15, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(specs())
def test_calls_are_counted_and_put_in_order(text: str) -> None:
    graph = build_graph(compiled(text, "n").program.block)
    assert dict(with_counts(graph)) == dict(walked(graph, Counter()))
    for order in (list(definitions(graph).values()), [body for level in by_height(graph) for body in level]):
        place = {body: number for number, body in enumerate(order)}
        assert set(place) == set(calls(graph)) and order[-1] is graph
        assert all(place[body] < place[caller] for caller in order for body in caller.bodies())
    for level in by_height(graph):
        assert not {body for caller in level for body in caller.bodies()} & set(level)


def test_calls_that_double_at_every_level_are_counted_at_once() -> None:
    levels = 18
    ops = "\n".join(f"op a_{n + 1} = a_{n} -> a_{n}" for n in range(levels))
    graph = build_graph(compiled(DOUBLING.format(ops, levels)).program.block)
    assert [count for _, count in with_counts(graph)] == [1, *(2**n for n in range(levels + 1))]
    assert [body.name for body in definitions(graph).values()] == [*(f"a_{n}" for n in range(levels + 1)), "n"]
