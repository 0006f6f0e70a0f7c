import gc
import os
import sys
import threading
import warnings
import weakref
from concurrent.futures import wait
from dataclasses import replace

import numpy as np
import pytest
import torch
from train.refused import refused
from train.tiny import SETTINGS, TinyNet

from genolang.semantics.settings import Augmentation
from genolang.train import lazy
from genolang.train.batches import Batches, evaluation_batches
from genolang.train.crops import centre_crop
from genolang.train.datasets import _image_files, digests, folder, load_data
from genolang.train.lazy import LOOK_AHEAD, LazyImages
from genolang.train.phase import Phase
from genolang.train.reporter import SilentReporter
from genolang.train.run_folder import RunFolder
from genolang.train.training import train_network

Image = pytest.importorskip("PIL.Image")
CPU = torch.device("cpu")


def write(path, seed=0, size=(50, 70), mode="RGB", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    rough = np.random.default_rng(seed).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    Image.fromarray(rough).resize(size[::-1], Image.Resampling.BICUBIC).convert(mode).save(path, **options)


def imagenet(root, count=9, validated=3):
    """A folder in the layout of ImageNet, no two images of one size."""
    for part, images in (("train", count), ("val", validated)):
        for c, name in enumerate(("n01440764", "n01443537", "n01484850")):
            for i in range(images):
                write(root / part / name / f"{name}_{i}.JPEG", 100 * c + i, (40 + i + 5 * c, 60 - i))
    # As published, without classes.
    write(root / "test" / "ILSVRC2012_test_00000001.JPEG")
    return f"folder:{root}"


def batches(data, batch=4, seed=1, augment=(), **options):
    every = (Augmentation("resized_crop", data.image_shape[1]), *augment)
    return Batches(
        data.train_images,
        data.train_labels,
        torch.arange(len(data.train_labels)),
        batch,
        seed,
        data.mean,
        data.std,
        every,
        CPU,
        options.pop("stream", "train"),
    )


def decoded(path, channels=3):
    with Image.open(path) as image:
        pixels = np.array(image.convert("RGB" if channels == 3 else "L"))
    return torch.from_numpy(pixels).view(*pixels.shape[:2], -1).permute(2, 0, 1)


def test_imagenets_layout_is_read_with_val_as_the_test_set(tmp_path):
    data = load_data(imagenet(tmp_path), size=32)
    assert data.class_names == ("n01440764", "n01443537", "n01484850")
    assert data.image_shape == (3, 32, 32) and data.train_images.shape == (27, 3, 32, 32)
    assert data.train_labels.tolist() == [0] * 9 + [1] * 9 + [2] * 9
    assert data.test_labels.bincount().tolist() == [3, 3, 3]
    assert data.mean == (0.485, 0.456, 0.406) and data.std == (0.229, 0.224, 0.225)


def test_a_folder_without_a_test_set_is_split_by_class_and_always_alike(tmp_path):
    for c in "ab":
        for i in range(10):
            write(tmp_path / c / f"{i}.png", i, (20 + i, 30))
    name = f"folder:{tmp_path}"
    data, again = load_data(name, size=8), load_data(name, size=8)
    assert data.train_labels.bincount().tolist() == [8, 8] and data.test_labels.bincount().tolist() == [2, 2]
    for one, other in ((data.train_images, again.train_images), (data.test_images, again.test_images)):
        assert all(torch.equal(one.image(i), other.image(i)) for i in range(len(one)))


def test_evaluation_shows_the_middle_of_every_image_in_order(tmp_path):
    data = load_data(imagenet(tmp_path), size=32)
    found = list(evaluation_batches(data.test_images, data.test_labels, 4, data.mean, data.std, CPU))
    assert [len(labels) for _, labels in found] == [4, 4, 1]
    assert torch.equal(torch.cat([labels for _, labels in found]), data.test_labels)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (data.mean, data.std))
    paths = sorted((tmp_path / "val").rglob("*.JPEG"))
    for image, path in zip(torch.cat([images for images, _ in found]), paths, strict=True):
        assert torch.allclose(image * std + mean, centre_crop(decoded(path), 32) / 255, atol=1e-6)


def test_a_batch_follows_from_seed_epoch_and_step_alone(tmp_path):
    name = imagenet(tmp_path)
    changes = (Augmentation("flip"), Augmentation("jitter", 0.4, 0.2))
    through = batches(load_data(name, size=16), augment=changes)
    assert len(through) == 7
    seen = {}
    for epoch in range(3):
        for step in range(len(through)):
            seen[epoch, step] = through.batch(epoch, step)
    for (epoch, step), (images, labels) in reversed(seen.items()):
        resumed = batches(load_data(name, size=16), augment=changes)
        for found in (resumed.batch(epoch, step), through.batch(epoch, step)):
            assert torch.equal(found[0], images) and torch.equal(found[1], labels)
    for other in ({"seed": 2}, {"stream": "choices"}):
        assert not torch.equal(batches(load_data(name, size=16), **other).batch(0, 0)[0], seen[0, 0][0])
    assert not torch.equal(seen[0, 0][0], seen[1, 0][0])


def test_an_epoch_shows_every_image_once_with_its_own_label(tmp_path):
    for c, level in enumerate((0, 120, 250)):
        for i in range(5):
            (tmp_path / str(c)).mkdir(exist_ok=True)
            Image.new("L", (9 + i, 7 + c), level).save(tmp_path / str(c) / f"{i}.png")
    data = load_data(f"folder:{tmp_path}", size=6)
    assert data.image_shape == (1, 6, 6)
    found = batches(data, batch=5)
    for draw in (found.batch, found.random_batch):
        levels, labels = zip(*(draw(2, step) for step in range(len(found))), strict=True)
        level = (torch.cat(levels) * data.std[0] + data.mean[0]).mean((1, 2, 3)) * 255
        wanted = torch.tensor([0.0, 120, 250])[torch.cat(labels)]
        assert torch.allclose(level, wanted, atol=1e-2)
    assert torch.cat([found.batch(0, s)[1] for s in range(len(found))]).bincount().tolist() == [4, 4, 4]


def test_random_batches_are_the_same_whatever_was_read_ahead(tmp_path):
    name = imagenet(tmp_path)
    one, other = (batches(load_data(name, size=16)) for _ in range(2))
    for epoch, step in ((0, 0), (0, 1), (0, 2), (1, 0), (0, 1)):
        assert torch.equal(one.random_batch(epoch, step)[0], other.random_batch(epoch, step)[0])
        other.batch(epoch, step)


class StopAt(SilentReporter):
    """Breaks a training off at its fifth step, in the second epoch."""

    def __init__(self):
        self.left = 5

    def step_done(self, step, steps, loss):
        self.left -= 1
        if not self.left:
            raise RuntimeError("stopped")


def test_training_goes_on_bit_for_bit_where_it_was_stopped(tmp_path):
    for c in "abc":
        for i in range(6):
            write(tmp_path / "data" / c / f"{i}.png", i, (20 + i, 30), mode="L")
    settings = replace(
        SETTINGS,
        batch=5,
        split=0.2,
        augment=(Augmentation("resized_crop", 8), Augmentation("flip"), Augmentation("jitter", 0.4)),
    )

    def run(folder, **options):
        data = load_data(f"folder:{tmp_path / 'data'}", size=8)
        return train_network(TinyNet(), settings, data, Phase(3, CPU, folder, save_every_s=0.0, **options))

    straight = run(None)
    with (
        RunFolder.create(tmp_path / "run", "geno 1\n", ("genoc", "train", "tiny.geno")) as folder,
        pytest.raises(RuntimeError, match="stopped"),
    ):
        run(folder, reporter=StopAt())
    with RunFolder.resume(tmp_path / "run") as folder:
        resumed = run(folder, resume=True)
    for one, other in zip(straight.history, resumed.history, strict=True):
        assert replace(one, seconds=0) == replace(other, seconds=0)
    assert (straight.test_accuracy, straight.metrics) == (resumed.test_accuracy, resumed.metrics)


@pytest.fixture
def alive(monkeypatch):
    """How many decoded images there are at most at one time, and how many were ever decoded."""
    lock, counts = threading.Lock(), {"now": 0, "most": 0, "ever": 0}
    read = folder.read_image

    def gone():
        with lock:
            counts["now"] -= 1

    def counting(path, channels):
        image = read(path, channels)
        with lock:
            counts["now"] += 1
            counts["ever"] += 1
            counts["most"] = max(counts["most"], counts["now"])
        weakref.finalize(image, gone)
        return image

    monkeypatch.setattr(folder, "read_image", counting)
    return counts


def test_no_more_images_are_decoded_at_a_time_than_there_are_threads(tmp_path, alive):
    data = load_data(imagenet(tmp_path, 30), size=16)
    assert alive["ever"] == 0, "nothing is decoded before it is needed"
    found = batches(data, batch=5)
    for step in range(len(found)):
        found.batch(0, step)
        # What is read ahead is bounded too.
        assert alive["ever"] <= 5 * (step + 1 + LOOK_AHEAD)
    gc.collect()
    # A thread lets go of an image when it takes the next one.
    assert alive["most"] <= 2 * lazy._threads()._max_workers


def test_batches_that_do_not_follow_are_given_up(tmp_path, alive):
    found = batches(load_data(imagenet(tmp_path), size=16))
    for epoch in range(10):
        found.batch(epoch, 0)
        assert len(found._ahead._begun) <= LOOK_AHEAD


@pytest.mark.parametrize(
    "damage, code",
    [
        (lambda path: path.write_bytes(path.read_bytes()[:300]), "G603"),
        (lambda path: path.write_bytes(b""), "G603"),
        (lambda path: path.write_bytes(b"GIF89a"), "G606"),
        (lambda path: Image.fromarray(np.zeros((9, 9), np.uint16)).save(path, "PNG"), "G606"),
        (lambda path: Image.new("1", (10_001, 2)).save(path, "PNG"), "G605"),
        (lambda path: path.unlink(), "G602"),
    ],
)
def test_a_bad_image_is_named_when_its_batch_comes(tmp_path, damage, code):
    name = imagenet(tmp_path)
    bad = tmp_path / "train" / "n01443537" / "n01443537_4.JPEG"
    data = load_data(name, size=16)
    damage(bad)
    found = batches(data)
    with refused(code, bad):
        for step in range(len(found)):
            found.batch(0, step)
    # The others can still be had.
    data.train_images.image(0)


def test_grey_images_among_colours_become_colour_and_colours_among_grey_ones_are_refused(tmp_path):
    name = imagenet(tmp_path)
    path = tmp_path / "train" / "n01440764" / "n01440764_0.JPEG"
    for mode in ("L", "CMYK"):
        write(path, 5, mode=mode)
        image = load_data(name, size=16).train_images.image(0)
        assert torch.allclose(image.float(), centre_crop(decoded(path), 16).float(), atol=1)
        assert (mode == "L") == bool((image[0] == image[2]).all())
    for other in (tmp_path / "train").rglob("*.JPEG"):
        write(other, mode="L")
    grey = load_data(name, size=16)
    assert grey.image_shape == (1, 16, 16) and grey.mean == pytest.approx((0.449,))
    with refused("G605", tmp_path / "val", "colour"):
        grey.test_images.image(0)


def test_more_images_of_one_size_than_memory_is_meant_for_stay_in_their_files(tmp_path, monkeypatch):
    for c in "ab":
        for i in range(5):
            write(tmp_path / c / f"{i}.png", i, (20, 30))
    name = f"folder:{tmp_path}"
    held = load_data(name)
    assert isinstance(held.train_images, torch.Tensor)
    monkeypatch.setattr(folder, "MOST_IN_MEMORY", 10 * 20 * 30 * 3)
    assert isinstance(load_data(name).train_images, torch.Tensor)
    monkeypatch.setattr(folder, "MOST_IN_MEMORY", 10 * 20 * 30 * 3 - 1)
    data = load_data(name)
    assert isinstance(data.train_images, LazyImages) and data.image_shape == held.image_shape
    assert torch.equal(data.test_labels, held.test_labels)
    assert all(torch.equal(data.train_images.image(i), held.train_images[i]) for i in range(8))
    write(tmp_path / "b" / "3.png", size=(20, 31))
    with refused("G605", tmp_path / "b" / "3.png", tmp_path / "a" / "0.png", "31x20", "resized_crop"):
        data = load_data(name)
        for part in (data.train_images, data.test_images):
            for i in range(len(part)):
                part.image(i)


def test_images_in_memory_are_cut_as_files_are():
    data, whole = load_data("digits", size=6), load_data("digits")
    assert data.image_shape == (1, 6, 6) and data.mean == whole.mean
    assert torch.equal(data.test_images.image(3), centre_crop(whole.test_images[3], 6))
    found = batches(data, batch=3).batch(0, 0)[0]
    assert found.shape == (3, 1, 6, 6) and found.dtype == torch.float32


def test_pixels_with_labels_are_not_cut():
    with refused("G503", "resized_crop", "digit_segments"):
        load_data("digit_segments", size=24)


def test_pillows_warnings_are_kept_quiet_in_all_threads_and_the_filters_put_back(tmp_path):
    name = imagenet(tmp_path)
    # A palette with transparency in bytes is what Pillow warns of.
    for path in (tmp_path / "train").rglob("*.JPEG"):
        image = Image.new("P", (20, 20))
        image.putpalette([0, 0, 0, 255, 255, 255])
        image.save(path, "PNG", transparency=b"\x00\x80")

    def all_read():
        """What other batches began to read is read: as many idle tasks as there are threads come after it."""
        pool = lazy._threads()
        barrier = threading.Barrier(pool._max_workers + 1)
        waiting = [pool.submit(barrier.wait, 60) for _ in range(pool._max_workers)]
        barrier.wait(60)
        wait(waiting)

    all_read()
    before = list(warnings.filters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = batches(load_data(name, size=8))
        for step in range(len(found)):
            found.batch(0, step)
        all_read()
    assert warnings.filters == before and _image_files._readers == 0


def test_without_pillow_it_says_what_to_install(tmp_path, monkeypatch):
    name = imagenet(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with refused("G607", "Pillow"):
        load_data(name, size=16)


def test_images_that_stay_in_files_are_told_apart_by_their_files(tmp_path):
    name, changed = imagenet(tmp_path), tmp_path / "train" / "n01440764" / "n01440764_3.JPEG"
    before = digests(load_data(name, size=32))
    assert digests(load_data(name, size=32)) == before
    about, content = changed.stat(), changed.read_bytes()

    def differing():
        found = digests(load_data(name, size=32))
        return [part for part, digest in found.items() if digest != before[part]]

    # Both parts are named by all files of the folder.
    changed.write_bytes(content + b"\0")
    os.utime(changed, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert "training images" in differing()
    changed.write_bytes(content)
    os.utime(changed, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert differing() == []
    os.utime(changed, ns=(about.st_atime_ns, about.st_mtime_ns + 2_000_000_000))
    assert "training images" in differing()
