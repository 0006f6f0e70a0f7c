"""The page of a run, as one HTML file that needs nothing else and runs nothing."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from genolang.cli.reporting.charts import line_chart, score_chart, short
from genolang.cli.reporting.reading import Phase, Run, paired
from genolang.diagnostics import GenoError, Source, render_all
from genolang.drawing.svg import safe, write_svg

# How a phase that scores an answer is called in the journal, a random one, one that takes no search.
SCORE, RANDOM, REFERENCE = "score-", "score-random-", "score-reference-"
_FACTS = (
    ("score", "score of the answer"),
    ("baseline_random", "mean score of random answers"),
    ("train_accuracy", "training accuracy"),
    ("val_accuracy", "validation accuracy"),
    ("test_accuracy", "test accuracy"),
    ("params", "parameters"),
    ("epochs", "epochs"),
    ("best_epoch", "best epoch (from 0)"),
    ("seed", "seed"),
    ("seconds", "seconds of training"),
)
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ margin: 2rem auto; max-width: 76rem; padding: 0 1rem; background: #ffffff; color: #1f2933;
  font-family: Helvetica, Arial, sans-serif; line-height: 1.45 }}
h1 {{ margin-bottom: 0.2rem; overflow-wrap: anywhere }}
h2 {{ margin-top: 2.5rem; border-bottom: 1px solid #e4e8ec }}
.state {{ color: #52606d; margin-top: 0 }}
.charts {{ display: flex; flex-wrap: wrap; gap: 1rem }}
figure {{ margin: 0 0 1rem; overflow-x: auto }}
table {{ border-collapse: collapse }}
td {{ padding: 0.15rem 1.5rem 0.15rem 0; vertical-align: top }}
td + td {{ font-variant-numeric: tabular-nums }}
pre {{ background: #f6f7f9; padding: 1rem; overflow-x: auto; line-height: 1.35 }}
</style>
</head>
<body>
{body}
</body>
</html>
"""


def write_page(run: Run) -> str:
    """The run's page: results, drawings, curves, choices, and its specs."""
    name = run.path.resolve().name
    state = "finished" if run.metrics is not None else "not finished: it goes on, or was stopped"
    parts = [f"<h1>{safe(name)}</h1>", f'<p class="state">{safe(run.verb)}, {state}</p>']
    parts += [_facts(run), *_scores(run), *_drawings(run)]
    scoring = [phase for phase in run.phases if phase.name.startswith(SCORE)]
    for phase in run.phases:
        if phase not in scoring:
            parts += _phase(phase)
    parts += _scoring(scoring)
    if run.found is not None:
        parts.append(_listing("What was found: found.geno", run.found))
    parts.append(_listing("What was run: spec.geno", run.spec))
    return _PAGE.format(title=safe(name), body="\n".join(parts))


def _facts(run: Run) -> str:
    metrics: Mapping[str, Any] = run.metrics or {}
    rows = [("command", shlex.join(run.command))]
    rows += [(shown, _value(metrics[key])) for key, shown in _FACTS if metrics.get(key) is not None]
    if run.metrics is None:
        rows += [(f"{phase.unit}s of {phase.name} so far", str(len(phase.entries))) for phase in run.phases]
        rows.append(("go on with", shlex.join([*run.command, "--resume", str(run.path)])))
    cells = (f"<tr><td>{safe(name)}</td><td>{safe(value)}</td></tr>" for name, value in rows)
    return "\n".join(["<table>", *cells, "</table>"])


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _scores(run: Run) -> list[str]:
    """The answers beside the random ones, all trained alike."""
    answers, control = run.scores(SCORE), run.scores(RANDOM)
    if not answers and not control:
        return []
    chosen = (run.metrics or {}).get("score")
    best = chosen if isinstance(chosen, float) else max(answers.values(), default=None)
    rows = [(f"searched, seed {seed}", [score], score == best) for seed, score in answers.items()]
    if control:
        rows.append((f"{len(control)} at random", list(control.values()), False))
    rows += [(text, [score], False) for text, score in _references(run.metrics or {})]
    said = f"<figure>{score_chart('score', rows)}</figure>"
    sentences = [f"<p>{safe(sentence)}</p>" for sentence in _sentences(run.metrics or {})]
    if best is None or not control:
        return ["<h2>Scores</h2>", said, *sentences]
    mean = sum(control.values()) / len(control)
    beaten = sum(best > score for score in control.values())
    return [
        "<h2>Scores</h2>",
        said,
        f"<p>The answer scored {short(best)}. Random answers, trained as long, scored {short(mean)} on"
        f" average; it beats {beaten} of {len(control)}.</p>",
        *sentences,
    ]


def _references(metrics: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The answers that took no search, in words, with their scores."""
    found = [one for one in _list(metrics, "references") if isinstance(one, dict)]
    return [(str(one.get("text", "")), one["score"]) for one in found if isinstance(one.get("score"), float)]


def _sentences(metrics: Mapping[str, Any]) -> list[str]:
    """What the answer beats, and the signs that the search found nothing."""
    said = [str(one["sentence"]) for one in _list(metrics, "verdicts") if isinstance(one, dict) and "sentence" in one]
    stopped = metrics.get("stopped")
    said += [f"The search ended early: {stopped}."] if isinstance(stopped, str) else []
    return said + [
        f"Warning: {one['text']}." for one in _list(metrics, "warnings") if isinstance(one, dict) and "text" in one
    ]


def _list(metrics: Mapping[str, Any], key: str) -> list[Any]:
    found = metrics.get(key)
    return found if isinstance(found, list) else []


def _drawings(run: Run) -> list[str]:
    from genolang.drawing.gather import gather
    from genolang.semantics.check import check_source

    text, title = (run.found, "What was found") if run.found is not None else (run.spec, "What is run")
    name = "found.geno" if run.found is not None else "spec.geno"
    try:
        pictures = gather(check_source(Source(name, text), run.path / name), None, {}, None)
    except GenoError as error:
        # A spec that imports files from beside its original is not whole in the folder.
        return [
            f"<h2>{title}</h2>",
            "<p>It cannot be drawn from the run's folder alone:</p>",
            _listing("", render_all(error.diagnostics)),
        ]
    return [f"<h2>{title}</h2>", *(f"<figure>\n{write_svg([picture])}</figure>" for picture in pictures)]


def _phase(phase: Phase) -> list[str]:
    curves = phase.curves()
    charts = [
        line_chart(what, phase.unit, {name: curves[name] for name in names}) for what, names in paired(curves).items()
    ]
    choices = [line_chart(f"weights of {key}", phase.unit, found) for key, found in phase.choices().items()]
    parts = [f"<h2>{safe(phase.name)}</h2>", *_figures(charts)]
    if choices:
        parts += [
            "<h3>Choices</h3>",
            "<p>Softmax weights, averaged over the decisions of a set.</p>",
            *_figures(choices),
        ]
    return parts


def _scoring(phases: Sequence[Phase]) -> list[str]:
    """One chart for each measure on held-out images of all the trainings that score answers."""
    curves = {phase.name: phase.curves() for phase in phases}
    measures = dict.fromkeys(name for found in curves.values() for name in found if name.startswith("val_"))
    charts = []
    for measure in measures:
        shown = {name: found[measure] for name, found in curves.items() if measure in found}
        beside = (RANDOM, REFERENCE)
        control = {name: curve for name, curve in shown.items() if name.startswith(beside)}
        answers = {name: curve for name, curve in shown.items() if name not in control}
        charts.append(line_chart(measure, "epoch", answers, control))
    return ["<h2>Trainings that score answers</h2>", *_figures(charts)] if charts else []


def _figures(charts: Iterable[str]) -> list[str]:
    return ['<div class="charts">', *(f"<figure>{chart}</figure>" for chart in charts), "</div>"]


def _listing(title: str, text: str) -> str:
    shown = "\n".join(safe(line) for line in text.split("\n"))
    return (f"<h2>{safe(title)}</h2>\n" if title else "") + f"<pre>{shown}</pre>"
