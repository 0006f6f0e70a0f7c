"""`method ean`: a feed-forward controller, a curiosity bonus and replay of stored steps.

Source: Efficient Attention Network (Huang et al., 2021), section 4.3, and its public code,
gbup-group/EAN-efficient-attention-network; `genolang.semantics.methods.EanSettings` names every
number and both presets. In that code the bonus enters the moving average of the rewards, but not the
rewards that are stored; its tanh of the logits is never reached, so there is none here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

from genolang.search.evaluator import Measured
from genolang.search.schemes import Scheme, SchemeSpace
from genolang.semantics.methods import EanSettings
from genolang.train.batches import generator_for
from genolang.train.state import pack_state, select, unpack_state


class EanSampler:
    """EAN's controller with all that it learns from."""

    def __init__(self, settings: EanSettings, space: SchemeSpace, seed: int, connect: float) -> None:
        self.settings, self.space, self.seed = settings, space, seed
        self.steps = settings.steps
        ways = [len(row.options) for row in space.rows]
        free = sum(ways) - (len(ways) if settings.output == "sigmoid" else 0)
        seen = sum(1 if way == 2 else way for way in ways)
        hidden, outputs = settings.rnd_hidden, settings.rnd_outputs * len(ways)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(generator_for(seed, "ean").initial_seed())
            self.controller = _layers(settings.inputs, settings.hidden, free)
            self.target = _layers(seen, hidden, hidden, outputs)
            self.predictor = _layers(seen, hidden, outputs)
        self.controller_optimizer = Adam(self.controller.parameters(), settings.lr)
        self.predictor_optimizer = Adam(self.predictor.parameters(), settings.lr)
        self.baseline: float | None = None
        # Of each stored step: the alternatives' places (schemes, rows), the schemes' rewards, the
        # probabilities of these alternatives then.
        self.buffer: list[tuple[Tensor, Tensor, Tensor]] = []
        self._ways = ways
        self._there = torch.arange(max(ways)) < torch.tensor(ways)[:, None]

    def log_probabilities(self) -> Tensor:
        """The log-probability of every alternative (rows, alternatives), -inf where there is none."""
        flat = self.controller(torch.zeros(self.settings.inputs))
        logits = torch.zeros(self._there.shape)
        free = self._there.clone()
        if self.settings.output == "sigmoid":
            # Of two alternatives one logit decides; of more the first stays at zero, likewise.
            free[:, 0] = False
        logits = logits.masked_scatter(free, flat / self.settings.temperature)
        return logits.masked_fill(~self._there, -torch.inf).log_softmax(-1)

    def propose(self, step: int) -> list[Scheme]:
        generator = generator_for(self.seed, "ean", "propose", step)
        with torch.no_grad():
            probabilities = self.log_probabilities().exp()
        drawn = torch.multinomial(probabilities, self.settings.samples, True, generator=generator)
        return [self._scheme(places, generator) for places in drawn.T.tolist()]

    def learn(self, step: int, schemes: list[Scheme], found: list[Measured]) -> dict[str, Any]:
        settings = self.settings
        places = self._places(schemes)
        log_p = self._chosen(places)
        novelty = self._novelty(schemes)
        rewards = torch.tensor([m.reward - settings.offset for m in found])
        bonus = novelty.detach()
        if settings.bonus_over == "step":
            bonus = bonus.sum().expand_as(bonus)
        curious = rewards + settings.bonus * bonus
        self._move_baseline(curious)
        loss = -(log_p.sum(1) * (curious - (self.baseline or 0.0))).mean()
        _update(self.controller_optimizer, loss)
        _update(self.predictor_optimizer, novelty.sum())
        stored = curious if settings.replay_bonus else rewards
        self.buffer = [*self.buffer, (places, stored, log_p.detach().exp())][-settings.buffer :]
        replayed = self._replay(step) if step >= settings.replay_from else 0.0
        return {
            "p_bar": float(log_p.detach().exp().mean()),
            "bonus": bonus.tolist(),
            "baseline": self.baseline or 0.0,
            "loss": float(loss.detach()),
            "replay_loss": replayed,
        }

    def answer(self) -> Scheme | None:
        if self.settings.answer == "reward":
            return None
        with torch.no_grad():
            likeliest = self.log_probabilities().argmax(1).tolist()
        return self._scheme(likeliest, generator_for(self.seed, "ean", "answer"))

    def entropy(self) -> float | None:
        with torch.no_grad():
            logs = self.log_probabilities()
        most = sum(math.log(way) for way in self._ways)
        return float(torch.special.entr(logs.exp()).sum()) / most if most else None

    def _scheme(self, places: list[int], generator: torch.Generator) -> Scheme:
        options = (row.options[place] for row, place in zip(self.space.rows, places, strict=True))
        return self.space.legal(tuple(options), generator)

    def _places(self, schemes: list[Scheme]) -> Tensor:
        """The schemes' alternatives by their place among those of the row: (schemes, rows)."""
        return torch.tensor(
            [
                [row.options.index(option) for row, option in zip(self.space.rows, scheme, strict=True)]
                for scheme in schemes
            ]
        )

    def _chosen(self, places: Tensor) -> Tensor:
        """The log-probability of every alternative of some schemes: (schemes, rows)."""
        return self.log_probabilities().gather(1, places.T).T

    def _novelty(self, schemes: list[Scheme]) -> Tensor:
        """How far the predictor is from the target, squared and summed, per scheme."""
        bits = []
        for places in self._places(schemes).tolist():
            row: list[float] = []
            for place, ways in zip(places, self._ways, strict=True):
                row += [float(place)] if ways == 2 else [float(place == way) for way in range(ways)]
            bits.append(row)
        seen = torch.tensor(bits)
        with torch.no_grad():
            wanted = self.target(seen)
        novelty: Tensor = (self.predictor(seen) - wanted).square().sum(1)
        return novelty

    def _move_baseline(self, rewards: Tensor) -> None:
        decay, mean = self.settings.baseline, float(rewards.mean())
        if decay:
            self.baseline = mean if self.baseline is None else decay * self.baseline + (1 - decay) * mean

    def _replay(self, step: int) -> float:
        """An update by one stored step, drawn evenly; its loss. Source: equation 8."""
        settings = self.settings
        generator = generator_for(self.seed, "ean", "replay", step)
        drawn = int(torch.randint(len(self.buffer), (1,), generator=generator))
        places, rewards, before = self.buffer[drawn]
        log_p = self._chosen(places)
        ratio = log_p.detach().exp() / before
        gain = log_p * (rewards - (self.baseline or 0.0))[:, None] / len(rewards)
        objective = (ratio * gain).sum()
        if settings.clip:
            # One minimum of the two totals, as in the code, not one per scheme as in PPO.
            near = ratio.clamp(1 - settings.clip, 1 + settings.clip)
            objective = torch.minimum(objective, (near * gain).sum())
        loss = -settings.replay_weight * objective
        _update(self.controller_optimizer, loss)
        return float(loss.detach())

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        parts = ("places", "rewards", "probabilities")
        buffer = {part: torch.stack([entry[i] for entry in self.buffer]) for i, part in enumerate(parts) if self.buffer}
        tensors = pack_state("buffer", buffer)
        for name, owner in self._owners().items():
            tensors |= pack_state(name, owner)
        return tensors, {"baseline": self.baseline}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        buffer = select("buffer", tensors)
        self.buffer = list(zip(buffer["places"], buffer["rewards"], buffer["probabilities"], strict=True))
        for name, owner in self._owners().items():
            unpack_state(name, tensors, owner)
        self.baseline = facts["baseline"]

    def _owners(self) -> dict[str, Any]:
        return {
            "controller": self.controller,
            "target": self.target,
            "predictor": self.predictor,
            "controller_optimizer": self.controller_optimizer,
            "predictor_optimizer": self.predictor_optimizer,
        }


def _layers(*sizes: int) -> nn.Sequential:
    """Linear layers with ReLU between, in torch's default initialisation."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.ReLU()] * bool(layers) + [nn.Linear(inputs, outputs)]
    return nn.Sequential(*layers)


def _update(optimizer: Adam, loss: Tensor) -> None:
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()
