import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from cli.pages import FOUND, SPEC, Page, epoch, finish
from click.testing import CliRunner, Result

from genolang.cli.main import main
from genolang.cli.reporting.charts import line_chart, nice_ticks, score_chart
from genolang.cli.reporting.reading import read_run
from genolang.train.run_folder import RunFolder, read_journal

COMMAND = ["genoc", "search", "<b>small</b>.geno", "--set", "channels=2 * 2"]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    with RunFolder.create(tmp_path / "a <b>run", SPEC, COMMAND) as folder:
        yield folder


def report(*words: object) -> Result:
    return CliRunner().invoke(main, ["report", *map(str, words)], catch_exceptions=False)


def page(run: RunFolder) -> Page:
    found = report(run.path, "--json")
    assert found.exit_code == 0, found.output
    answer = json.loads(found.stdout)
    assert answer["file"] == str(run.path / "report.html") and answer["run"] == str(run.path)
    return Page(Path(answer["file"]).read_text("utf-8"))


def test_the_page_of_a_search_says_what_came_of_it(run: RunFolder) -> None:
    finish(run)
    text = page(run).text
    assert "search, finished" in text
    assert ("The answer scored 0.81. Random answers, trained as long, scored 0.45 on average; it beats 2 of 3.") in text
    for part in (
        "every slot <connected>",
        "The answer beats <it>.",
        "score of the answer 0.8100",
        "seconds of training 1,234.5",
        "cell normal",
        "sep_conv(3)",
        "weights of normal.operation",
        "searched, seed 5",
        "3 at random",
        "What was found: found.geno",
    ):
        assert part in text, part


def test_the_order_in_which_phases_were_trained_does_not_change_the_page(run: RunFolder, tmp_path: Path) -> None:
    finish(run)
    entries = read_journal(run.path)
    expected = [phase.name for phase in read_run(run.path).phases]
    assert expected == [
        "search-4",
        "search-5",
        "score-4",
        "score-5",
        "score-random-0",
        "score-random-1",
        "score-random-2",
        "score-reference-dearest",
    ]
    with RunFolder.create(tmp_path / "other", SPEC, COMMAND) as other:
        for entry in reversed(entries):
            other.append(entry.pop("phase"), entry)
    assert [phase.name for phase in read_run(other.path).phases] == expected


def test_the_page_loads_and_runs_nothing(run: RunFolder) -> None:
    finish(run)
    found = page(run)
    assert not {"script", "link", "img", "iframe", "object", "base", "form", "image", "use"} & set(found.tags)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in found.attributes
    for name, value in found.attributes:
        assert not name.startswith("on") and name not in ("href", "src", "srcdoc", "xlink:href")
        assert name == "xmlns" or "://" not in (value or "")


def test_every_word_of_a_run_is_escaped(run: RunFolder) -> None:
    finish(run)
    run.append(
        "<i>phase",
        {
            "epoch": 0,
            "<u>loss</u>": 1.0,
            "choices": [{"key": "<s>key</s>", "weights": [['<em>"option"</em>', 1.0]], "entropy": 0.0}],
        },
    )
    found = page(run)
    assert not {"b", "i", "u", "s", "em", "script"} & set(found.tags)
    for words in (
        '<script>alert("in a comment")</script>',
        "<b>small</b>.geno",
        "a <b>run",
        "<i>phase",
        "<u>loss</u>",
        "<s>key</s>",
        '<em>"option"</em>',
    ):
        assert words in found.text


def test_a_run_that_is_not_finished_has_a_page_too(run: RunFolder) -> None:
    assert "search, not finished" in page(run).text
    run.append("search-0", epoch(0))
    with (run.path / "journal" / "search-0.jsonl").open("ab") as journal:
        journal.write(b'{"phase": "search-0", "epo')
    text = page(run).text
    assert "epochs of search-0 so far 1" in text and "--resume" in text and "What is run" in text
    assert "operation" in text and "train_loss" in text


def test_steps_of_a_sampler_are_drawn_as_their_means(run: RunFolder) -> None:
    for step in range(3):
        run.append(
            "search-0",
            {
                "step": step,
                "schemes": ["01", "10"],
                "accuracy": [0.1 * step, 0.3 * step],
                "reward": [0.2, 0.6],
                "p_bar": 0.5,
                "note": "words",
                "flag": True,
            },
        )
    text = page(run).text
    assert "accuracy 0.4" in text and "reward 0.4" in text and "step" in text
    assert "words" not in text and "flag" not in text


def test_a_spec_that_needs_other_files_is_shown_without_drawings(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run", "geno 1\nimport mine\n" + SPEC[7:], COMMAND) as run:
        text = page(run).text
    assert "cannot be drawn from the run's folder alone" in text and "G103" in text and "import mine" in text


def test_a_training_has_its_curves_and_accuracies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = FOUND.replace("search { epochs 3 }", "train { epochs 2  batch 700 }")
    Path("small.geno").write_text(spec)
    words = ["train", "small.geno", "--out", "run", "--device", "cpu", "--threads", "1", "--json"]
    metrics = json.loads(CliRunner().invoke(main, words, catch_exceptions=False).stdout)
    assert report("run", "-o", "page.html").exit_code == 0
    found = Page(Path("page.html").read_text("utf-8"))
    assert "train, finished" in found.text and f"test accuracy {metrics['test_accuracy']:.4f}" in found.text
    for chart in ("loss", "accuracy", "lr"):
        assert chart in found.words
    assert not (Path("run") / "report.html").exists()


@pytest.mark.parametrize("damage", ["nothing", "no run", "journal"])
def test_what_is_no_run_is_refused(run: RunFolder, damage: str, tmp_path: Path) -> None:
    path, code, exit_code = run.path, "G704", 2
    if damage == "nothing":
        path = tmp_path / "nowhere"
    elif damage == "no run":
        (path / "run.json").unlink()
    else:
        (path / "journal" / "train.jsonl").write_text("{not json}\n")
        code, exit_code = "G705", 1
    found = report(path, "--json")
    assert found.exit_code == exit_code
    assert [d["code"] for d in json.loads(found.stdout)["diagnostics"]] == [code]
    assert not (path / "report.html").exists()


def places(chart: str, name: str) -> list[tuple[float, float]]:
    (found,) = re.findall(rf'<path d="M([^"]+)"[^>]*><title>{name}</title>', chart)
    return [tuple(map(float, pair.split())) for pair in found.split("L")]  # type: ignore[misc]


def test_a_curve_is_drawn_to_scale() -> None:
    chart = line_chart("t", "epoch", {"a": [(1, 0.0), (2, 0.25), (4, 1.0)], "b": [(1, 0.5), (4, 0.5)]})
    first, second, third = places(chart, "a")
    assert third[0] - first[0] == pytest.approx(3 * (second[0] - first[0]), abs=0.2)
    assert first[1] - third[1] == pytest.approx(4 * (first[1] - second[1]), abs=0.2)
    assert places(chart, "b")[0][1] == pytest.approx((first[1] + third[1]) / 2, abs=0.2)


def test_scores_are_drawn_to_scale_and_the_answer_stands_out() -> None:
    chart = score_chart("t", [("a", [0.75], True), ("b", [0.25, 0.5], False)])
    dots = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', chart)]
    assert dots[0] - dots[2] == pytest.approx(dots[2] - dots[1], abs=0.2)
    assert len(re.findall(r'<circle [^>]*fill="#1d5fa8"', chart)) == 1


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.1234, 0.1235), (-3, 7e5), (5, 5), (0, 0), (-2, -2), (1e-9, 3e-9), (0.07, 0.93)]
)
def test_ticks_are_few_even_and_around_the_values(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    steps = [b - a for a, b in pairwise(ticks)]
    assert 2 <= len(ticks) <= 8 and ticks[0] <= low and high <= ticks[-1]
    assert max(steps) == pytest.approx(min(steps), rel=1e-3)
    assert len(set(ticks)) == len(ticks)
