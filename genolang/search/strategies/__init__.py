"""Search strategies by the name that `method` gives them."""

from __future__ import annotations

from collections.abc import Mapping

from genolang.search.sampled import SampledSearch
from genolang.search.strategies.darts import search_one
from genolang.search.strategies.ean import EanSampler
from genolang.search.strategies.enas import EnasSampler
from genolang.search.strategies.evolution import EvolutionSampler
from genolang.search.strategies.genetic import GeneticSampler
from genolang.search.strategies.heuristic import HeuristicSampler
from genolang.search.strategies.random import RandomSampler
from genolang.search.strategy import Strategy

STRATEGIES: Mapping[str, Strategy] = {
    "darts": search_one,
    "ean": SampledSearch(EanSampler),
    "enas": SampledSearch(EnasSampler),
    "genetic": SampledSearch(GeneticSampler),
    "evolution": SampledSearch(EvolutionSampler),
    "random": SampledSearch(RandomSampler),
    "heuristic": SampledSearch(HeuristicSampler),
}
