import io
import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from search.slot_space import SLOTS
from search.tiny_space import small_digits

from genolang.cli.main import main
from genolang.cli.reporting.studies import scatter_chart
from genolang.drawing.pixels import heat, png

SVG = "{http://www.w3.org/2000/svg}"
SPEC = SLOTS.replace(
    "search { method ean }",
    """search {
  method ean(steps=2)
  epochs 1
  batch 8
  score_epochs 1
}

train {
  epochs 1
  batch 8
}""",
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    path = tmp_path_factory.mktemp("study")
    data = small_digits()
    np.savez(
        path / "data.npz",
        x_train=data.train_images.numpy(),
        y_train=data.train_labels.numpy(),
        x_test=data.test_images.numpy(),
        y_test=data.test_labels.numpy(),
    )
    (path / "slots.geno").write_text(SPEC)
    return path


def genoc(files, *words, code=0):
    run = "--data" if words[0] != "study" or words[1] in ("schemes", "correlation") else None
    more = [run, f"npz:{files / 'data.npz'}", "--threads", "1"] if run else []
    result = CliRunner().invoke(main, [*map(str, words), *more])
    assert result.exit_code == code, result.output
    return result.stdout


def picture(path):
    root = ET.parse(path).getroot()
    assert root.tag == f"{SVG}svg"
    return root


def test_schemes_prints_the_test_and_draws_every_score(files):
    out = genoc(
        files,
        "study",
        "schemes",
        files / "slots.geno",
        "--network",
        "slots",
        "--count",
        2,
        "--random",
        3,
        "--out",
        files / "a",
    )
    assert out.startswith("searched  0.") and "n 3), with as many connections" in out
    kept = json.loads((files / "a" / "study.json").read_text())
    assert len(kept["searched"]) == 2 and kept["test"]["second"] == 3
    assert len(picture(files / "a" / "schemes.svg").findall(f"{SVG}circle")) == 5
    command = json.loads((files / "a" / "run.json").read_text())["command"]
    assert command[:3] == ["genoc", "study", "schemes"] and command[-4:] == ["--count", "2", "--random", "3"]


def test_correlation_prints_both_and_draws_every_pair(files):
    call = ("study", "correlation", files / "slots.geno", "--network", "slots", "--count", 4)
    found = json.loads(genoc(files, *call, "--out", files / "b", "--json"))
    assert found["found"]["n"] == 4 == len(found["pairs"])
    assert len(picture(found["chart"]).findall(f"{SVG}circle")) == 4
    shown = genoc(files, *call, "--resume", files / "b")
    assert shown.startswith(("Pearson r", "n 4: one side"))


def test_a_study_is_of_one_method(files):
    call = ("study", "schemes", files / "slots.geno", "--network", "slots", "--method", "all", "--json")
    result = json.loads(genoc(files, *call, code=1))
    assert [d["code"] for d in result["diagnostics"]] == ["G503"]


def test_convergence_reads_the_journals_of_runs(files):
    for name in ("ean(steps=3)", "enas(steps=2)"):
        genoc(
            files,
            "search",
            files / "slots.geno",
            "--network",
            "slots",
            "--method",
            name,
            "--set",
            "random=0",
            "--out",
            files / name[:4],
        )
    runs = (files / "ean(", files / "enas")
    found = json.loads(genoc(files, "study", "convergence", *runs, "-o", files / "c.svg", "--json"))
    assert {name: row["steps"] for name, row in found["curves"].items()} == {"ean(: 0": 3, "enas: 0": 2}
    for row in found["curves"].values():
        # Before anything is learnt two alternatives are nearly even.
        assert row["first"] == pytest.approx(0.5, abs=0.05) and row["last"] == row["p_bar"][-1]
        assert row["first_at_0.9"] is None
    picture(files / "c.svg")
    assert "never" in genoc(files, "study", "convergence", runs[0])


def test_convergence_needs_a_controller(files):
    genoc(
        files,
        "search",
        files / "slots.geno",
        "--network",
        "slots",
        "--method",
        "random(evaluations=1)",
        "--set",
        "random=0",
        "--out",
        files / "r",
    )
    result = json.loads(genoc(files, "study", "convergence", files / "r", "--json", code=2))
    assert [d["code"] for d in result["diagnostics"]] == ["G704"]


def test_gradcam_shows_two_trained_runs_side_by_side(files):
    (files / "two.geno").write_text(
        SPEC.replace("where search", 'where ["110", "010"]').replace("method ean(steps=2)", "")
    )
    for network in ("plain", "slots"):
        genoc(files, "train", files / "two.geno", "--network", network, "--out", files / network)
    call = ("study", "gradcam", files / "plain", files / "slots", "--images", 3, "-o", files / "g.svg")
    found = json.loads(genoc(files, *call, "--json"))
    assert [row["label"] for row in found["images"]] == small_digits().test_labels[:3].tolist()
    for row in found["images"]:
        assert np.array(row["maps"]).shape == (2, 8, 8) and all(0 <= score <= 1 for score in row["scores"])
    assert len(picture(files / "g.svg").findall(f"{SVG}image")) == 9
    assert genoc(files, *call).splitlines()[-1] == f"wrote {files / 'g.svg'}"
    result = json.loads(genoc(files, "study", "gradcam", files / "plain", files / "ean(", "--json", code=2))
    assert [d["code"] for d in result["diagnostics"]] == ["G704"]


def test_a_png_reads_back_as_it_was_drawn():
    rows = [[(0, 128, 255), (1, 2, 3), (9, 8, 7)], [(255, 255, 255), (0, 0, 0), (40, 50, 60)]]
    read = np.asarray(Image.open(io.BytesIO(png(rows))))
    assert read.tolist() == [[list(colour) for colour in row] for row in rows]


def test_heat_goes_from_blue_to_red():
    assert heat(-1) == heat(0) and heat(1) == heat(2)
    assert heat(0)[2] > heat(0)[0] and heat(1)[0] > heat(1)[2]


def test_a_scatter_chart_names_its_dots_safely():
    chart = scatter_chart("t", "x", "y", [(0.1, 0.2, "<a&b>"), (0.3, 0.4, "c")])
    assert "&lt;a&amp;b&gt;" in chart
    ET.fromstring(chart)
