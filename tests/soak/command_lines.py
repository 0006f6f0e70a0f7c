"""Command lines by the thousand: every command with paths, names and numbers that nobody should give it."""

from __future__ import annotations

import os
import random
from pathlib import Path

from click.testing import CliRunner, Result

from genolang.cli.main import main

SPEC = """\
geno 1
choice gate = identity | relu
network n(k=4) {
  input image(1, 8, 8)
  stem  conv(3, k)
  body  gate
  head  global_avg_pool -> linear(10)
}
train { data digits  epochs 1  batch 512 }
"""
LONG = "a" * 300
PATHS = ("", ".", "..", "/", "//", "/.", LONG, f"{LONG}/{LONG}.geno", "a" * 5000, "b/" * 3000, "\udcff\udcfe", "fifo",
         "/dev/zero", "/dev/full", "/dev/null", "file/x.html", "file/x.svg", "file", "folder", "folder/", "loop",
         "dangling", "not/there.geno", "spec.geno", "./spec.geno", "plain.geno", "~", "~nobody/x", "-", " ", "\n", "ü→",
         "*", "specs", "specs/", "specs/.geno", ".geno", "darts/v2.geno", "binary", "empty", "new.html", "new.svg",
         "folder/new.svg", "quickstart", "run", "w.pt")  # fmt: skip
# What `genoc new` may write to, and what may be run: none of the two is in the other, so nothing runs for long.
OURS = ("spec.geno", "./spec.geno", "plain.geno")
TARGETS = tuple(path for path in PATHS if path not in OURS)
RUNNABLE = ("", ".", "..", "/", "//", LONG, "a" * 5000, "\udcff\udcfe", "fifo", "/dev/zero", "/dev/null",
            "file/x.html", "folder", "folder/", "~nobody/x", *OURS)  # fmt: skip
WORDS = ("", "x", "C", "n", "se", "std", "std.", ".std", "core", "core.conv", "repeat", "G001", "g1", "0", "-1", "1e99",
         "9" * 5000, LONG, "\udcff", "specs", "/", "relu(", "conv(3)", "n=", "k=3", "k=1e15", "k=x", "k=\"", "=", "k",
         "epochs=0", "epochs=1e9", "x\0y", "ü", "None", "|nor_conv_3x3~0|", "001,100,111", "Genotype()")  # fmt: skip
DATA = ("digits", "npz:", "npz:fifo", "npz:binary", "cifar10:", "cifar10:file", "folder:.", "folder:fifo", "counts:/dev",
        "segments:loop", f"npz:{LONG}", "npz:/dev/zero", "npz:\0", "nothing", ":", "")  # fmt: skip
FORMATS = ("darts", "nasbench201", "ean", "x")
# Of an argument or an option's value: what may stand there.
KINDS = {"path": PATHS, "word": WORDS, "data": DATA, "format": FORMATS, "pass": ("", ",", "x", "fuse,x")}
JSON = ("--json",)
RUNS = ("--network word", "--data data", "--out path", "--seed word", "--resume path", "--device word",
        "--threads word", "--without pass", "--set word", "--json")  # fmt: skip
# Every command with its arguments and its options. What would train for long is given what it refuses.
COMMANDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "new": ("path", ("--from path", "--force")),
    "check": ("path path", JSON),
    "fmt": ("path path", ("--check", "--diff", "--json")),
    "plan": ("path", ("--network word", "--batch word", "--set word", "--json")),
    "compile": ("path", ("--network word", "-o path", "--emit word", "--weights path", "--without pass", "--set word",
                         "--explain", "--inference", "--json")),
    "bench": ("path", ("--network word", "--device word", "-o path", "--plot path", "--set word", "--small")),
    "search": ("path", ("--method word", "--jobs word", *RUNS)),
    "train": ("path", ("--init path", *RUNS)),
    "diff": ("path path", ("--exit-code", "--json")),
    "import": ("format word", ("--name word", "-o path", "--force", "--json")),
    "import ": ("format path", ("--name word", "-o path", "--force", "--json")),
    "export": ("format path", ("--name word", "--json")),
    "show": ("path", ("--network word", "--set word", "--only word", "--on word", "-o path", "--format word", "--json")),
    "study schemes": ("path", ("--method word", "--count word", "--random word", *RUNS)),
    "study correlation": ("path", ("--method word", "--count word", *RUNS)),
    "study convergence": ("path path", ("-o path", "--json")),
    "study gradcam": ("path path", ("--images word", "--data data", "-o path", "--json")),
    "report": ("path", ("-o path", "--json")),
    "explain": ("word", JSON),
}  # fmt: skip


def furnish(folder: Path) -> None:
    """The files that the command lines name, in the folder in which they run."""
    (folder / "spec.geno").write_text(SPEC)
    (folder / "plain.geno").write_text(SPEC.replace("choice gate = identity | relu", "op gate = relu"))
    (folder / "file").write_text("text\n")
    (folder / "binary").write_bytes(bytes(range(256)))
    (folder / "w.pt").write_bytes(b"PK\x03\x04" + bytes(90))
    (folder / "empty").touch()
    (folder / "folder").mkdir()
    (folder / "run" / "checkpoints").mkdir(parents=True)
    (folder / "run" / "run.json").write_text('{"format": 1, "command": ["genoc", "train", "spec.geno"]}')
    (folder / "run" / "spec.geno").write_text(SPEC)
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere")
    os.mkfifo(folder / "fifo")


def command_line(random_: random.Random) -> list[str]:
    command, (arguments, options) = random_.choice(list(COMMANDS.items()))
    running = command.split()[0] in ("search", "train", "study", "bench")
    kinds = {**KINDS, "path": RUNNABLE if running else TARGETS if "--force" in options else PATHS}
    words = [*command.split(), *(random_.choice(kinds[kind]) for kind in arguments.split())]
    for option in random_.sample(options, random_.randint(0, min(4, len(options)))):
        name, _, kind = option.partition(" ")
        words += [name, random_.choice(kinds[kind])] if kind else [name]
    return words


def assert_answered(words: list[str]) -> Result:
    """The command ends with a message and one of its exit codes, and not with a traceback."""
    result = CliRunner().invoke(main, words, input=b"geno 1\n")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"genoc {words!r}") from result.exception
    assert result.exit_code in (0, 1, 2), f"{words!r} ends with {result.exit_code}"
    if result.exit_code == 2 and "--json" not in words:
        assert result.stderr.strip(), f"{words!r} says nothing"
    assert "Traceback" not in result.output, f"{words!r}"
    return result
