"""`genoc plan` says what fresh statistics cost, where a search is told to make them."""

import json

from click.testing import CliRunner

from genolang.cli.main import main


def plan(*words):
    result = CliRunner().invoke(main, ["plan", *words])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_images_of_every_scheme_are_counted():
    found = json.loads(plan("ean/clutter", "--network", "se_search", "--json"))
    # Sixty steps of three schemes, four batches of 64 each.
    assert found["statistics"] == {
        "batches": 4,
        "images": 256,
        "schemes": 180,
        "all_images": 46_080,
        "macs": 46_080 * found["macs"],
    }
    assert "46,080 images (256 for each of up to 180)" in plan("ean/clutter", "--network", "se_search")


def test_nothing_is_said_of_them_elsewhere():
    for words in (("ean/clutter", "se_full"), ("ean/resnet164", "se_search"), ("darts/v2", "cifar")):
        assert "statistics" not in json.loads(plan(words[0], "--network", words[1], "--json"))
