"""`method enas`: a recurrent controller that decides row by row, trained by REINFORCE.

Source: ENAS (Pham et al., 2018), section 2.4: an LSTM whose input is the embedding of the decision
before, logits C tanh(h / T). `genolang.semantics.methods.EnasSettings` says where its numbers come from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

from genolang.search.evaluator import Measured
from genolang.search.schemes import Scheme, SchemeSpace
from genolang.semantics.methods import EnasSettings
from genolang.train.batches import generator_for
from genolang.train.state import pack_state, unpack_state


class _Controller(nn.Module):
    """An LSTM cell with an embedding and a decoder per choice set."""

    def __init__(self, space: SchemeSpace, hidden: int) -> None:
        super().__init__()
        ways = {row.key: len(space.program.choices[row.key].options) for row in space.rows}
        self.numbers = {key: number for number, key in enumerate(ways)}
        self.cell = nn.LSTMCell(hidden, hidden)
        self.embeddings = nn.ModuleList(nn.Embedding(way, hidden) for way in ways.values())
        self.decoders = nn.ModuleList(nn.Linear(hidden, way) for way in ways.values())


class EnasSampler:
    """ENAS's controller with what it learns from."""

    def __init__(self, settings: EnasSettings, space: SchemeSpace, seed: int, connect: float) -> None:
        self.settings, self.space, self.seed = settings, space, seed
        self.steps = settings.steps
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(generator_for(seed, "enas").initial_seed())
            self.controller = _Controller(space, settings.hidden)
        self.optimizer = Adam(self.controller.parameters(), settings.lr)
        self.baseline: float | None = None

    def walk(
        self,
        schemes: list[Scheme] | None,
        count: int = 0,
        generator: torch.Generator | None = None,
        likeliest: bool = False,
    ) -> tuple[Tensor, Tensor, list[Scheme]]:
        """Decides row by row, as given schemes do or else by itself.

        Answers the log-probability of each decision (schemes, rows), the entropy of the decisions in
        nats (schemes,), and the schemes.
        """
        settings, controller = self.settings, self.controller
        count = len(schemes) if schemes is not None else count
        state: tuple[Tensor, Tensor] | None = None
        x = torch.zeros(count, settings.hidden)
        log_p, entropy, decided = [], torch.zeros(count), []
        for at, row in enumerate(self.space.rows):
            number = controller.numbers[row.key]
            state = controller.cell(x, state)
            logits = controller.decoders[number](state[0]) / settings.temperature
            if settings.tanh:
                logits = settings.tanh * logits.tanh()
            allowed = torch.tensor(row.options)
            logs = logits[:, allowed].log_softmax(1)
            entropy = entropy - (logs.exp() * logs).sum(1)
            if schemes is not None:
                place = torch.tensor([row.options.index(scheme[at]) for scheme in schemes])
            elif likeliest:
                place = logs.argmax(1)
            else:
                place = torch.multinomial(logs.detach().exp(), 1, generator=generator)[:, 0]
            log_p.append(logs.gather(1, place[:, None])[:, 0])
            decided.append(allowed[place])
            x = controller.embeddings[number](decided[-1])
        drawn = [tuple(scheme) for scheme in torch.stack(decided, 1).tolist()]
        return torch.stack(log_p, 1), entropy, drawn

    def propose(self, step: int) -> list[Scheme]:
        generator = generator_for(self.seed, "enas", "propose", step)
        with torch.no_grad():
            drawn = self.walk(None, self.settings.samples, generator)[2]
        return [self.space.legal(scheme, generator) for scheme in drawn]

    def learn(self, step: int, schemes: list[Scheme], found: list[Measured]) -> dict[str, Any]:
        settings = self.settings
        log_p, entropy, _ = self.walk(schemes)
        rewards = torch.tensor([m.reward for m in found])
        decay, mean = settings.baseline, float(rewards.mean())
        if decay:
            self.baseline = mean if self.baseline is None else decay * self.baseline + (1 - decay) * mean
        gain = log_p.sum(1) * (rewards - (self.baseline or 0.0)) + settings.entropy * entropy
        loss = -gain.mean()
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()
        return {
            "p_bar": float(log_p.detach().exp().mean()),
            "baseline": self.baseline or 0.0,
            "loss": float(loss.detach()),
        }

    def answer(self) -> Scheme | None:
        if self.settings.answer == "reward":
            return None
        with torch.no_grad():
            (scheme,) = self.walk(None, 1, likeliest=True)[2]
        return self.space.legal(scheme, generator_for(self.seed, "enas", "answer"))

    def entropy(self) -> float | None:
        most = sum(math.log(len(row.options)) for row in self.space.rows)
        with torch.no_grad():
            found = self.walk(None, 64, generator_for(self.seed, "enas", "entropy"))[1]
        return float(found.mean()) / most if most else None

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = pack_state("controller", self.controller) | pack_state("optimizer", self.optimizer)
        return tensors, {"baseline": self.baseline}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        unpack_state("controller", tensors, self.controller)
        unpack_state("optimizer", tensors, self.optimizer)
        self.baseline = facts["baseline"]
