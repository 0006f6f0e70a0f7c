"""What sections say of networks and of each other: `network`, and `score train`."""

from dataclasses import replace

import pytest

from genolang.diagnostics import Source
from genolang.semantics.check import check_source
from genolang.semantics.recipes import network_for, network_of_score
from genolang.semantics.sections import search_settings, train_settings
from genolang.semantics.settings import (
    Augmentation,
    NetworkChoice,
    OptimizerSettings,
    Schedule,
    SearchSettings,
    TrainSettings,
)

NETWORKS = """geno 1
choice layer = conv(3) | conv(1)

network small(channels=8, mode="nearest", classes=10) {
  input image(3, 8, 8)
  stem  conv(3, channels) -> layer -> resize(like=input, mode=mode)
  head  global_avg_pool -> linear(classes)
}

network wide(extra=1) = small(channels=16 * extra)
"""


def checked(sections: str):
    return check_source(Source("spec", NETWORKS + sections))


def read(sections: str) -> tuple[SearchSettings, TrainSettings]:
    found = checked(sections)
    assert not found.diagnostics, [d.message for d in found.diagnostics]
    module = found.module
    train = module.sections("train")
    return search_settings(module.sections("search"), {}, train), train_settings(train, {})


def problem(sections: str) -> tuple[str, str, str]:
    (found,) = checked(sections).diagnostics
    assert found.span is not None
    return found.code, found.span.text, found.message


def test_a_section_names_a_network_and_its_parameters():
    search, train = read("""
search { network small }
train {
  network wide(
    extra=1 + 1,  # two
    channels=36, mode="bilinear")
}
""")
    assert search.network == NetworkChoice("small")
    assert train.network == NetworkChoice("wide", (("extra", "1 + 1"), ("channels", "36"), ("mode", '"bilinear"')))
    assert read("search { method darts }")[0].network is None


@pytest.mark.parametrize(
    "text, code, words",
    [
        ("search { network smal }", "G408", "smal"),
        ("train { network layer }", "G408", "layer"),
        ("train { network small(channel=3) }", "G202", "channel=3"),
        ("train { network wide(channels=3, depth=3) }", "G202", "depth=3"),
        ("train { network small(3) }", "G503", "3"),
        ("train { network small(channels=3, channels=4) }", "G502", "channels=4"),
        ("train { network conv(3) -> relu }", "G503", "conv(3) -> relu"),
        ("search { score train(network=smal) }", "G408", "smal"),
        ("search { score train(network=small(depth=1)) }", "G202", "depth=1"),
        ("search { score train(3) }", "G503", "3"),
        ("search { score train(split=0.5) }", "G501", "0.5"),
        ("search { score train(seed=1) }", "G501", "1"),
        ("search { score train(data=digits) }", "G501", "digits"),
        ("search { score train(epoch=3) }", "G501", "3"),
        ("search { score train(epochs=0) }", "G503", "0"),
        ("search { score training }", "G504", "training"),
        ("search { score train }\ntrain { task segmentation data digit_segments }", "G503", "train"),
        ("search { score train }\ntrain { augment [resized_crop(32)] }", "G503", "train"),
        ("search { augment [resized_crop(32)] score train(augment=[flip]) }", "G503", "train(augment=[flip])"),
    ],
)
def test_what_a_section_cannot_mean_is_said_at_its_words(text, code, words):
    found = problem(text)
    assert found[:2] == (code, words), found


def test_a_score_is_trained_as_the_train_section_says_but_for_its_changes():
    search, train = read("""
search { data cifar10 split 0.75 epochs 3 batch 8 score train(epochs=100, drop_path=0, network=wide) }
train {
  network small(channels=36)
  data    digits
  epochs  600
  batch   96
  split   0
  optimizer adam(lr=0.1)
  augment [flip]
  drop_path linear(0, 0.2)
  label_smoothing 0.1
}
""")
    assert search.scoring() == replace(
        train, network=NetworkChoice("wide"), data="cifar10", split=0.25, epochs=100, drop_path=Schedule()
    )
    plain, _ = read("search { score train(batch=5) score_epochs 7 }")
    assert plain.scoring() == TrainSettings(batch=5, epochs=7, split=0.5)


def test_a_score_that_is_an_optimiser_has_all_else_from_the_search():
    search, _ = read("""
search { batch 8 augment [crop(2)] precision float32 score sgd(lr=0.1) }
train { batch 96 epochs 600 }
""")
    assert search.scoring() == TrainSettings(
        epochs=5,
        batch=8,
        split=0.5,
        augment=(Augmentation("crop", 2),),
        precision="float32",
        optimizer=OptimizerSettings(lr=Schedule("constant", 0.1), momentum=0.0),
    )
    assert read("search { score sgd(lr=0.1) score_epochs 9 }")[0].scoring().epochs == 9


def test_whoever_asks_for_another_network_gets_it_as_it_is():
    choice = NetworkChoice("small", (("channels", "36"), ("classes", "10")))
    assert network_for(choice, None, {"classes": "100"}) == ("small", {"channels": "36", "classes": "100"})
    assert network_for(choice, "small", {"classes": "100"}) == ("small", {"classes": "100"})
    assert network_for(None, None, {"classes": "100"}) == (None, {"classes": "100"})


def test_what_the_searched_network_is_given_holds_in_that_of_the_scores_where_it_can():
    module = checked("").module
    given = {"classes": "100", "channels": "4", "width": "3"}
    choice = NetworkChoice("wide", (("channels", "36"),))
    assert network_of_score(module, choice, "small", given) == ("wide", {"classes": "100", "channels": "36"})
    assert network_of_score(module, None, "small", given) == ("small", given)
