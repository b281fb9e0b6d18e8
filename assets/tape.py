"""The tape as an external asset: what the stream recorded, as it reports it itself; `ohlcv` is made from it."""

import dagster as dg

from assets.partitions import PAIR_MONTHS

MARKET_TAPE = dg.AssetKey("market_tape")


def market_tape() -> dg.AssetSpec:
    """Describe the tape. Each observation of a month has the digest of its candles as data version.

    A month of `ohlcv` is therefore out of date exactly when the stream has closed or restated a candle of it.
    """
    return dg.AssetSpec(
        MARKET_TAPE,
        description="Trades, candles with every revision, quotes and samples of the order book, as `marketloom stream` "
        "records them. Not made here: the stream reports it about once a minute, with what it knows of itself.",
        group_name="sources",
        owners=["team:market"],
        kinds={"stream"},
        partitions_def=PAIR_MONTHS,
    )
