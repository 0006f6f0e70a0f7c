import json
import random
from pathlib import Path
from typing import Any

import pytest

from genolang.api import Network, Spec
from genolang.diagnostics import GenoError, Source
from genolang.lang.formatter import format_source
from genolang.search.notations import notation
from genolang.semantics.check import Checked, check_source
from genolang.semantics.compare import compare
from genolang.semantics.modules import LIBRARY, load_module

GENOTYPES: dict[str, dict[str, Any]] = json.loads((Path(__file__).parents[1] / "data" / "genotypes.json").read_text())
SHIPPED = {"DARTS_V1": "darts/v1", "DARTS_V2": "darts/v2", "Att_DARTS": "att_darts/found"}
MODULES = ["Identity", "SE", "BAM", "CBAM", "GE_theta-plus", "DoubleAttention"]
OPERATIONS = ["none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5",
              "sep_conv_7x7", "dil_conv_3x3", "dil_conv_5x5", "conv_7x1_1x7"]  # fmt: skip
NB201 = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]


def text_of(genotype: dict[str, Any]) -> str:
    fields = {k: v for k, v in genotype.items() if k not in ("cifar", "imagenet")}
    shown = (f"{k}={[tuple(g) if isinstance(g, list) else g for g in v]!r}" if isinstance(v, list) else f"{k}={v!r}"
             for k, v in fields.items())  # fmt: skip
    return f"Genotype({', '.join(shown)})"


def read(format: str, text: str, name: str | None = None) -> Checked:
    """An imported spec, which is canonical and has no error."""
    spec = notation(format).read(Source("<text>", text), name)
    assert format_source(Source("s", spec)) == spec
    checked = check_source(Source("imported.geno", spec))
    assert checked.diagnostics == []
    return checked


def written(format: str, checked: Checked, name: str | None = None) -> str:
    text = notation(format).write(checked.module, name)
    assert text.endswith("\n") and text.count("\n") == 1
    return text.strip()


def network(checked: Checked, name: str | None = None, **params: Any) -> Network:
    return Spec(checked).network(name, **params)


def refusal(format: str, text: str, name: str | None = None) -> tuple[str, str, str]:
    """What is said of a wrong text: message, the words pointed at, help."""
    with pytest.raises(GenoError) as error:
        notation(format).read(Source("<text>", text), name)
    (found,) = error.value.diagnostics
    assert found.code == "G610"
    return found.message, found.span.text if found.span else "", found.help or ""


# DARTS


@pytest.mark.parametrize("name", GENOTYPES)
def test_published_genotypes_become_networks_of_their_published_sizes(name: str) -> None:
    checked = read("darts", f"{name} = {text_of(GENOTYPES[name])}")
    for kind in ("cifar", "imagenet"):
        assert network(checked, kind).program.params == GENOTYPES[name][kind]


@pytest.mark.parametrize("name", GENOTYPES)
def test_published_genotypes_come_back_as_they_were(name: str) -> None:
    text = written("darts", read("darts", text_of(GENOTYPES[name])), name)
    fields = {k: v for k, v in GENOTYPES[name].items() if k not in ("cifar", "imagenet")}
    if name == "Att_DARTS":
        fields |= {"normal_bottleneck": "", "reduce_bottleneck": ""}
    assert text == f"{name} = {text_of(fields)}"


@pytest.mark.parametrize("name", SHIPPED)
def test_an_imported_genotype_is_the_shipped_spec_without_its_training(name: str) -> None:
    imported = read("darts", text_of(GENOTYPES[name])).module
    path = LIBRARY / f"{SHIPPED[name]}.geno"
    shipped = load_module(Source("shipped.geno", path.read_text("utf-8")), path)
    assert [(change.kind, change.where) for change in compare(shipped, imported)] == [("section-removed", "train")]


def random_genotype(random_: random.Random, attention: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in ("normal", "reduce"):
        nodes = random_.randint(1, 6)
        found[kind] = [
            [random_.choice(OPERATIONS), random_.randrange(2 + number // 2)]
            + ([random_.choice(["", *MODULES])] if attention else [])
            for number in range(2 * nodes)
        ]
        found[f"{kind}_concat"] = random_.sample(range(2, 2 + nodes), random_.randint(1, nodes))
    if attention:
        found["normal"][0][2] = "SE"
        found |= {f"{kind}_bottleneck": random_.choice(["", *MODULES]) for kind in ("normal", "reduce")}
    return found


@pytest.mark.parametrize("attention", [False, True])
def test_any_genotype_comes_back_as_it_was(attention: bool) -> None:
    random_ = random.Random(5)
    for _ in range(40):
        genotype = random_genotype(random_, attention)
        spec = notation("darts").read(Source("g", text_of(genotype)), None)
        module = load_module(Source("imported.geno", spec), None)
        assert module.all_diagnostics == []
        assert notation("darts").write(module, "g").strip() == f"g = {text_of(genotype)}"


V2 = text_of(GENOTYPES["DARTS_V2"])


@pytest.mark.parametrize(
    "text",
    [
        V2.replace("[2, 3, 4, 5]", "range(2, 6)"), V2.replace("[2, 3, 4, 5]", "list(range(2, 6))"),
        f"import collections\nGenotype = collections.namedtuple('Genotype', 'normal')\nx = genotypes.{V2}\nDARTS = x\n",
        f"2019-05-03 12:00:01,304 epoch 49 lr 1.0e-3 (best)\n2019-05-03 genotype = {V2}\nvalid_acc 88.4",
        V2.replace("normal=", "", 1).replace("normal_concat=", "", 1).replace("('skip_connect', 0)", "['skip_connect', 0]"),
        V2.replace("), ", "),  # a comment ( with a bracket\n    "),
    ],
)  # fmt: skip
def test_genotypes_are_read_as_people_write_them(text: str) -> None:
    assert written("darts", read("darts", text)) == f"genotype = {V2}"


def test_one_of_several_genotypes_is_chosen_by_name() -> None:
    both = f"A = {text_of(GENOTYPES['DARTS_V1'])}\nB = {V2}\nC = B\n"
    assert written("darts", read("darts", both, "C"), "C") == f"C = {V2}"
    assert refusal("darts", both) == ("there are several genotypes", "", "say which: --name A | B | C")
    assert refusal("darts", both, "D")[0] == "there is no genotype `D`"


@pytest.mark.parametrize(
    ("old", "new", "message", "place"),
    [
        ("'dil_conv_3x3'", "'dil_conv_3'", "there is no operation `dil_conv_3`", "'dil_conv_3'"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)", "an edge into node 5 starts at 0 to 4, not 5", "5"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', 2, 'SEE')", "there is no attention module `SEE`", "'SEE'"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3',)", "an edge is (operation, start) or (operation, start, attention)", "('dil_conv_3x3',)"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', True)", "a whole number from 0 is needed here", "True"),
        ("('dil_conv_3x3', 2)", "f()", "an edge is a list", "f()"),
        (", ('dil_conv_3x3', 2)", "", "`normal` lists two edges for each node, so not 7", None),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=[2, 6]", "the cell has no node 6; its nodes are 2 to 5", "6"),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=[]", "`normal_concat` names no node", "[]"),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=range(10**9)", "a whole number from 0 is needed here", "10**9"),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=range(2, 999999999)", "a cell has no thousand nodes", "range(2, 999999999)"),
        ("normal_concat=[2, 3, 4, 5]", "concat=[2, 3]", "a genotype has no second or other field `concat`", "[2, 3]"),
        (", reduce_concat=[2, 3, 4, 5]", "", "the genotype has no `reduce_concat`", None),
        ("Genotype", "Genotipe", "there is no `Genotype(...)` in this text", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_genotype_is_said_at_its_place(
    old: str, new: str, message: str, place: str | None
) -> None:
    said, words, _ = refusal("darts", f"# é\nx = {V2.replace(old, new, 1)}")
    assert said == message
    assert place is None or words == place


def test_a_genotype_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text in (
        "__import__('pathlib').Path('ran').touch()",
        V2.replace("'dil_conv_3x3'", "__import__('pathlib').Path('ran').touch()"),
        "Genotype(" + "(" * 300, "Genotype(" + "-" * 100_000 + "1)", "Genotype(\0)", "",
    ):  # fmt: skip
        refusal("darts", text)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("dil_conv(3) -> drop_path", "tanh -> drop_path", "there is no word for `tanh` in DARTS"),
        ("dil_conv(3) -> drop_path", "mine", "the edge holds `mine`, which this file defines"),
        ("dil_conv(3) -> drop_path", "(skip | relu)", "the edge holds `skip | relu`, for which the notation has no word"),
        ("dil_conv(3) -> drop_path", "op_ -> drop_path", "the choice `op_` is still open"),
        ("dil_conv(3) -> drop_path", "att.se(r=4)", "there is no word for `att.se(r=4)` in DARTS"),
        ("dil_conv(3) -> drop_path", "skip -> att.se(r=4)", "there is no word for `att.se(r=4)` in Att-DARTS"),
        ("dil_conv(3) -> drop_path", "skip -> att.se -> att.se", "an edge holds an operation and an attention module, no more"),
        ("dil_conv(3) -> drop_path", "dil_conv(3, stride=2)", "the stride is 2, though the edge does not leave one of its inputs"),
        ("s1 -> n4 : max_pool(3, stride=2)", "s1 -> n4 : max_pool(3)", "the stride is 1, though the edge leaves an input of the reduction cell"),
        ("    s1 -> n4 : max_pool(3, stride=2) -> drop_path\n", "", "two edges lead into each node, but 1 into `n4`"),
        ("return concat(n1, n2, n3, n4)", "return n1 + n2", "a cell of DARTS returns nodes, concatenated"),
        ("cell reduction", "cell reducing", "spec.geno has no cell `reduction`"),
    ],
)  # fmt: skip
def test_what_a_genotype_cannot_say_is_refused_at_its_place(old: str, new: str, message: str) -> None:
    text = (
        (LIBRARY / "darts" / "v2.geno")
        .read_text("utf-8")
        .replace("import std.ops,", "import std.attention as att, std.ops,")
    )
    assert old in text
    text = text.replace(old, new, 1) + "\nop mine = relu\n\nchoice op_ = skip | relu\n"
    module = load_module(Source("spec.geno", text), None)
    with pytest.raises(GenoError) as error:
        notation("darts").write(module, None)
    (found,) = error.value.diagnostics
    assert found.code == "G609" and found.message == message


def test_a_name_of_your_own_is_not_taken_for_the_library_s() -> None:
    text = (LIBRARY / "darts" / "v2.geno").read_text("utf-8") + "\nop sep_conv(k, stride=1) = conv(k, stride=stride)\n"
    with pytest.raises(GenoError, match="which this file defines"):
        notation("darts").write(load_module(Source("spec.geno", text), None), None)


# NAS-Bench-201


def cell(*operations: str) -> str:
    """A cell's string from its six operations."""
    names = iter(operations)
    return "+".join("|" + "".join(f"{next(names)}~{start}|" for start in range(node)) for node in (1, 2, 3))


@pytest.mark.parametrize(
    ("operation", "params", "macs"), [("none", 73_306, 7_783_040), ("nor_conv_3x3", 1_531_546, 220_119_680)]
)
def test_the_smallest_and_the_largest_cell_have_the_sizes_in_the_benchmark(
    operation: str, params: int, macs: int
) -> None:
    # The benchmark's FLOPs, 7.78305 and 220.11969 million, count the ten biases of the last layer.
    made = network(read("nasbench201", cell(*[operation] * 6)))
    assert (made.program.params, made.program.block.macs[1]) == (params, macs)
    assert network(read("nasbench201", cell(*[operation] * 6)), classes=100).program.params == params + 90 * 65


def test_any_cell_has_the_parameters_of_its_convolutions_and_comes_back() -> None:
    random_ = random.Random(7)
    for _ in range(12):
        operations = random_.choices(NB201, k=6)
        checked = read("nasbench201", cell(*operations))
        assert written("nasbench201", checked) == cell(*operations)
        weights = {"nor_conv_1x1": 1, "nor_conv_3x3": 9}
        expected = 73_306 + sum(
            5 * (weights[op] * C * C + 2 * C) for op in operations if op in weights for C in (16, 32, 64)
        )
        assert network(checked).program.params == expected


def test_cells_with_more_nodes_and_missing_edges_are_read() -> None:
    text = "|nor_conv_3x3~0|+|skip_connect~1|+|nor_conv_1x1~2|avg_pool_3x3~0|+|none~0|skip_connect~3|"
    assert written("nasbench201", read("nasbench201", f" {text}\n", "mine"), "mine") == text.replace(
        "|nor_conv_1x1~2|avg_pool_3x3~0|", "|avg_pool_3x3~0|nor_conv_1x1~2|"
    )


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("|nor_conv_3x3~0|+|none~0|skip~1|", "there is no operation `skip`", "skip~1"),
        ("|nor_conv_3x3~0|+|none~0|none~2|", "an edge into node 2 starts at 0 to 1, not 2", "none~2"),
        ("|nor_conv_3x3~0|++|none~0|", "a node reads `|operation~start|operation~start|`", "+"),
        ("|nor_conv_3x3~0|none~x|", "a node reads `|operation~start|operation~start|`", "|nor_conv_3x3~0|none~x|"),
        ("", "a node reads `|operation~start|operation~start|`", ""),
    ],
)
def test_what_is_wrong_with_a_string_is_said_at_its_place(text: str, message: str, place: str) -> None:
    assert refusal("nasbench201", text)[:2] == (message, place)


def test_what_a_string_cannot_say_is_refused() -> None:
    spec = notation("nasbench201").read(Source("s", cell(*["nor_conv_3x3"] * 6)), None)
    for old, new in (("nor_conv(3)\n", "nor_conv(5)\n"), ("nor_conv(3)\n", "sep_conv(3)\n"), ("return n3", "return n2"),
                     ("nor_conv(3)\n", "nor_conv(3) -> relu\n"), ("found(prev)", "found(prev, prev1)"),
                     ("network cifar", "cell other(a) { return a }\nnetwork cifar")):  # fmt: skip
        with pytest.raises(GenoError) as error:
            text = spec.replace(old, new, 1).replace(
                "n0 = prev", "n0 = prev, m = prev1" if "prev1" in new else "n0 = prev"
            )
            notation("nasbench201").write(load_module(Source("spec.geno", text), None), None)
        assert error.value.diagnostics[0].code == "G609", new


# EAN


SCHEMES = {"EAN (a)": "001100100101110101,001100000111001111,101100000111110001", "all": ",".join(["1" * 18] * 3)}


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=list(SCHEMES))
def test_a_scheme_becomes_the_published_network_with_a_module_per_stage(scheme: str) -> None:
    checked = read("ean", scheme)
    assert network(checked).program.params == 1_738_512
    assert written("ean", checked) == scheme


def test_a_scheme_of_16_bits_is_that_of_a_resnet_50() -> None:
    for text in ("1001011010011011", "100,1011,010011,011"):
        checked = read("ean", text)
        assert written("ean", checked) == "100,1011,010011,011"
        assert network(checked).program.params == 26_283_992
    assert written("ean", read("ean", SCHEMES["EAN (a)"].replace(",", ""))) == SCHEMES["EAN (a)"]


def test_blocks_without_the_module_do_not_compute_it() -> None:
    few, many = (network(read("ean", bits)).program.block.macs[0] for bits in ("100,100,001", "110,101,111"))
    assert few < many
    assert network(read("ean", "000,100,000")).program.params < network(read("ean", "100,100,001")).program.params


@pytest.mark.parametrize("text", ['["001", "100", "111"]', "001 100\n111", "001|100|111"])
def test_bits_are_read_in_the_ways_they_are_printed(text: str) -> None:
    assert written("ean", read("ean", text, "mine"), "mine") == "001,100,111"


@pytest.mark.parametrize("text", ["", "001,100", "001,100,11", "001,100,112", "a,b,c"])
def test_other_bits_are_refused(text: str) -> None:
    assert refusal("ean", text)[2]


@pytest.mark.parametrize("name", [path.stem for path in sorted((LIBRARY / "ean").glob("resnet*.geno"))])
def test_shipped_schemes_are_exported_by_name(name: str) -> None:
    checked = check_source(
        Source("spec.geno", (LIBRARY / "ean" / f"{name}.geno").read_text("utf-8")), LIBRARY / "ean" / f"{name}.geno"
    )
    with_bits = [ref.name for ref in checked.module.definitions.values()
                 if any(p.where and p.where.kind == "bits" for p in ref.syntax.plugs)]  # fmt: skip
    assert with_bits
    for key in with_bits:
        assert set(written("ean", checked, key)) == set("01,")
    with pytest.raises(GenoError, match="several networks"):
        notation("ean").write(checked.module, None)
    with pytest.raises(GenoError, match="no bits"):
        notation("ean").write(checked.module, "nothing_of_that_name")
