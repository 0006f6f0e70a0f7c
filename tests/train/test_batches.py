import subprocess
import sys

import pytest
import torch
from train.refused import refused

from genolang.semantics.settings import Augmentation
from genolang.train import batches as batches_module
from genolang.train.batches import Batches, evaluation_batches, generator_for

CPU = torch.device("cpu")
EVERY = (Augmentation("flip"), Augmentation("crop", 2), Augmentation("shift", 0.2), Augmentation("cutout", 3))
IMAGES = torch.randint(0, 256, (50, 3, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(50)


def make(count=50, batch=8, seed=1, augment=EVERY, stream="train", indices=None):
    chosen = torch.arange(count) if indices is None else indices
    return Batches(IMAGES, LABELS, chosen, batch, seed, (0.5, 0.4, 0.3), (0.2, 0.2, 0.2), augment, CPU, stream)


def equal(a, b):
    return torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


def test_any_step_is_the_same_from_a_fresh_object():
    through = make()
    for epoch in (0, 1, 7):
        for step in range(len(through)):
            assert equal(through.batch(epoch, step), make().batch(epoch, step))
            assert equal(through.random_batch(epoch, step), make().random_batch(epoch, step))
    assert equal(through.batch(0, 3), make().batch(0, 3))


def test_a_batch_is_the_same_in_another_process():
    code = "from train.test_batches import make; print(make().batch(3, 2)[0].double().sum().item())"
    here = make().batch(3, 2)[0].double().sum().item()
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path), "PYTHONHASHSEED": "77"},
    )
    assert float(done.stdout) == here


def test_global_random_state_is_neither_read_nor_moved():
    torch.manual_seed(1)
    first = make().batch(0, 0)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert equal(first, make().batch(0, 0))
    make().random_batch(0, 0)
    assert torch.equal(before, torch.get_rng_state())


def test_an_epoch_shows_every_image_once_in_an_order_of_its_own():
    batches = make()
    orders = [torch.cat([batches.batch(epoch, step)[1] for step in range(len(batches))]) for epoch in range(3)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(50))
    assert not torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[1], orders[2])


@pytest.mark.parametrize("other", [{"seed": 2}, {"stream": "choices"}], ids=["seed", "stream"])
def test_seed_and_stream_change_order_and_augmentation(other):
    assert not torch.equal(make().batch(0, 0)[1], make(**other).batch(0, 0)[1])
    assert not torch.equal(make().random_batch(0, 0)[1], make(**other).random_batch(0, 0)[1])


def test_the_same_image_is_augmented_otherwise_at_every_step():
    same = torch.zeros(40, dtype=torch.long)
    batches = make(indices=same, augment=(Augmentation("crop", 2),))
    seen = [batches.batch(epoch, step)[0] for epoch in range(2) for step in range(5)]
    assert len({images.numpy().tobytes() for images in seen}) == 10


def test_images_keep_their_labels_and_are_normalised():
    images, labels = make(augment=()).batch(2, 1)
    mean = torch.tensor([0.5, 0.4, 0.3]).view(-1, 1, 1)
    assert torch.allclose(images, (IMAGES[labels].float() / 255 - mean) / 0.2)
    assert images.dtype == torch.float32
    assert labels.dtype == torch.int64


@pytest.mark.parametrize(
    ("count", "batch", "sizes"),
    [(16, 8, [8, 8]), (18, 8, [8, 8, 2]), (17, 8, [8, 8]), (5, 8, [5]), (2, 8, [2]), (3, 1, [1, 1, 1]), (3, 2, [2])],
)
def test_the_last_batch_is_kept_unless_it_has_a_single_image(count, batch, sizes):
    batches = make(count, batch)
    assert len(batches) == len(sizes)
    assert [len(batches.batch(0, step)[1]) for step in range(len(batches))] == sizes


def test_too_few_images_are_refused():
    with refused("G604", "train part", "1 images"):
        make(count=1)
    with refused("G604", "0 images"):
        make(count=0)


def test_only_the_named_images_are_drawn():
    indices = torch.tensor([3, 9, 27, 41, 30])
    batches = make(indices=indices, batch=2)
    drawn = [batches.batch(e, s)[1] for e in range(9) for s in range(len(batches))]
    drawn += [batches.random_batch(0, step)[1] for step in range(20)]
    assert set(torch.cat(drawn).tolist()) == set(indices.tolist())


def test_random_batches_are_drawn_afresh_and_hold_no_image_twice():
    batches = make()
    drawn = [batches.random_batch(epoch, step)[1] for epoch in range(2) for step in range(100)]
    assert all(len(labels.unique()) == 8 for labels in drawn)
    assert len({tuple(labels.tolist()) for labels in drawn}) == 200
    counts = torch.cat(drawn).bincount(minlength=50)
    assert counts.min() > 10
    assert counts.max() < 60
    assert len(make(count=3).random_batch(0, 0)[1]) == 3


def test_data_too_large_for_the_device_gives_the_same_batches(monkeypatch):
    here = make().batch(0, 1)
    monkeypatch.setattr(batches_module, "RESIDENT_BYTES", 10)
    assert equal(here, make().batch(0, 1))


def test_evaluation_takes_every_image_in_order_and_unchanged():
    parts = list(evaluation_batches(IMAGES, LABELS, 7, (0.0,) * 3, (1.0,) * 3, CPU))
    assert [len(labels) for _, labels in parts] == [7] * 7 + [1]
    assert torch.equal(torch.cat([labels for _, labels in parts]), LABELS)
    assert torch.equal(torch.cat([images for images, _ in parts]), IMAGES.float() / 255)


def test_generators_with_different_keys_draw_differently():
    keys = [(0, "a", 1), (0, "a", 2), (0, "b", 1), (1, "a", 1), ("0", "a", 1), (0, "a", 1, 0)]
    assert len({generator_for(*key).initial_seed() for key in keys}) == len(keys)


# Labels per pixel

SHIFTED = (Augmentation("shift", 0.4),)


def dense(labels, augment):
    """Batches of images that show their labels, where these are class numbers from 1 on."""
    shown = labels[:, None] if labels.dtype == torch.uint8 else labels[:, None].float()
    return Batches(shown, labels, torch.arange(len(labels)), 10, 1, (0.0,), (1.0,), augment, CPU, "train")


def drawn_labels(dtype):
    generator = torch.Generator().manual_seed(2)
    drawn = torch.randint(1, 9, (50, 5, 7), dtype=torch.uint8, generator=generator)
    return drawn if dtype == "uint8" else drawn.float() / 10


def shown(images, dtype):
    return (images[:, 0] * 255).round() if dtype == "uint8" else images[:, 0]


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("augment", [EVERY[:2], EVERY[:3], EVERY, SHIFTED, ()], ids=len)
def test_labels_per_pixel_move_with_their_images(dtype, augment):
    batches = dense(drawn_labels(dtype), augment)
    moved = 0
    for step in range(len(batches)):
        for images, labels in (batches.batch(0, step), batches.random_batch(0, step)):
            seen, outside = shown(images, dtype), 255 if dtype == "uint8" else 0
            # What a cutout hides keeps its label; what lay outside of the image has none.
            differs = (labels != outside) & (seen != labels) & (seen != 0)
            assert not differs.any()
            if len(augment) < 4:
                assert not ((labels != outside) & (seen == 0)).any()
            moved += int((labels == outside).sum())
    assert (moved > 0) == bool(augment)


def test_what_a_shift_repeats_at_an_edge_has_no_label():
    images, labels = dense(drawn_labels("uint8"), SHIFTED).batch(0, 0)
    assert (shown(images, "uint8") > 0).all()
    assert (labels == 255).any()


def test_a_flip_keeps_the_sums_of_densities_to_the_last_bit():
    labels = drawn_labels("float32")
    batches = dense(labels, (Augmentation("flip"),))
    sums = torch.cat([batches.batch(0, step)[1].double().sum((1, 2)) for step in range(5)])
    assert torch.allclose(sums.sort().values, labels.double().sum((1, 2)).sort().values, atol=1e-12)


def test_images_are_drawn_alike_whether_labels_move_with_them_or_not():
    plain = Batches(IMAGES, LABELS, torch.arange(50), 8, 1, (0.5,) * 3, (0.2,) * 3, EVERY, CPU, "train")
    masks = torch.zeros(50, 5, 7, dtype=torch.uint8)
    moved = Batches(IMAGES, masks, torch.arange(50), 8, 1, (0.5,) * 3, (0.2,) * 3, EVERY, CPU, "train")
    assert torch.equal(plain.batch(3, 1)[0], moved.batch(3, 1)[0])


def test_labels_given_are_left_as_they_were():
    labels = drawn_labels("uint8")
    before = labels.clone()
    dense(labels, EVERY).batch(0, 0)
    assert torch.equal(labels, before)
