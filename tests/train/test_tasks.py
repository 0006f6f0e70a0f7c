import json
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix
from torch.nn.functional import cross_entropy, one_hot
from train.tiny import TinyNet, random_images

from genolang.train.evaluate import evaluate
from genolang.train.tasks import IGNORED, TASKS, known, named

SEGMENTATION, COUNTING = TASKS["segmentation"], TASKS["counting"]


def logits_for(guess, classes):
    """Logits (B, classes, H, W) that are right about nothing but their largest class."""
    return one_hot(torch.tensor(guess), classes).permute(0, 3, 1, 2).float()


def measured(task, *batches):
    return task.metrics(sum(task.tally(output, labels) for output, labels in batches).tolist())


def random_masks(seed, batch=3, classes=5, void=0.2, size=(7, 9)):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, classes, *size, generator=generator)
    masks = torch.randint(0, classes, (batch, *size), generator=generator)
    masks[torch.rand(masks.shape, generator=generator) < void] = IGNORED
    return logits, masks.to(torch.uint8)


def test_segmentation_metrics_are_those_of_a_confusion_matrix_made_by_hand():
    truth = [[[0, 0, 0, 1], [1, 1, 2, IGNORED]]]
    guess = [[[0, 0, 1, 1], [1, 2, 2, 0]]]
    #          guessed 0  1  2
    # truth 0:         2  1  0
    # truth 1:         0  2  1
    # truth 2:         0  0  1
    found = measured(SEGMENTATION, (logits_for(guess, 3), torch.tensor(truth, dtype=torch.uint8)))
    assert found == pytest.approx(
        {"accuracy": 5 / 7, "mean_accuracy": (2 / 3 + 2 / 3 + 1) / 3, "miou": (2 / 3 + 2 / 4 + 1 / 2) / 3}
    )


@pytest.mark.parametrize("seed", range(3))
def test_segmentation_metrics_are_those_of_scikit_learn(seed):
    batches = [random_masks(seed), random_masks(seed + 10, batch=2)]
    truth = torch.cat([masks.flatten() for _, masks in batches]).numpy()
    guess = torch.cat([logits.argmax(1).flatten() for logits, _ in batches]).numpy()
    table = confusion_matrix(truth[truth != IGNORED], guess[truth != IGNORED]).astype(float)
    right, rows, columns = np.diag(table), table.sum(1), table.sum(0)
    found = measured(SEGMENTATION, *batches)
    assert found["accuracy"] == pytest.approx(right.sum() / table.sum())
    assert found["mean_accuracy"] == pytest.approx((right / rows).mean())
    assert found["miou"] == pytest.approx((right / (rows + columns - right)).mean())


def test_means_over_classes_leave_out_those_that_nothing_is_or_seems_to_be():
    truth = torch.tensor([[[0, 0, 1]]], dtype=torch.uint8)
    absent = measured(SEGMENTATION, (logits_for([[[0, 0, 1]]], 4), truth))
    assert absent == {"accuracy": 1, "mean_accuracy": 1, "miou": 1}
    seeming = measured(SEGMENTATION, (logits_for([[[0, 3, 1]]], 4), truth))
    assert seeming["mean_accuracy"] == pytest.approx((1 / 2 + 1) / 2)
    assert seeming["miou"] == pytest.approx((1 / 2 + 1 + 0) / 3)


def test_what_stands_in_void_pixels_changes_neither_loss_nor_metrics():
    logits, masks = random_masks(0)
    other = torch.where((masks == IGNORED)[:, None], 9 * torch.randn_like(logits), logits)
    assert not torch.equal(other, logits)
    assert torch.equal(SEGMENTATION.loss(logits, masks), SEGMENTATION.loss(other, masks))
    assert torch.equal(SEGMENTATION.tally(logits, masks), SEGMENTATION.tally(other, masks))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_per_pixel_is_that_of_torch_over_the_pixels_that_count(smoothing):
    logits, masks = random_masks(1)
    counted = masks != IGNORED
    pixels = logits.permute(0, 2, 3, 1)[counted]
    expected = cross_entropy(pixels, masks[counted].long(), label_smoothing=smoothing)
    assert torch.allclose(SEGMENTATION.loss(logits, masks, smoothing), expected)
    total, terms = SEGMENTATION.loss_sum(logits, masks)
    assert terms == counted.sum()
    assert torch.allclose(total / terms, cross_entropy(pixels, masks[counted].long()))


def test_a_batch_without_any_pixel_that_counts_teaches_nothing():
    logits = torch.randn(2, 3, 4, 5, requires_grad=True)
    void = torch.full((2, 4, 5), IGNORED, dtype=torch.uint8)
    loss = SEGMENTATION.loss(logits, void, 0.1)
    loss.backward()
    assert loss == 0 and not logits.grad.any()
    metrics = measured(SEGMENTATION, (logits.detach(), void))
    assert all(math.isnan(value) for value in metrics.values())
    assert known(metrics) == dict.fromkeys(metrics)
    assert SEGMENTATION.score(metrics) < SEGMENTATION.score(dict.fromkeys(metrics, 0.0))


def test_the_loss_of_counting_is_half_the_squared_distance_of_the_maps():
    drawn, true = torch.rand(3, 1, 5, 7), torch.rand(3, 5, 7)
    by_image = [((d - t) ** 2).sum().item() / 2 for d, t in zip(drawn[:, 0], true, strict=True)]
    assert COUNTING.loss(drawn, true).item() == pytest.approx(np.mean(by_image), rel=1e-5)
    total, images = COUNTING.loss_sum(drawn, true)
    assert (total / images).item() == pytest.approx(np.mean(by_image), rel=1e-5)


def test_counting_errors_are_of_counts_and_the_squared_one_is_under_a_root():
    # Counts of 4, 2 and 7 where there are 1, 6 and 7; where the mass lies does not matter.
    drawn = torch.zeros(3, 1, 2, 3)
    drawn[:, 0, 0, 0] = torch.tensor([3.0, 2.0, 0.0])
    drawn[:, 0, 1, 2] = torch.tensor([1.0, 0.0, 7.0])
    true = torch.zeros(3, 2, 3)
    true[:, 0, 1] = torch.tensor([1.0, 6.0, 7.0])
    found = measured(COUNTING, (drawn[:2], true[:2]), (drawn[2:], true[2:]))
    assert found == pytest.approx({"mae": 7 / 3, "rmse": math.sqrt((9 + 16) / 3)})


def test_a_better_result_has_the_higher_score_in_every_task():
    for task, better, worse in (
        ("classification", {"accuracy": 0.9}, {"accuracy": 0.8}),
        ("segmentation", {"accuracy": 0.1, "miou": 0.5}, {"accuracy": 0.9, "miou": 0.4}),
        ("counting", {"mae": 2.0, "rmse": 9.0}, {"mae": 3.0, "rmse": 4.0}),
        ("counting", {"mae": 1e9, "rmse": 1e9}, {"mae": math.inf, "rmse": math.inf}),
    ):
        scores = [TASKS[task].score(metrics) for metrics in (better, worse)]
        assert scores[0] > scores[1]
        json.dumps(scores, allow_nan=False)


def test_classification_counts_right_answers():
    logits = torch.tensor([[0.0, 2, 1], [3, 0, 0], [0, 0, 1]])
    found = measured(TASKS["classification"], (logits, torch.tensor([1, 0, 1])))
    assert found == {"accuracy": pytest.approx(2 / 3)}


def test_every_task_is_known_by_its_name_and_its_metric_is_among_its_metrics():
    tallies = {"classification": [1.0, 2.0], "segmentation": [1.0] * 9, "counting": [1.0] * 3}
    for name, task in TASKS.items():
        assert task.name == name and task.metric in task.metrics(tallies[name])
    assert named("val", {"miou": None}) == {"val_miou": None}


class _Fixed(torch.nn.Module):
    """Gives the images back, as logits for each pixel."""

    auxiliary_weight = 0.0

    def forward(self, images):
        return images


def test_an_evaluation_per_pixel_is_the_same_whatever_the_batches_and_their_void():
    logits, masks = random_masks(4, batch=5)
    masks[0] = IGNORED
    whole = evaluate(_Fixed(), [(logits, masks)], SEGMENTATION)
    parts = evaluate(_Fixed(), [(logits[:1], masks[:1]), (logits[1:], masks[1:])], SEGMENTATION)
    assert whole.metrics == parts.metrics and whole.count == parts.count == 5
    assert whole.loss == pytest.approx(parts.loss, rel=1e-6)
    counted = masks != IGNORED
    expected = cross_entropy(logits.permute(0, 2, 3, 1)[counted], masks[counted].long())
    assert whole.loss == pytest.approx(expected.item(), rel=1e-6)


def test_an_evaluation_of_classes_is_as_it_always_was():
    module, (images, labels) = TinyNet(), random_images(11)
    found = evaluate(module, [(images, labels)])
    with torch.no_grad():
        right = (module(images).argmax(1) == labels).float().mean().item()
    assert found.accuracy == found.metrics["accuracy"] == pytest.approx(right)
