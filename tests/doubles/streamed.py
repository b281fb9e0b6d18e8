"""Datasets that were streamed, or were not."""

from tests.doubles.event_log import MemoryEventLog
from tests.doubles.stores import MemoryMarketData
from tests.doubles.stores.gaps import MemoryGaps
from trading.market import Timeframe
from trading.stream_coverage import StreamCoverage

LIMIT = 0.01


def streamed(
    origin: str, timeframe: Timeframe, max_unrepaired: float = LIMIT
) -> tuple[StreamCoverage, MemoryMarketData, MemoryGaps]:
    """Return the coverage of a dataset and the two stores that the stream writes; empty: nothing was streamed."""
    market_data = MemoryMarketData(MemoryEventLog(), origin, origin, timeframe)
    ledger = MemoryGaps(market_data)
    return StreamCoverage(origin, timeframe, market_data, ledger, max_unrepaired), market_data, ledger


def nothing_streamed(timeframe: Timeframe = Timeframe.H1) -> StreamCoverage:
    return streamed("simulated", timeframe)[0]
