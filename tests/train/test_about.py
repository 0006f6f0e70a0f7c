import json

import pytest
import torch
from safetensors.torch import load, save_file

from genolang.diagnostics import GenoError
from genolang.train.about import About, read_about, require_same, write_about
from genolang.train.weights import opened, sealed

FACTS = {"seed": "3", "training images": "a" * 64, "processor": "AVX2"}


def code(error):
    return error.value.diagnostics[0].code


def test_what_a_run_is_made_of_reads_back_as_written(tmp_path):
    about = About(("genoc", "train", "a b.geno"), FACTS)
    write_about(tmp_path, about)
    assert read_about(tmp_path) == about


def test_every_changed_byte_of_it_is_seen(tmp_path):
    write_about(tmp_path, About(("genoc", "train", "a.geno"), FACTS))
    path = tmp_path / "run.json"
    whole = path.read_bytes()
    for place, byte in enumerate(whole):
        path.write_bytes(whole[:place] + bytes([byte ^ 1]) + whole[place + 1 :])
        try:
            found = read_about(tmp_path)
        except GenoError as error:
            assert error.diagnostics[0].code in ("G704", "G705")
        else:
            # One blank for another between two words of JSON says the same.
            assert found.facts == FACTS and json.loads(path.read_bytes()) == json.loads(whole)


def test_a_run_of_an_earlier_genolang_is_refused_as_such(tmp_path):
    (tmp_path / "run.json").write_text('{"format": 1, "command": ["genoc", "train", "a.geno"]}')
    with pytest.raises(GenoError) as error:
        read_about(tmp_path)
    assert code(error) == "G704" and "another genolang" in str(error.value)


def test_what_differs_is_named_and_what_may_differ_is_told(tmp_path):
    assert require_same(tmp_path, FACTS, FACTS) == []
    (told,) = require_same(tmp_path, FACTS, {**FACTS, "processor": "AVX512"})
    assert told == "processor: AVX2 when it began, AVX512 now; the last digits may differ"
    now = {"seed": "4", "training images": "b" * 64, "processor": "AVX2", "GPU": "x", "network": "n"}
    with pytest.raises(GenoError) as error:
        require_same(tmp_path, FACTS, now)
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "G706" and diagnostic.message.endswith("another seed, training images, network")
    assert diagnostic.notes == (
        "seed: 3 when it began, 4 now",
        "training images: its content has changed",
        "network: only now",
    )


TENSORS = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.ones(2, dtype=torch.int64), "c": torch.zeros(()).half()}


def test_weights_read_back_and_are_plain_safetensors(tmp_path):
    content = sealed(TENSORS)
    for found in (opened(tmp_path, content), load(content)):
        assert found.keys() == TENSORS.keys() and all(found[name].equal(TENSORS[name]) for name in TENSORS)
    save_file(TENSORS, tmp_path / "other.safetensors")
    assert opened(tmp_path, (tmp_path / "other.safetensors").read_bytes()).keys() == TENSORS.keys()


def test_every_changed_byte_of_the_weights_is_seen_or_changes_nothing(tmp_path):
    from safetensors import SafetensorError

    whole = sealed(TENSORS)
    for place, byte in enumerate(whole):
        for bit in (1, 64):
            content = whole[:place] + bytes([byte ^ bit]) + whole[place + 1 :]
            try:
                found = opened(tmp_path, content)
            except SafetensorError:
                continue
            except GenoError as error:
                assert error.diagnostics[0].code == "G705"
                continue
            assert found.keys() == TENSORS.keys() and all(found[name].equal(TENSORS[name]) for name in TENSORS)
