import json
import os
import subprocess
import sys

import pytest
import torch

from genolang.diagnostics import GenoError
from genolang.train.run_folder import RunFolder, read_journal

COMMAND = ("genoc", "train", "my nets.geno")


@pytest.fixture
def run(tmp_path):
    with RunFolder.create(tmp_path / "a" / "run", "geno 1\n", COMMAND) as folder:
        yield folder


def code(error):
    return error.value.diagnostics[0].code


def test_a_new_run_holds_its_program_and_its_command(run):
    assert run.read_spec() == "geno 1\n"
    assert run.resume_command == f"genoc train 'my nets.geno' --resume {run.path}"


def test_a_folder_that_holds_anything_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(GenoError) as error:
        RunFolder.create(tmp_path, "", COMMAND)
    assert code(error) == "G703" and "notes.txt" in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_the_help_for_a_used_run_folder_names_resume(run):
    with pytest.raises(GenoError) as error:
        RunFolder.create(run.path, "", COMMAND)
    assert "--resume" in error.value.diagnostics[0].help


def test_a_file_in_the_folders_place_is_a_diagnostic(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(GenoError) as error:
        RunFolder.create(tmp_path / "run", "", COMMAND)
    assert code(error) == "G709"


@pytest.mark.parametrize("about", [None, "{", "[]", '{"format": 99, "command": []}'])
def test_resuming_needs_a_run_folder(tmp_path, about):
    (tmp_path / "spec.geno").write_text("")
    if about is not None:
        (tmp_path / "run.json").write_text(about)
    with pytest.raises(GenoError) as error:
        RunFolder.resume(tmp_path)
    assert code(error) == "G704"


def test_a_second_process_is_kept_out_until_the_first_lets_go(run):
    script = (
        "import sys; from pathlib import Path; from genolang.train.run_folder import RunFolder\n"
        "from genolang.diagnostics import GenoError\n"
        "try: RunFolder.resume(Path(sys.argv[1])).close()\n"
        "except GenoError as error: print(error.diagnostics[0].code)"
    )

    def attempt():
        return subprocess.run(
            [sys.executable, "-c", script, str(run.path)], capture_output=True, text=True, check=True
        ).stdout.strip()

    assert attempt() == "G712"
    run.close()
    assert attempt() == ""


def test_the_journal_is_one_object_per_line(run):
    run.append("train", {"epoch": 0, "text": "a\nb"})
    run.append("train", {"epoch": 1})
    lines = (run.path / "journal" / "train.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [0, 1]


def test_restoring_removes_lines_that_only_this_phase_wrote_after_its_checkpoint(run):
    run.append("search", {"epoch": 0})
    run.save("search", {"w": torch.ones(1)}, {})
    run.append("score", {"epoch": 0})
    run.append("search", {"epoch": 1})
    run.append("score", {"epoch": 1})
    run.close()
    with RunFolder.resume(run.path) as resumed:
        assert resumed.restore("search") is not None
        assert [(e["phase"], e["epoch"]) for e in read_journal(run.path)] == [("score", 0), ("score", 1), ("search", 0)]
        assert resumed.restore("score") is None
        assert len(read_journal(run.path)) == 1
        resumed.append("search", {"epoch": 1})
        resumed.save("search", {"w": torch.ones(1)}, {})
        assert resumed.restore("search").meta["journal_lines"] == 2


def test_a_line_torn_by_a_kill_is_dropped(run):
    run.append("train", {"epoch": 0})
    run.close()
    with (run.path / "journal" / "train.jsonl").open("a") as journal:
        journal.write('{"phase": "tr')
    assert len(read_journal(run.path)) == 1
    with RunFolder.resume(run.path) as resumed:
        resumed.append("train", {"epoch": 1})
    assert [entry["epoch"] for entry in read_journal(run.path)] == [0, 1]


def test_a_journal_that_lost_lines_or_sense_is_damage(run):
    run.append("train", {"epoch": 0})
    run.save("train", {"w": torch.ones(1)}, {})
    (run.path / "journal" / "train.jsonl").write_text("")
    run.close()
    with RunFolder.resume(run.path) as resumed, pytest.raises(GenoError) as error:
        resumed.restore("train")
    assert code(error) == "G705" and "train.jsonl" in str(error.value)
    (run.path / "journal" / "train.jsonl").write_text("nonsense\n")
    with pytest.raises(GenoError) as error:
        RunFolder.resume(run.path)
    assert code(error) == "G705"


def test_resuming_clears_away_temporary_files(run):
    run.close()
    (run.path / ".metrics.json.1.tmp").write_text("half")
    with RunFolder.resume(run.path):
        assert not list(run.path.glob("*.tmp")) and not list(run.path.glob(".*.tmp"))


def test_ctrl_c_between_two_phases_names_the_command_that_goes_on(tmp_path):
    with pytest.raises(GenoError) as error, RunFolder.create(tmp_path, "geno 1\n", COMMAND) as run:
        raise KeyboardInterrupt
    assert code(error) == "G710" and run.resume_command in error.value.diagnostics[0].help
    RunFolder.resume(tmp_path).close()


def three_lines(run):
    for number in range(3):
        run.append("train", {"epoch": number, "score": 0.5 + number / 8})
    run.close()
    return (run.path / "journal" / "train.jsonl").read_bytes().splitlines(keepends=True)


def test_every_changed_byte_of_a_journal_is_seen(run):
    whole = b"".join(three_lines(run))
    for place, byte in enumerate(whole[:-1]):
        for bit in (1, 4, 32, 128):
            (run.path / "journal" / "train.jsonl").write_bytes(whole[:place] + bytes([byte ^ bit]) + whole[place + 1 :])
            with pytest.raises(GenoError) as error:
                RunFolder.resume(run.path)
            assert code(error) == "G705"


@pytest.mark.parametrize("order", [(0, 2), (1, 2), (0, 2, 1), (0, 0, 1, 2), (0, 1, 1, 2)])
def test_lines_left_out_doubled_or_moved_are_seen(run, order):
    lines = three_lines(run)
    (run.path / "journal" / "train.jsonl").write_bytes(b"".join(lines[number] for number in order))
    with pytest.raises(GenoError) as error:
        read_journal(run.path)
    assert code(error) == "G705" and "does not match its checksum" in str(error.value)


def test_the_lines_of_one_phase_are_not_taken_for_those_of_another(run):
    three_lines(run)
    (run.path / "journal" / "train.jsonl").rename(run.path / "journal" / "score.jsonl")
    with pytest.raises(GenoError) as error:
        read_journal(run.path, "score")
    assert code(error) == "G705"


def test_two_processes_that_write_phases_of_their_own_leave_each_others_lines_alone(run):
    run.append("search", {"epoch": 0})
    lent = RunFolder.lent(run.path, COMMAND)
    for number in range(3):
        lent.append("score", {"epoch": number})
        run.append("search", {"epoch": number + 1})
    # What the other has written, and was killed in the middle of, is found again as it stands.
    with (run.path / "journal" / "score.jsonl").open("a") as journal:
        journal.write('{"phase": "sc')
    run.append("score", {"epoch": 3})
    lines = [(entry["phase"], entry["epoch"]) for entry in read_journal(run.path)]
    assert lines == [(phase, number) for phase in ("score", "search") for number in range(4)]


def test_a_journal_cut_off_anywhere_keeps_its_whole_lines(run):
    whole = b"".join(three_lines(run))
    for end in range(len(whole) + 1):
        (run.path / "journal" / "train.jsonl").write_bytes(whole[:end])
        with RunFolder.resume(run.path) as resumed:
            kept = whole[:end].count(b"\n")
            assert [entry["epoch"] for entry in read_journal(run.path)] == list(range(kept))
            resumed.append("train", {"epoch": kept})
        assert [entry["epoch"] for entry in read_journal(run.path)] == list(range(kept + 1))


@pytest.mark.parametrize("name", ["run.json", "journal/train.jsonl", "checkpoints/train-000000.json"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_is_no_plain_file_is_a_diagnostic(run, name, make):
    run.append("train", {"epoch": 0})
    run.save("train", {"w": torch.ones(1)}, {})
    run.close()
    (run.path / name).unlink()
    make(run.path / name)
    with pytest.raises(GenoError) as error, RunFolder.resume(run.path) as resumed:
        resumed.restore("train")
    assert code(error) in ("G704", "G705")


class TestAFolderThatCannotBeWritten:
    @pytest.fixture(autouse=True)
    def read_only(self, run, monkeypatch):
        run.append("train", {"epoch": 0})
        for number in range(2):
            run.save("train", {"w": torch.ones(number + 1)}, {})
        run.close()
        self.run, self.patch = run, monkeypatch

    def refuse(self):
        def denied(path, *words, **named):
            raise PermissionError(13, "Permission denied", str(path))

        self.patch.setattr(type(self.run.path), "unlink", denied)
        self.patch.setattr(os, "replace", denied)

    @pytest.mark.parametrize("place", [".", "checkpoints"])
    def test_what_a_killed_writer_left_is_a_diagnostic(self, place):
        (self.run.path / place / ".metrics.json.1.tmp").write_text("half")
        self.refuse()
        with pytest.raises(GenoError) as error:
            RunFolder.resume(self.run.path)
        assert code(error) == "G709" and "cannot remove" in str(error.value)

    def test_a_damaged_newest_checkpoint_is_a_diagnostic(self):
        (self.run.path / "checkpoints" / "train-000001.json").write_text("{")
        self.refuse()
        with RunFolder.resume(self.run.path) as resumed, pytest.raises(GenoError) as error:
            resumed.restore("train")
        assert code(error) == "G709"

    def test_the_next_checkpoint_is_a_diagnostic(self):
        self.refuse()
        with RunFolder.resume(self.run.path) as resumed, pytest.raises(GenoError) as error:
            resumed.save("train", {"w": torch.ones(1)}, {})
        assert code(error) == "G709" and "cannot write" in str(error.value)
