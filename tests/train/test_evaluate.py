import torch
from torch.nn.functional import cross_entropy
from train.tiny import TinyNet, random_images

from genolang.train.evaluate import evaluate


def test_an_evaluation_is_the_mean_over_images_whatever_the_batches():
    module, (images, labels) = TinyNet(), random_images(11)
    whole = evaluate(module, [(images, labels)])
    parts = evaluate(module, [(images[:4], labels[:4]), (images[4:], labels[4:])])
    assert whole.accuracy == parts.accuracy and abs(whole.loss - parts.loss) < 1e-6
    with torch.no_grad():
        assert abs(whole.loss - cross_entropy(module(images), labels).item()) < 1e-6


def test_an_evaluation_changes_no_weight_and_no_running_mean():
    module = TinyNet()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    evaluate(module, [random_images(11)])
    after = module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
