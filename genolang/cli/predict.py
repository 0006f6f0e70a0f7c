"""`genoc predict`: what a trained network says of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genolang.cli.options import network_option, set_option

if TYPE_CHECKING:
    from genolang.train.card import Card
    from genolang.train.predict import Prediction


@click.command("predict")
@click.argument("spec", metavar="SPEC|RUN")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--weights", metavar="FILE", help="Its weights; else the run's best.")
@network_option
@click.option("--top", type=click.IntRange(1), default=3, show_default=True, help="How many classes to print.")
@click.option("-o", "--out", "folder", metavar="DIR", help="Where masks of a segmentation go, as PNG files.")
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="cpu, cuda, cuda:1 ...")
@set_option("A parameter of the network: --set channels=36.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each image, a line each.")
def predict(
    spec: str,
    images: tuple[str, ...],
    weights: str | None,
    network: str | None,
    top: int,
    folder: str | None,
    device: str,
    values: dict[str, str],
    as_json: bool,
) -> None:
    """Say what a trained network answers for image files, or for all those of a folder.

    Its weights say how images are normalised and cut, and what the classes are called. For a classification:
    the likeliest classes with their probabilities; for a segmentation: the share of each class, and masks in
    the folder of --out; for counting: the count.

    \b
    genoc predict runs/found-train-1 photo.jpg
    genoc predict runs/found-train-1 photos/ --json
    genoc predict found.geno photo.jpg --weights runs/found-train-1/weights.safetensors
    """
    from genolang.cli import runs
    from genolang.cli.output import fail_with, print_json
    from genolang.diagnostics import GenoError, fail
    from genolang.train.predict import files_of
    from genolang.train.predict import predict as answers
    from genolang.train.trained import load_trained

    try:
        trained = load_trained(spec, weights, network, values)
        card = trained.card
        if card is None:
            raise fail(
                "G715",
                "nothing says how images are normalised: only the weights of a run of `genoc train` know that",
                help="`genoc evaluate` normalises them as the data set that it is given",
            )
        for answer in answers(trained.module, card, files_of(images), runs.choose_device(device)):
            mask = None if folder is None or answer.mask is None else _write_mask(Path(folder), answer)
            found = _said(card, answer, mask)
            if as_json:
                print_json(found)
            else:
                click.echo(f"{answer.image}  {_line(found, top)}")
    except GenoError as error:
        fail_with(error, as_json)


def _said(card: Card, answer: Prediction, mask: Path | None) -> dict[str, Any]:
    """An answer as plain data."""
    found: dict[str, Any] = {"image": str(answer.image)}
    if answer.probabilities is not None:
        likely = answer.probabilities.tolist()
        names = card.classes
        return {
            **found,
            "class": names[likely.index(max(likely))],
            "probabilities": dict(zip(names, likely, strict=True)),
        }
    if answer.mask is not None:
        counts = answer.mask.flatten().bincount(minlength=len(card.classes)).tolist()
        shares = {name: count / sum(counts) for name, count in zip(card.classes, counts, strict=True)}
        return {**found, "mask": None if mask is None else str(mask), "shares": shares}
    return {**found, "count": answer.count}


def _line(found: dict[str, Any], top: int) -> str:
    if "count" in found:
        return f"{found['count']:.1f}"
    shares = found.get("probabilities") or found["shares"]
    best = sorted(shares.items(), key=lambda item: -item[1])[:top]
    return "  ".join(f"{name} {share:.3f}" for name, share in best)


def _write_mask(folder: Path, answer: Prediction) -> Path:
    """The mask as a grey PNG of class numbers. Errors: G607, G709."""
    import io

    import torch

    from genolang.diagnostics import fail
    from genolang.files import make_folder, write_atomically

    try:
        from PIL import Image
    except ImportError as error:
        raise fail("G607", "masks are written by Pillow", help="pip install pillow") from error
    assert answer.mask is not None, "a segmentation"
    file = io.BytesIO()
    Image.fromarray(answer.mask.to(torch.uint8).numpy()).save(file, "PNG")
    make_folder(folder)
    path = folder / f"{answer.image.stem}.png"
    write_atomically(path, file.getvalue())
    return path
