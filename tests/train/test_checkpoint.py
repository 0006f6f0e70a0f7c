import pytest
import torch

from genolang import files
from genolang.diagnostics import GenoError
from genolang.train.checkpoint import load_checkpoint, save_checkpoint


def saved(folder, count=1, name="train"):
    for number in range(count):
        save_checkpoint(folder, name, {"w": torch.full((3,), number)}, {"number": number})


def code(error):
    return error.value.diagnostics[0].code


def test_a_checkpoint_gives_back_tensors_and_facts(tmp_path):
    tensors = {"w": torch.randn(3, 5), "n": torch.tensor(7)}
    save_checkpoint(tmp_path, "train", tensors, {"loss": 0.1 + 0.2, "history": [{"epoch": 0}]})
    checkpoint = load_checkpoint(tmp_path, "train")
    assert all(torch.equal(tensors[name], checkpoint.tensors[name]) for name in tensors)
    assert checkpoint.meta == {"loss": 0.1 + 0.2, "history": [{"epoch": 0}]}


def test_two_checkpoints_are_kept_per_name(tmp_path):
    saved(tmp_path, 4)
    saved(tmp_path, 1, "score")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "score-000000.json",
        "score-000000.safetensors",
        "train-000002.json",
        "train-000002.safetensors",
        "train-000003.json",
        "train-000003.safetensors",
    ]


def test_a_name_that_begins_like_another_is_another(tmp_path):
    saved(tmp_path, 1, "train-1")
    saved(tmp_path, 3, "train")
    assert load_checkpoint(tmp_path, "train-1").meta == {"number": 0}


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "remove"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path, suffix, damage):
    saved(tmp_path, 3)
    path = tmp_path / f"train-000002.{suffix}"
    content = path.read_bytes()
    middle = len(content) // 2
    if damage == "remove":
        path.unlink()
    else:
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        path.write_bytes({"flip": flipped, "cut": content[:middle], "empty": b""}[damage])
    checkpoint = load_checkpoint(tmp_path, "train")
    assert checkpoint.meta == {"number": 1} and checkpoint.tensors["w"][0] == 1
    saved(tmp_path, 1)
    assert load_checkpoint(tmp_path, "train").meta == {"number": 0}
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_a_good_checkpoint_survives_a_damaged_newer_one_and_the_next_save(tmp_path):
    saved(tmp_path, 3)
    (tmp_path / "train-000002.safetensors").write_bytes(b"")
    load_checkpoint(tmp_path, "train")
    saved(tmp_path, 1)
    assert (tmp_path / "train-000001.json").exists()


def test_nothing_whole_is_a_diagnostic_that_names_the_file(tmp_path):
    saved(tmp_path, 2)
    for path in tmp_path.glob("*.safetensors"):
        path.write_bytes(b"no")
    with pytest.raises(GenoError) as error:
        load_checkpoint(tmp_path, "train")
    assert code(error) == "G705" and "train-000001.safetensors" in str(error.value)


def test_a_missing_checkpoint_is_a_diagnostic(tmp_path):
    with pytest.raises(GenoError) as error:
        load_checkpoint(tmp_path, "train")
    assert code(error) == "G705"


def test_json_of_the_wrong_shape_is_damage(tmp_path):
    saved(tmp_path, 1)
    for text in (b"[]", b"{}", b"null", b'{"sha256": 1}', b"\xff\xfe"):
        (tmp_path / "train-000000.json").write_bytes(text)
        with pytest.raises(GenoError) as error:
            load_checkpoint(tmp_path, "train")
        assert code(error) == "G705"


def test_dying_at_any_write_leaves_a_whole_checkpoint(tmp_path, monkeypatch):
    """Each system call that changes the disk is made the last one in turn."""

    class Killed(BaseException):
        pass

    calls = 0

    def counted(function):
        def call(*arguments, **keywords):
            nonlocal calls
            calls += 1
            if calls == limit:
                raise Killed
            return function(*arguments, **keywords)

        return call

    for name in ("replace", "fsync"):
        monkeypatch.setattr(files.os, name, counted(getattr(files.os, name)))
    monkeypatch.setattr(files.Path, "unlink", counted(files.Path.unlink))
    for limit in range(1, 40):
        folder = tmp_path / str(limit)
        folder.mkdir()
        calls, limit_here, limit = 0, limit, 10**9
        saved(folder, 3)
        calls, limit = 0, limit_here
        try:
            save_checkpoint(folder, "train", {"w": torch.full((3,), 3)}, {"number": 3})
        except Killed:
            assert load_checkpoint(folder, "train").meta["number"] in (2, 3)
            continue
        assert load_checkpoint(folder, "train").meta["number"] == 3
        break
    else:
        pytest.fail("the save never came through")


def test_a_folder_that_cannot_be_written_is_a_diagnostic(tmp_path):
    with pytest.raises(GenoError) as error:
        saved(tmp_path / "missing")
    assert code(error) == "G709"
    assert str(tmp_path / "missing") in str(error.value)
