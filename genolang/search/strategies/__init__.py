"""Search strategies by the name that `method` gives them."""

from __future__ import annotations

from collections.abc import Mapping

from genolang.search.strategies.darts import search_one
from genolang.search.strategy import Strategy

STRATEGIES: Mapping[str, Strategy] = {"darts": search_one}
