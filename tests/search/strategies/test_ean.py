"""EAN's sampler against its equations, written out by hand with numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from search.slot_space import SLOTS
from search.tiny_space import checked_text

from genolang.search.evaluator import Measured
from genolang.search.schemes import SchemeSpace
from genolang.search.strategies.ean import EanSampler
from genolang.semantics.check import expand_network
from genolang.semantics.methods import EAN_TEXT, EanSettings

CODE = EanSettings(inputs=5, hidden=7, rnd_hidden=6, rnd_outputs=2, replay_from=1, lr=0.03)
TEXT = replace(EAN_TEXT, inputs=5, hidden=7, rnd_hidden=6, rnd_outputs=2, replay_from=1, lr=0.03)
ROWS = 6


@pytest.fixture(autouse=True)
def double_precision():
    """A gradient that vanishes must vanish: Adam makes a whole step of a rounding error."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def space():
    return SchemeSpace(expand_network(checked_text(SLOTS), "slots", {}))


def sampler_of(settings):
    return EanSampler(settings, space(), 5, 0.5)


def toy(scheme):
    """A table of rewards: the share of bits that are as in 010110, and how sparse it is."""
    accuracy = sum(a == b for a, b in zip(scheme, (0, 1, 0, 1, 1, 0), strict=True)) / 8
    return accuracy, 1 - sum(scheme) / ROWS


def measured(settings, scheme):
    accuracy, sparsity = toy(scheme)
    return Measured(accuracy, sparsity, settings.accuracy * accuracy + settings.sparsity * sparsity)


class Adam:
    def __init__(self, arrays, lr):
        self.arrays, self.lr, self.t = arrays, lr, 0
        self.m, self.v = [0.0 * a for a in arrays], [0.0 * a for a in arrays]

    def step(self, gradients):
        self.t += 1
        for a, g, m, v in zip(self.arrays, gradients, self.m, self.v, strict=True):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            a -= self.lr * (m / (1 - 0.9**self.t)) / (np.sqrt(v / (1 - 0.999**self.t)) + 1e-8)


def arrays(module):
    return [p.detach().double().numpy().copy() for p in module.parameters()]


class ByHand:
    """The controller and the predictor with gradients worked out on paper."""

    def __init__(self, sampler):
        self.settings, self.pair = sampler.settings, sampler.settings.output == "softmax"
        self.controller, self.predictor = arrays(sampler.controller), arrays(sampler.predictor)
        self.target = arrays(sampler.target)
        self.first, self.second = Adam(self.controller, 0.03), Adam(self.predictor, 0.03)
        self.baseline, self.buffer = None, []

    def connected(self):
        """The probability of a connection, by row. The input is zero, so the first matrix is idle."""
        _, b1, w2, b2 = self.controller
        self.hidden = np.maximum(b1, 0)
        z = (w2 @ self.hidden + b2) / self.settings.temperature
        odds = z.reshape(ROWS, 2)[:, 1] - z.reshape(ROWS, 2)[:, 0] if self.pair else z
        return 1 / (1 + np.exp(-odds))

    def ascend(self, weight):
        """A step up `sum of weight * log p(bit)`; weight (schemes, rows)."""
        p, bits = self.connected(), self.bits
        by_odds = (weight * (bits - p)).sum(0) / self.settings.temperature
        by_z = np.stack([-by_odds, by_odds], 1).reshape(-1) if self.pair else by_odds
        _, b1, w2, _ = self.controller
        self.first.step([0 * self.controller[0], -(w2.T @ by_z) * (b1 > 0), -np.outer(by_z, self.hidden), -by_z])

    def chosen(self, p):
        return np.where(self.bits == 1, p, 1 - p)

    def step(self, schemes, replayed):
        s = self.settings
        self.bits = np.array(schemes, float)
        w1, b1, w2, b2, w3, b3 = self.target
        wanted = np.maximum(np.maximum(self.bits @ w1.T + b1, 0) @ w2.T + b2, 0) @ w3.T + b3
        v1, c1, v2, c2 = self.predictor
        inner = np.maximum(self.bits @ v1.T + c1, 0)
        off = inner @ v2.T + c2 - wanted
        novelty = (off**2).sum(1)
        bonus = np.full(len(schemes), novelty.sum()) if s.bonus_over == "step" else novelty
        plain = np.array([s.accuracy * toy(x)[0] + s.sparsity * toy(x)[1] - s.offset for x in schemes])
        reward = plain + s.bonus * bonus
        if s.baseline:
            self.baseline = (
                reward.mean()
                if self.baseline is None
                else (s.baseline * self.baseline + (1 - s.baseline) * reward.mean())
            )
        base = self.baseline or 0.0
        p = self.chosen(self.connected())
        loss = -(np.log(p).sum(1) * (reward - base)).mean()
        self.ascend((reward - base)[:, None] / len(schemes) * np.ones(ROWS))
        by_out = 2 * off
        by_in = (by_out @ v2) * (inner > 0)
        self.second.step([by_in.T @ self.bits, by_in.sum(0), by_out.T @ inner, by_out.sum(0)])
        self.buffer.append((self.bits, reward if s.replay_bonus else plain, p))
        if replayed is not None:
            self.replay(*self.buffer[replayed], base)
        return loss, bonus

    def replay(self, bits, rewards, before, base):
        s, self.bits = self.settings, bits
        p = self.chosen(self.connected())
        ratio = p / before
        gain = (rewards - base)[:, None] / len(bits)
        if s.clip:
            near = np.clip(ratio, 1 - s.clip, 1 + s.clip)
            ratio = min((ratio, near), key=lambda r: (r * gain * np.log(p)).sum())
        self.ascend(s.replay_weight * ratio * gain)


def replayed_entry(sampler, step):
    """Which stored step the sampler draws: the only thing that is taken from it."""
    from genolang.train.batches import generator_for

    return int(torch.randint(step + 1, (1,), generator=generator_for(5, "ean", "replay", step)))


@pytest.mark.parametrize(
    "settings",
    [
        CODE,
        TEXT,
        replace(CODE, bonus_over="scheme", samples=2),
        replace(CODE, output="sigmoid", clip=0.0),
        replace(TEXT, samples=3, baseline=0.8, bonus=0.3),
        replace(CODE, replay_bonus=True, replay_weight=3.0, clip=0.02),
    ],
)
def test_losses_bonuses_and_updates_are_those_of_the_equations(settings):
    sampler = sampler_of(settings)
    hand = ByHand(sampler)
    for step in range(6):
        schemes = sampler.propose(step)
        facts = sampler.learn(step, schemes, [measured(settings, s) for s in schemes])
        loss, bonus = hand.step(schemes, replayed_entry(sampler, step) if step >= 1 else None)
        assert facts["loss"] == pytest.approx(loss, rel=1e-6, abs=1e-8)
        assert facts["bonus"] == pytest.approx(list(bonus), rel=1e-6)
        assert facts["baseline"] == pytest.approx(hand.baseline or 0.0, rel=1e-6)
        for ours, theirs in ((sampler.controller, hand.controller), (sampler.predictor, hand.predictor)):
            for parameter, array in zip(ours.parameters(), theirs, strict=True):
                np.testing.assert_allclose(parameter.detach().numpy(), array, rtol=1e-6, atol=1e-8)


def test_the_first_matrix_of_the_controller_never_moves_since_its_input_is_zero():
    sampler = sampler_of(CODE)
    first, second = (p.detach().clone() for p in list(sampler.controller.parameters())[::2])
    for step in range(5):
        schemes = sampler.propose(step)
        sampler.learn(step, schemes, [measured(CODE, s) for s in schemes])
    after = list(sampler.controller.parameters())[::2]
    assert torch.equal(after[0], first) and not torch.equal(after[1], second)


def test_the_baseline_begins_with_the_first_mean_and_holds_the_bonus():
    settings = replace(CODE, bonus=10.0)
    sampler = sampler_of(settings)
    schemes = sampler.propose(0)
    facts = sampler.learn(0, schemes, [measured(settings, s) for s in schemes])
    plain = np.mean([measured(settings, s).reward - 54 for s in schemes])
    assert facts["baseline"] == pytest.approx(plain + 10 * facts["bonus"][0], rel=1e-5)


def test_a_scheme_that_was_seen_often_is_no_longer_new():
    sampler = sampler_of(CODE)
    seen, other = (0, 1, 1, 0, 0, 1), (1, 0, 0, 1, 1, 0)
    for step in range(60):
        sampler.learn(step, [seen], [measured(CODE, seen)])
    with torch.no_grad():
        old, new = sampler._novelty([seen, other]).tolist()
    assert old < 0.05 * new


def test_the_buffer_forgets_what_is_older_than_its_size():
    sampler = sampler_of(replace(CODE, buffer=3))
    for step in range(5):
        bits = tuple(int(bit) for bit in f"{step:06b}")
        sampler.learn(step, [bits], [measured(CODE, bits)])
    assert [entry[0].tolist()[0] for entry in sampler.buffer] == [
        [int(bit) for bit in f"{step:06b}"] for step in (2, 3, 4)
    ]


def test_the_likeliest_scheme_is_the_answer_where_that_is_asked_for():
    sampler = sampler_of(replace(CODE, answer="probability", temperature=1.0))
    assert sampler_of(CODE).answer() is None
    with torch.no_grad():
        sampler.controller[-1].weight.zero_()
        sampler.controller[-1].bias.copy_(torch.tensor([1.0, 0, 0, 1, 0, 1, 1, 0, 1, 0, 0, 1]))
    assert sampler.answer() == (0, 1, 1, 0, 0, 1)
    drawn = torch.tensor([s for step in range(200) for s in sampler.propose(step)]).double()
    expected = torch.tensor([0.2689, 0.7311, 0.7311, 0.2689, 0.2689, 0.7311]).double()
    assert (drawn.mean(0) - expected).abs().max() < 0.08
