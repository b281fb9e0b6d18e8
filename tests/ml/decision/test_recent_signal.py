import polars as pl

from ml.decision.recent_signal import find_most_recent_signal
from tests.ml.decision.trading_day import FALLING, PAIR, RISING, RULES, candles
from trading.indicators import feature_table
from trading.market import Pair, Timeframe

OTHER = Pair("XRP", "USDT")


def table(drift: float, cut: int = 0) -> pl.DataFrame:
    made = candles(drift)
    rows = feature_table(made, Timeframe.H1).join(made.select("open_time", "close"), on="open_time")
    return rows.head(rows.height - cut)


def test_the_closes_run_from_the_last_clear_signal_to_the_newest_candle() -> None:
    rising = table(RISING)
    signal = find_most_recent_signal({PAIR: rising}, RULES.signals, 0.5, 48)
    assert signal is not None
    assert signal.closes[-1] == rising["close_time"][-1]
    assert list(signal.closes) == sorted(signal.closes)
    assert len(signal.closes) <= 48


def test_the_pair_with_the_more_recent_signal_is_found() -> None:
    fresh = table(FALLING)
    signal = find_most_recent_signal({PAIR: table(0.0), OTHER: fresh}, RULES.signals, 0.6, 48)
    assert signal is not None
    assert signal.pair == OTHER


def test_without_a_clear_signal_none_is_found() -> None:
    assert find_most_recent_signal({PAIR: table(RISING)}, RULES.signals, 1.0, 48) is None
