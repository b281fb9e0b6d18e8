"""What an order book says, sample by sample, and as it was known at the close of each candle.

With the best bid b and ask a, their quantities Qb and Qa, and the depth D of a side, the sum of price x quantity over
the recorded levels (ten at most):

    mid                = (a + b) / 2
    spread             = (a - b) / mid                               share of the price, above 0
    imbalance          = (Qb - Qa) / (Qb + Qa)                       -1 (only sellers) .. 1 (only buyers)
    depth imbalance    = (Db - Da) / (Db + Da)                       -1 .. 1
    microprice         = (Qb a + Qa b) / (Qb + Qa)                   between b and a
    microprice premium = microprice / mid - 1 = imbalance x spread / 2

Imbalance: Cartea, Jaimungal, Penalva 2015, "Algorithmic and High-Frequency Trading", chapter 2. The microprice is the
mid weighted by the opposite quantities: Gatheral, Oomen 2010, "Zero-intelligence realized variance estimation"; Stoikov
2018, "The micro-price: a high-frequency estimator of future prices", calls it the weighted mid-price and corrects it
by an expectation that has to be estimated from a pair's own past. That estimate is not made here: these columns need
no past, so a row never depends on when it was computed.
"""

from datetime import datetime, timedelta

import polars as pl

from trading.market import TIME, Timeframe

FRESH_SAMPLES = 10  # intervals: an older sample says nothing of a candle's close
# Of the last sample: null without a fresh one, and what needs both sides where one is empty.
BEST_LEVELS = ("bid", "bid_quantity", "ask", "ask_quantity")
# Free of the scale of prices.
QUOTE_FEATURES = ("spread", "imbalance", "depth_imbalance", "microprice_premium")
SAMPLE_COLUMNS = (*BEST_LEVELS, "bid_depth", "ask_depth", "mid", "microprice", *QUOTE_FEATURES)
MEANS = tuple(f"mean_{name}" for name in QUOTE_FEATURES)
ORDER_BOOK_SCHEMA = pl.Schema(
    {
        "open_time": TIME,
        "close_time": TIME,
        "known_at": TIME,
        "sample_at": TIME,
        "sample_age": pl.Float64(),
        **dict.fromkeys(SAMPLE_COLUMNS, pl.Float64()),
        **dict.fromkeys(MEANS, pl.Float64()),
        "samples": pl.Int64(),
        "expected": pl.Int64(),
        "crossed": pl.Int64(),
    }
)
DESCRIPTIONS = {
    "open_time": "When the candle begins, on the grid of the timeframe.",
    "close_time": "When the next candle begins.",
    "known_at": "The close: every sample of the row was known by then.",
    "sample_at": "The moment of the last sample that was known at the close.",
    "sample_age": "Seconds from that moment to the close.",
    "bid": "Best bid, quote per base; null, as all below it, where the last sample is too old or a side is empty.",
    "bid_quantity": "Quantity at the best bid, base asset.",
    "ask": "Best ask, quote per base.",
    "ask_quantity": "Quantity at the best ask, base asset.",
    "bid_depth": "Sum of price x quantity over the recorded bids, quote asset.",
    "ask_depth": "Sum of price x quantity over the recorded asks, quote asset.",
    "mid": "(ask + bid) / 2.",
    "microprice": "Mid weighted by the opposite quantities (Gatheral, Oomen 2010; Stoikov 2018).",
    "spread": "(ask - bid) / mid, a share of the price.",
    "imbalance": "(bid quantity - ask quantity) / their sum at the best levels, -1..1.",
    "depth_imbalance": "(bid depth - ask depth) / their sum, -1..1.",
    "microprice_premium": "microprice / mid - 1, a share of the price.",
    **{f"mean_{name}": f"Mean of {name} over the candle's samples." for name in QUOTE_FEATURES},
    "samples": "Samples that became known within the candle.",
    "expected": "Samples that the grid of [stream] book_interval has in a candle.",
    "crossed": "Samples whose best bid was not below the best ask: left out, and none in a sound tape.",
}


def sample_features(samples: pl.DataFrame) -> pl.DataFrame:
    """Return `at`, `known_at` and SAMPLE_COLUMNS of each row of the tape's table `book`, in its order.

    Null is what needs a side that is empty.
    """
    bid, ask, bids, asks = pl.col("bid"), pl.col("ask"), pl.col("bid_quantity"), pl.col("ask_quantity")
    bid_depth, ask_depth = pl.col("bid_depth"), pl.col("ask_depth")
    return (
        samples.select(
            "at",
            "known_at",
            bid=_best("bid_prices"),
            bid_quantity=_best("bid_quantities"),
            ask=_best("ask_prices"),
            ask_quantity=_best("ask_quantities"),
            bid_depth=_depth("bid"),
            ask_depth=_depth("ask"),
        )
        .with_columns(
            mid=(ask + bid) / 2,
            microprice=ask * (bids / (bids + asks)) + bid * (asks / (bids + asks)),
            imbalance=(bids - asks) / (bids + asks),
            depth_imbalance=(bid_depth - ask_depth) / (bid_depth + ask_depth),
        )
        .with_columns(
            spread=(ask - bid) / pl.col("mid"), microprice_premium=pl.col("microprice") / pl.col("mid") - 1
        )
        .select("at", "known_at", *SAMPLE_COLUMNS)
    )


def candle_features(
    samples: pl.DataFrame, timeframe: Timeframe, interval: timedelta, until: datetime
) -> pl.DataFrame:
    """Return ORDER_BOOK_SCHEMA of the candles in which samples became known: as it was known at each close.

    `samples` are rows of the tape's table `book` of one pair. A sample counts for the first candle that closes when
    or after it became known, so nothing later enters a row. Candles that close after `until` are left out: of them
    more may come.
    """
    step = timeframe.duration
    known = sample_features(samples).with_columns(
        open_time=(pl.col("known_at") - timedelta.resolution).dt.truncate(timeframe.value),
        crossed=(pl.col("bid") >= pl.col("ask")).fill_null(False),
    )
    sound, last = (
        ~pl.col("crossed"),
        {name: pl.col(name).filter(~pl.col("crossed")) for name in known.columns},
    )
    rows = (
        known.sort("open_time", "at", "known_at")
        .group_by("open_time", maintain_order=True)
        .agg(
            last["at"].last().alias("sample_at"),
            *(last[name].last() for name in SAMPLE_COLUMNS),
            *(last[name].mean().alias(f"mean_{name}") for name in QUOTE_FEATURES),
            samples=sound.sum().cast(pl.Int64),
            crossed=pl.col("crossed").sum().cast(pl.Int64),
        )
        .with_columns(close_time=pl.col("open_time") + step, expected=pl.lit(step // interval, pl.Int64))
        .with_columns(
            known_at=pl.col("close_time"),
            sample_age=(pl.col("close_time") - pl.col("sample_at")).dt.total_microseconds() / 1e6,
        )
    )
    fresh = pl.col("sample_age") <= (FRESH_SAMPLES * interval).total_seconds()
    aged = rows.with_columns(pl.when(fresh).then(pl.col(name)).alias(name) for name in SAMPLE_COLUMNS)
    return aged.filter(pl.col("close_time") <= until).select(
        pl.col(name).cast(kind) for name, kind in ORDER_BOOK_SCHEMA.items()
    )


def _best(column: str) -> pl.Expr:
    return pl.col(column).list.get(0, null_on_oob=True)


def _depth(side: str) -> pl.Expr:
    """Sum the value of the levels; null for an empty side: nobody knows how much lies deeper."""
    value = (pl.col(f"{side}_prices") * pl.col(f"{side}_quantities")).list.sum()
    return pl.when(pl.col(f"{side}_prices").list.len() > 0).then(value)
