import json
import shlex

import numpy as np
import pytest
from click.testing import CliRunner
from search.slot_space import SLOTS
from search.tiny_space import small_digits

from genolang.api import load
from genolang.cli.main import main
from genolang.search import comparison, timing

SPEC = SLOTS.replace(
    "search { method ean }",
    """search {
  method ean(steps=2)
  epochs 1
  batch 8
  random 0
  score_epochs 1
}""",
)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "BATCH", 2)
    monkeypatch.setattr(timing, "SHORTEST_S", 0.0)
    data = small_digits()
    np.savez(
        tmp_path / "data.npz",
        x_train=data.train_images.numpy(),
        y_train=data.train_labels.numpy(),
        x_test=data.test_images.numpy(),
        y_test=data.test_labels.numpy(),
    )
    (tmp_path / "slots.geno").write_text(SPEC)
    return tmp_path


def search(files, *more, code=0):
    call = [
        "search",
        str(files / "slots.geno"),
        "--network",
        "slots",
        "--data",
        f"npz:{files / 'data.npz'}",
        "--threads",
        "1",
        *more,
    ]
    result = CliRunner().invoke(main, call)
    assert result.exit_code == code, result.output
    return result.stdout


def test_the_specs_method_and_one_from_the_command_line(files):
    found = json.loads(search(files, "--json", "--out", str(files / "a")))
    assert load(found["found"]).network("slots").program.choices == {}
    assert "found by: ean(steps=2) seed 0, supernet of 1 epochs" in (files / "a" / "found.geno").read_text()
    search(files, "--method", "random(evaluations=3)", "--out", str(files / "b"))
    assert "found by: random(evaluations=3)" in (files / "b" / "found.geno").read_text()
    command = json.loads((files / "b" / "run.json").read_text())["command"]
    assert command[command.index("--method") + 1] == "random(evaluations=3)"


def test_the_answer_is_compared_and_warned_of_alike_on_the_console_and_in_the_metrics(files):
    where = ("--set", "connect=0", "--set", "split=1/2", "--set", "random=2")
    shown = search(files, *where, "--out", str(files / "a")).splitlines()
    found = json.loads(search(files, *where, "--resume", str(files / "a"), "--json"))
    metrics = json.loads((files / "a" / "metrics.json").read_text())
    keys = ("spread", "references", "verdicts", "warnings", "stopped", "baseline_random", "score")
    assert {key: found[key] for key in keys} == {key: metrics[key] for key in keys}
    assert [one["name"] for one in found["references"]] == ["cheapest", "dearest", "every_second"]
    assert [one["name"] for one in found["verdicts"]] == ["cheapest", "dearest", "every_second", "random"]
    assert [line for line in shown if line.startswith("The answer")] == [one["sentence"] for one in found["verdicts"]]
    # One epoch on two dozen images is no training.
    assert {"chance"} <= {one["kind"] for one in found["warnings"]}
    assert [line for line in shown if line.startswith("warning: ")] == [
        f"warning: {one['text']}" for one in found["warnings"]
    ]


def test_all_methods_print_a_table_and_write_a_spec_each(files):
    several = "all(evaluations=4, methods=[random, heuristic(every=3), darts])"
    search(files, "--method", several, "--out", str(files / "a"))
    shown = search(files, "--method", several, "--resume", str(files / "a"))
    lines = shown.splitlines()
    assert [line.split()[0] for line in lines[:6]] == [
        "method",
        "random",
        "heuristic(every=3)",
        "darts(order=1)",
        "no",
        "every",
    ]
    assert "accuracy" in lines[0] and "time increment" in lines[0] and "2/6" in lines[2]
    again = json.loads(search(files, "--method", several, "--resume", str(files / "a"), "--json"))
    assert [one["name"] for one in again["verdicts"]] == ["none", "full"]
    assert any(one["text"].startswith("darts(order=1): ") for one in again["warnings"])
    assert [row["label"] for row in again["methods"]] == ["random", "heuristic-every-3", "darts", "none", "full"]
    assert again["methods"][0]["evaluations"] == 4 and again["score"] == max(
        row["score"] for row in again["methods"][:3]
    )
    for row in again["methods"][:3]:
        found = load(row["found"]).network("slots").program
        assert not found.choices and found.params == row["params"]
    assert (files / "a" / "found.geno").read_text() == (files / "a" / f"found-{again['best']}.geno").read_text()


def test_a_method_that_does_not_exist_is_refused_as_in_a_spec(files):
    result = json.loads(search(files, "--method", "eann", "--json", code=1))
    assert [d["code"] for d in result["diagnostics"]] == ["G504"]


def test_a_method_needs_no_section_in_the_spec(files):
    text = SPEC[: SPEC.index("search {")]
    (files / "slots.geno").write_text(text)
    assert "G508" in search(files, "--json", code=1)
    search(
        files,
        "--method",
        "random(evaluations=2)",
        "--set",
        "epochs=1",
        "--set",
        "batch=8",
        "--set",
        "score_epochs=1",
        "--set",
        "random=0",
        "--out",
        str(files / "a"),
    )


def test_a_search_says_how_its_answer_is_trained(files):
    shown = search(files, "--method", "random(evaluations=1)", "--out", str(files / "a")).splitlines()[-1]
    found = files / "a" / "found.geno"
    command = f"genoc train {found} --network slots" if len(load(str(found)).networks) > 1 else f"genoc train {found}"
    assert shown == f"wrote {found}; train it: {command}"
    words = [*shlex.split(command)[1:], "--data", f"npz:{files / 'data.npz'}", "--threads", "1", "--set", "epochs=1"]
    assert CliRunner().invoke(main, [*words, "--out", str(files / "b")]).exit_code == 0
    # A section that names the network needs no option.
    spec = files / "slots.geno"
    spec.write_text(spec.read_text() + "train { network slots }\n")
    shown = search(files, "--method", "random(evaluations=1)", "--out", str(files / "c")).splitlines()[-1]
    assert shown.endswith(f"train it: genoc train {files / 'c' / 'found.geno'}")
