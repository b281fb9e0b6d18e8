"""The stores in memory: the contract tests of the real ones run over them too."""

from tests.doubles.stores.api_keys import MemoryKeyState
from tests.doubles.stores.gaps import MemoryGaps
from tests.doubles.stores.journal import MemoryJournal
from tests.doubles.stores.market_data import MemoryMarketData
from tests.doubles.stores.model_calls import MemoryModelCalls
from tests.doubles.stores.news import MemoryNews
from tests.doubles.stores.news_index import MemoryNewsIndex
from tests.doubles.stores.performance import MemoryPerformance
from tests.doubles.stores.promotions import MemoryPromotions
from tests.doubles.stores.table import MemoryTable
from tests.doubles.stores.weights import MemoryWeights

__all__ = [
    "MemoryGaps",
    "MemoryJournal",
    "MemoryKeyState",
    "MemoryMarketData",
    "MemoryModelCalls",
    "MemoryNews",
    "MemoryNewsIndex",
    "MemoryPerformance",
    "MemoryPromotions",
    "MemoryTable",
    "MemoryWeights",
]
