"""Grad-CAM of two training runs on the same test images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genolang.cli.reporting.reading import read_run
from genolang.cli.reporting.studies import Explained, heat_chart
from genolang.diagnostics import fail
from genolang.drawing.pixels import Colour

if TYPE_CHECKING:
    from genolang.cli.request import Request
    from genolang.compiler.driver import NetworkModule
    from genolang.train.datasets import Dataset


def explain_runs(paths: tuple[str, str], count: int, data_name: str | None) -> tuple[dict[str, Any], str]:
    """Scores, predictions and heat maps of both networks by image, and the picture.

    Errors: G704 for a folder without trained weights, and those of specs and data.
    """
    import torch

    from genolang.search.significance import correlation
    from genolang.train.batches import evaluation_batches
    from genolang.train.gradcam import grad_cam

    first, data, name = _trained(Path(paths[0]), data_name)
    networks = [first, _trained(Path(paths[1]), name)[0]]
    images, labels = next(
        iter(evaluation_batches(data.test_images, data.test_labels, count, data.mean, data.std, torch.device("cpu")))
    )
    raw = images * torch.tensor(data.std).view(-1, 1, 1) + torch.tensor(data.mean).view(-1, 1, 1)
    found = [grad_cam(module, images, labels) for module in networks]
    with torch.no_grad():
        predictions = [module(images).argmax(1).tolist() for module in networks]
    rows: list[dict[str, Any]] = []
    shown = []
    for number in range(len(labels)):
        maps = [heat[number] for heat, _ in found]
        scores = [float(score[number]) for _, score in found]
        alike = correlation(*(heat.flatten().tolist() for heat in maps)).pearson
        rows.append(
            {
                "image": number,
                "label": int(labels[number]),
                "scores": scores,
                "predictions": [answer[number] for answer in predictions],
                "correlation": alike,
                "maps": [heat.tolist() for heat in maps],
            }
        )
        captions = [f"class {int(labels[number])}", *(f"P {score:.3f}" for score in scores)]
        shown.append(Explained(_pixels(raw[number]), [heat.tolist() for heat in maps], captions))
    known = [row["correlation"] for row in rows if row["correlation"] is not None]
    heads = ["image", *(Path(path).name for path in paths)]
    return {
        "runs": list(paths),
        "data": data.name,
        "images": rows,
        "mean_correlation": sum(known) / len(known) if known else None,
    }, heat_chart("Grad-CAM", heads, shown)


def _trained(path: Path, data_name: str | None) -> tuple[NetworkModule, Dataset, str]:
    """A run's network with its best weights, the data and what it was called."""
    from genolang.api import load
    from genolang.cli import runs
    from genolang.compiler import driver
    from genolang.semantics.check import expand_network
    from genolang.train.pouring import pour

    request = _request(path)
    if not (path / "weights.safetensors").is_file():
        raise fail("G704", f"`{path}` has no trained weights", help="name a finished run of `genoc train`")
    checked = load(request.spec).checked
    settings, network, given = runs.training_of(checked, request)
    program = expand_network(checked, network, given)
    name = data_name or request.data or settings.data
    data = runs.read_data(name, program)
    module = driver.to_module(program)
    pour(module, path / "weights.safetensors")
    return module, data, name


def _request(path: Path) -> Request:
    """The training that a folder belongs to, with the folder's copy of the spec."""
    from genolang.cli.request import Request
    from genolang.cli.train import train

    command = read_run(path).command
    if command[1:2] != ("train",):
        raise fail("G704", f"`{path}` is no run of `genoc train`", help="train both networks, then name their folders")
    asked = dict(train.make_context("train", list(command[2:])).params)
    asked.pop("as_json")
    return replace(Request("train", **asked), spec=str(path / "spec.geno"))


def _pixels(image: Any) -> list[list[Colour]]:
    """An image (C, H, W) of one or three channels as rows of colours, from its least to its greatest."""
    shown = (image - image.amin()) / (image.amax() - image.amin()).clamp_min(1e-12) * 255
    planes = [shown[channel if len(shown) > 1 else 0].round().int().tolist() for channel in range(3)]
    red, green, blue = planes
    return [list(zip(*line, strict=True)) for line in zip(red, green, blue, strict=True)]
