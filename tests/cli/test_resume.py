"""`--resume` goes on with the very run that was begun, or says what differs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from search.tiny_space import TEXT

from genolang.cli.main import main

BLOCKS = """geno 1
import deep.leaf

op block(c) = conv(3, c) -> leaf
"""
LEAF = """geno 1

op leaf = batch_norm -> relu
"""
SPEC = """geno 1
import mine.blocks as own

network a(width=4) {
  input image(1, 8, 8)
  stem  own.block(width)
  head  global_avg_pool -> linear(3)
}

network b(width=4) {
  input image(1, 8, 8)
  stem  own.block(width) -> relu
  head  global_avg_pool -> linear(3)
}

train {
  epochs 1
  batch 8
  split 0.25
}
"""
SEARCH = (
    TEXT.replace("import std.ops", "import std.ops\nimport mine.deep.leaf")
    .replace(
        "search { method darts }",
        """search {
  method random(evaluations=2)
  epochs 1
  batch 8
  random 0
  score_epochs 1
}""",
    )
    .replace("stem   conv(3, channels) -> batch_norm", "stem   conv(3, channels) -> leaf")
)


def images(**changes):
    draw = np.random.default_rng(3)
    arrays = {
        "x_train": draw.integers(0, 256, (32, 1, 8, 8), dtype=np.uint8),
        "y_train": np.arange(32) % 3,
        "x_test": draw.integers(0, 256, (9, 1, 8, 8), dtype=np.uint8),
        "y_test": np.arange(9) % 3,
    }
    for name, place in changes.items():
        arrays[name][place] = (arrays[name][place] + 1) % 3
    return arrays


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A folder with specs, data, and a run of each command."""
    folder = tmp_path_factory.mktemp("begun")
    (folder / "mine" / "deep").mkdir(parents=True)
    (folder / "mine" / "blocks.geno").write_text(BLOCKS)
    (folder / "mine" / "deep" / "leaf.geno").write_text(LEAF)
    (folder / "nets.geno").write_text(SPEC)
    (folder / "space.geno").write_text(SEARCH)
    np.savez(folder / "data.npz", **images())
    np.savez(folder / "images.npz", **images(x_train=(30, 0, 7, 7)))
    np.savez(folder / "labels.npz", **images(y_train=30))
    np.savez(folder / "tested.npz", **images(x_test=(8, 0, 0, 0)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        genoc(*TRAIN, "--out", "T")
        genoc(*SEARCHED, "--out", "S")
    return folder


TRAIN = ("train", "nets.geno", "--network", "a", "--data", "npz:data.npz", "--threads", "1")
SEARCHED = ("search", "space.geno", "--data", "npz:data.npz", "--threads", "1")


@pytest.fixture
def files(begun, tmp_path, monkeypatch):
    shutil.copytree(begun, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")


def genoc(*words, code=0):
    result = CliRunner().invoke(main, [*words, "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def refused(*words):
    (diagnostic,) = genoc(*words, code=2)["diagnostics"]
    assert diagnostic["code"] == "G706"
    return diagnostic


def swapped(words, old, new):
    return [new if word == old else word for word in words]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("npz:data.npz", "npz:images.npz"), "training images"),
        (("npz:data.npz", "npz:labels.npz"), "training labels"),
        (("npz:data.npz", "npz:tested.npz"), "test images"),
        (("a", "b"), "network"),
        (("1", "2"), "threads"),
        ("--set width=5", "parameter width"),
        ("--set epochs=2", "setting epochs"),
        ("--seed 1", "seed"),
        ("--without fuse", "passes left out"),
    ],
)
def test_a_training_of_something_else_is_refused_by_the_name_of_what_differs(files, change, said):
    words = [*TRAIN, *change.split()] if isinstance(change, str) else swapped(TRAIN, *change)
    before = {path: path.read_bytes() for path in Path("T").rglob("*") if path.is_file()}
    assert refused(*words, "--resume", "T")["message"] == f"the run in `T` began with another {said}"
    assert before == {path: path.read_bytes() for path in Path("T").rglob("*") if path.is_file()}


@pytest.mark.parametrize(("words", "folder"), [(TRAIN, "T"), (SEARCHED, "S")])
def test_an_edited_import_is_refused(files, words, folder):
    leaf = Path("mine/deep/leaf.geno")
    leaf.write_text(LEAF.replace("relu", "tanh"))
    assert refused(*words, "--resume", folder)["message"].endswith("another file mine/deep/leaf.geno")


def test_a_search_of_other_images_is_refused_and_several_differences_are_named(files):
    words = [*swapped(SEARCHED, "npz:data.npz", "npz:images.npz"), "--set", "depth=1", "--set", "batch=4"]
    found = refused(*words, "--resume", "S")
    assert found["message"].endswith("another setting batch, training images, parameter depth")
    assert "setting batch: 8 when it began, 4 now" in found["notes"]
    assert "training images: its content has changed" in found["notes"]


def test_a_run_goes_on_from_its_own_copies_and_moved_data(files):
    """What may differ: where spec, imports and data lie, and the number of processes."""
    kept = {name: (Path(name) / "metrics.json").read_bytes() for name in "TS"}
    for path in (Path("nets.geno"), Path("space.geno")):
        path.unlink()
    shutil.rmtree("mine")
    Path("data.npz").rename("moved.npz")
    words = swapped(swapped(TRAIN, "npz:data.npz", "npz:moved.npz"), "nets.geno", "T/spec.geno")
    genoc(*words, "--resume", "T")
    words = swapped(swapped(SEARCHED, "npz:data.npz", "npz:moved.npz"), "space.geno", "S/spec.geno")
    genoc(*words, "--jobs", "2", "--resume", "S")
    assert kept == {name: (Path(name) / "metrics.json").read_bytes() for name in "TS"}


def test_the_copies_in_a_runs_folder_check_there_and_so_does_the_answer(files):
    shutil.rmtree("mine")
    for spec in ("T/spec.geno", "S/spec.geno", "S/found.geno"):
        assert genoc("check", spec)["ok"]


def test_a_run_has_the_threads_that_it_began_with(files, monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: 3)
    assert refused(*TRAIN, "--resume", "T")["notes"] == ["threads: 1 when it began, 3 now"]


def test_a_run_of_another_command_says_how_it_goes_on_and_how_to_begin(files):
    found = refused("train", "S/found.geno", "--data", "npz:data.npz", "--resume", "S")
    assert "is one of `genoc search`, not of `genoc train`" in found["message"]
    assert "space.geno" in found["help"] and "--resume S" in found["help"] and "--out" in found["help"]


def test_a_run_killed_while_its_folder_was_made_begins_again_or_goes_on(files):
    run = Path("K")
    genoc(*TRAIN, "--out", "K")
    expected = (run / "weights.safetensors").read_bytes()
    about = (run / "run.json").read_bytes()
    for number in range(3):
        shutil.rmtree(run)
        run.mkdir()
        (run / ".lock").touch()
        if number == 0:
            (run / ".run.json.123.tmp").write_bytes(about[:50])
            genoc(*TRAIN, "--out", "K")
        else:
            (run / "run.json").write_bytes(about)
            if number == 2:
                (run / "checkpoints").mkdir()
                (run / "mine").mkdir()
                (run / "mine" / ".blocks.geno.123.tmp").write_text("ge")
            genoc(*TRAIN, "--resume", "K")
        assert (run / "weights.safetensors").read_bytes() == expected
        assert (run / "spec.geno").read_text() == SPEC and (run / "mine" / "deep" / "leaf.geno").read_text() == LEAF
        assert not list(run.rglob(".*.tmp"))


def test_an_import_that_has_the_name_of_a_file_of_the_run_is_refused(files):
    Path("spec.geno").write_text(LEAF)
    Path("own.geno").write_text(SPEC.replace("import mine.blocks as own", "import mine.blocks as own\nimport spec"))
    words = swapped(TRAIN, "nets.geno", "own.geno")
    (found,) = genoc(*words, "--out", "new", code=2)["diagnostics"]
    assert found["code"] == "G707" and "`spec.geno`" in found["message"]
    assert not Path("new").exists()
