"""Search methods: what each can be told, with its defaults and presets.

`darts` alone is differentiable. The others draw schemes (one alternative for every decision) from a
supernet that was trained under random schemes, and measure them there.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Literal

from genolang.records import record

EVALUATIONS = 900
"""The default budget: schemes measured in a search, EAN's 300 steps of three."""

Answer = Literal["reward", "probability"]


@record(frozen=True)
class EanSettings:
    """EAN's controller, curiosity bonus and replay; the defaults are those of its public code.

    A scheme's reward is `accuracy` times its validation accuracy (0 to 1) plus `sparsity` times its
    sparsity (0 to 1) less `offset`, plus `bonus` times the curiosity bonus, which is one sum over
    the step's schemes or one number per scheme. `output` softmax has a logit per alternative,
    sigmoid one less; `baseline` is the decay of the rewards' moving average, 0 for none. A replay
    step scales its loss by `replay_weight`, clips probability ratios at 1 -/+ `clip` and takes the
    smaller objective, 0 for neither, and reads rewards with or without the bonus. `answer` is the
    scheme of the highest reward without bonus, or the likeliest one.
    Source: Efficient Attention Network, section 4.3, and gbup-group/EAN-efficient-attention-network.
    """

    preset: Literal["code", "text"] = "code"
    steps: int = 300
    samples: int = 3
    accuracy: float = 100.0
    sparsity: float = 2.0
    offset: float = 54.0
    bonus: float = 1.0
    bonus_over: Literal["step", "scheme"] = "step"
    inputs: int = 20
    hidden: int = 50
    output: Literal["softmax", "sigmoid"] = "softmax"
    temperature: float = 5.0
    lr: float = 0.05
    baseline: float = 0.95
    rnd_hidden: int = 32
    rnd_outputs: int = 4
    buffer: int = 30
    replay_from: int = 10
    replay_weight: float = 0.1
    replay_bonus: bool = False
    clip: float = 0.1
    answer: Answer = "reward"


@record(frozen=True)
class EnasSettings:
    """A recurrent controller trained by REINFORCE; each decision sees those before it.

    Source: ENAS (Pham et al., 2018), section 2.4. EAN's comparison gives no settings: rewards and
    baseline are those of EAN's code; the rate did best of five on a table of rewards.
    """

    steps: int = 300
    samples: int = 3
    accuracy: float = 100.0
    sparsity: float = 2.0
    hidden: int = 100
    temperature: float = 5.0
    tanh: float = 2.5
    entropy: float = 1e-4
    lr: float = 0.0035
    baseline: float = 0.95
    answer: Answer = "reward"


@record(frozen=True)
class GeneticSettings:
    """Generations of `population` schemes; the best one survives.

    A child has two parents, each the best of `tournament` drawn ones; with probability `crossover`
    it takes every decision from either, else from the first; then each decision is drawn anew with
    probability `mutation`.
    """

    evaluations: int = EVALUATIONS
    population: int = 30
    tournament: int = 3
    crossover: float = 0.9
    mutation: float = 0.05
    accuracy: float = 100.0
    sparsity: float = 2.0


@record(frozen=True)
class EvolutionSettings:
    """Regularised evolution: a queue of `population` schemes. The first ones are drawn; then the best of
    `sample` different drawn ones has a child with one decision changed, and the oldest of the queue dies.

    Source: Real et al., 2019 (AmoebaNet), algorithm 1. Its search has 20,000 evaluations with 100 and
    25; the defaults keep that shape for a budget of 900.
    """

    evaluations: int = EVALUATIONS
    population: int = 50
    sample: int = 12
    accuracy: float = 100.0
    sparsity: float = 2.0


@record(frozen=True)
class RandomSettings:
    """Schemes drawn as in pre-training; the best reward counts."""

    evaluations: int = EVALUATIONS
    accuracy: float = 100.0
    sparsity: float = 2.0


@record(frozen=True)
class HeuristicSettings:
    """A connection every `every` blocks, the first at block `offset` (from 0); nothing is searched.

    Source: Efficient Attention Network, section 6.2, HSP.
    """

    every: int = 2
    offset: int = 0
    accuracy: float = 100.0
    sparsity: float = 2.0


@record(frozen=True)
class AllSettings:
    """Every method under one budget of `evaluations`, from one pre-trained supernet."""

    evaluations: int = EVALUATIONS
    methods: tuple[Method, ...] = ()


Sampling = EanSettings | EnasSettings | GeneticSettings | EvolutionSettings | RandomSettings | HeuristicSettings
MethodSettings = Sampling | AllSettings

SAMPLED: dict[str, type[Sampling]] = {
    "ean": EanSettings,
    "enas": EnasSettings,
    "genetic": GeneticSettings,
    "evolution": EvolutionSettings,
    "random": RandomSettings,
    "heuristic": HeuristicSettings,
}
METHODS = ("darts", *SAMPLED, "all")

# Where the paper's text and its public code differ. CIFAR-100 has its steps in the text alone; the
# text's coefficients are not printed, so each is 1.
EAN_TEXT = EanSettings(
    preset="text",
    steps=1000,
    samples=1,
    accuracy=1.0,
    sparsity=1.0,
    offset=0.0,
    bonus_over="scheme",
    output="sigmoid",
    temperature=1.0,
    baseline=0.0,
    replay_weight=1.0,
    replay_bonus=True,
    clip=0.0,
)


@record(frozen=True)
class Method:
    """A method as a `search` section or a list of methods names it."""

    method: str
    order: Literal[1, 2] = 1
    sampling: MethodSettings | None = None

    def __str__(self) -> str:
        if self.sampling is None:
            return f"{self.method}(order={self.order})"
        told = [
            f"{f.name}={_text(value)}"
            for f in fields(self.sampling)
            if (value := getattr(self.sampling, f.name)) != getattr(_base(self.sampling), f.name)
        ]
        if isinstance(self.sampling, EanSettings) and self.sampling.preset != "code":
            told.insert(0, f"preset={self.sampling.preset}")
        return f"{self.method}({', '.join(told)})" if told else self.method


def _base(sampling: MethodSettings) -> MethodSettings:
    if isinstance(sampling, EanSettings):
        return EAN_TEXT if sampling.preset == "text" else EanSettings()
    if isinstance(sampling, AllSettings):
        return AllSettings(methods=ALL)
    return type(sampling)()


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


ALL = (
    Method("ean", sampling=EanSettings()),
    Method("darts"),
    Method("genetic", sampling=GeneticSettings()),
    Method("enas", sampling=EnasSettings()),
    Method("random", sampling=RandomSettings()),
    *(Method("heuristic", sampling=HeuristicSettings(every, offset)) for every in (2, 3) for offset in (0, 1)),
)
"""The methods of the paper's comparison, and random schemes. Source: section 6.2, Table 4."""


def evaluations_of(sampling: Sampling) -> int:
    """How many schemes a search measures; one that comes again counts again."""
    if isinstance(sampling, HeuristicSettings):
        return 1
    if isinstance(sampling, (EanSettings, EnasSettings)):
        return sampling.steps * sampling.samples
    return sampling.evaluations


def measured_schemes(settings: MethodSettings | None) -> int:
    """How many schemes, or ends of a differentiable search, one search measures at most."""
    if settings is None:
        return 1
    if not isinstance(settings, AllSettings):
        return evaluations_of(settings)
    told = [
        None if m.sampling is None else with_budget(m.sampling, settings.evaluations)
        for m in settings.methods
        if not isinstance(m.sampling, AllSettings)
    ]
    return sum(map(measured_schemes, told))


def with_budget(sampling: Sampling, evaluations: int) -> Sampling:
    """The same method told to measure so many schemes, or as many whole steps as they make."""
    if isinstance(sampling, HeuristicSettings):
        return sampling
    if isinstance(sampling, (EanSettings, EnasSettings)):
        return replace(sampling, steps=max(1, evaluations // sampling.samples))
    return replace(sampling, evaluations=evaluations)
