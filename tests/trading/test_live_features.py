"""The features of a candle as it closes are the row that the batch table has, whatever comes late or is restated."""

import random
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from tests.trading.indicators.candle_walks import START, assert_same_row, candles, holed, recorded, values
from tests.trading.live_candles import (
    BTC,
    CROSS,
    XRP,
    Rows,
    Tables,
    beside,
    closed,
    live,
    quiet,
    stream,
    three,
)
from trading.errors import InvalidCandles
from trading.feature_rows import FeatureRow
from trading.indicators import FEATURE_NAMES, feature_table, live_row, lookback
from trading.indicators.live_window import LiveWindow
from trading.live_features import READ_AGAIN
from trading.market import Pair, Timeframe

H1 = Timeframe.H1
LATER = timedelta(minutes=1)


def assert_batch_rows(rows: Rows, tables: Tables, timeframe: Timeframe = H1, least: int = 1) -> None:
    """Each row is the table's: to rounding, its regime and when it was known exactly."""
    compared = 0
    for pair, table in tables.items():
        whole = feature_table(table, timeframe, beside(pair, tables, timeframe))
        numbers, place = values(whole), {close: row for row, close in enumerate(whole["close_time"])}
        for (of, close), row in rows.newest.items():
            if of == pair:
                found = np.array([row.values[name] for name in FEATURE_NAMES], dtype=float)
                assert_same_row(found, numbers[place[close]], numbers)
                assert row.regime == whole["regime"][place[close]]
                assert row.known_at == whole["known_at"][place[close]]
                compared += 1
    assert compared >= least


def merged(tables: Tables, after: int, timeframe: Timeframe = H1) -> list[tuple[datetime, list]]:  # type: ignore[type-arg]
    """The candles from row `after` on, by close time."""
    by_close: dict[datetime, list] = {}  # type: ignore[type-arg]
    for pair, table in tables.items():
        for candle in stream(pair, timeframe, table[after:]):
            by_close.setdefault(candle.close_time, []).append(candle)
    return sorted(by_close.items())


@pytest.mark.parametrize("timeframe", list(Timeframe), ids=lambda each: each.value)
def test_on_every_timeframe_each_row_is_bit_for_bit_the_live_row_and_known_when_the_table_says(
    timeframe: Timeframe,
) -> None:
    count = lookback(timeframe) + 40
    table = holed(candles(count + count // 8, 5, timeframe=timeframe), 5)
    begin = table.height - 12
    features = live({BTC: table[:begin]}, timeframe, (BTC,))
    rows = Rows()
    for row, candle in enumerate(stream(BTC, timeframe, table[begin:]), begin):
        [found] = features.add([candle], candle.known_at)
        assert found.values == live_row(table[: row + 1], timeframe)
        rows.put([found])
    assert_batch_rows(rows, {BTC: table}, timeframe, least=12)


def test_rows_of_pairs_that_are_compared_equal_the_table_whatever_the_order_in_which_candles_come() -> None:
    whole = {pair: holed(table, seed) for seed, (pair, table) in enumerate(three(1120).items())}
    begin = START + 1050 * H1.duration
    history = {pair: table.filter(pl.col("open_time") < begin) for pair, table in whole.items()}
    arriving = [
        candle
        for pair, table in whole.items()
        for candle in stream(pair, H1, table.filter(pl.col("open_time") >= begin))
    ]
    random.Random(4).shuffle(arriving)
    features, rows = live(history), Rows()
    for start in range(0, len(arriving), 3):
        batch = arriving[start : start + 3]
        rows.put(features.add(batch, max(each.known_at for each in batch)))
    rows.put(features.due(START + timedelta(days=999)))
    assert_batch_rows(rows, whole, least=len(arriving))


def test_on_recorded_minutes_of_three_pairs_each_row_is_the_table_s() -> None:
    tables = {
        pair: recorded(f"binance_{pair.key}_1m_2021", Timeframe.M1)[:18_000] for pair in (BTC, XRP, CROSS)
    }
    tables = {pair: table.with_columns(origin=pl.lit("simulated")) for pair, table in tables.items()}
    begin = 17_990
    features, rows = live({pair: table[:begin] for pair, table in tables.items()}, Timeframe.M1), Rows()
    for close, batch in merged(tables, begin, Timeframe.M1):
        rows.put(features.add(batch, close))
    rows.put(features.due(START + timedelta(days=9999)))
    assert_batch_rows(rows, tables, Timeframe.M1, least=25)


def test_a_row_waits_for_the_other_pairs_candles_of_the_same_close() -> None:
    tables = three(1010)
    features = live({pair: table[:1005] for pair, table in tables.items()})
    [(close, (btc, xrp, cross))] = merged({pair: table[:1006] for pair, table in tables.items()}, 1005)
    assert features.add([xrp], close) == []
    assert features.add([btc], close + LATER / 60) == []
    found = features.add([cross], close + LATER / 30)
    assert {row.pair for row in found} == {BTC, XRP, CROSS}
    rows = Rows()
    rows.put(found)
    assert_batch_rows(rows, {pair: table[:1006] for pair, table in tables.items()}, least=3)


def test_a_row_waits_no_longer_than_it_may_and_is_computed_again_once_the_other_pair_comes() -> None:
    tables = three(1010)
    features = live({pair: table[:1005] for pair, table in tables.items()})
    [(close, (btc, xrp, cross))] = merged({pair: table[:1006] for pair, table in tables.items()}, 1005)
    assert features.add([xrp, cross], close) == []
    assert features.due(close + timedelta(seconds=4.9)) == []
    early = features.due(close + timedelta(seconds=5))
    assert {row.pair for row in early} == {XRP, CROSS}
    without = {pair: table[:1006] if pair != BTC else table[:1005] for pair, table in tables.items()}
    rows = Rows()
    rows.put(early)
    assert_batch_rows(rows, without, least=2)
    late = features.add([btc], close + LATER)
    assert {row.pair for row in late} == {BTC, XRP, CROSS}
    rows.put(late)
    assert_batch_rows(rows, {pair: table[:1006] for pair, table in tables.items()}, least=3)


def test_a_pair_that_has_stopped_trading_is_not_waited_for() -> None:
    tables = three(1010)
    features = live({pair: table[: 1005 if pair != BTC else 990] for pair, table in tables.items()})
    for close, batch in merged({XRP: tables[XRP], CROSS: tables[CROSS]}, 1005):
        assert {row.pair for row in features.add(batch, close)} == {XRP, CROSS}


def test_a_candle_without_a_trade_is_no_row_and_is_not_waited_for_any_more() -> None:
    tables = three(1010)
    features = live({pair: table[:1005] for pair, table in tables.items()})
    [(close, (_, xrp, cross))] = merged({pair: table[:1006] for pair, table in tables.items()}, 1005)
    found = features.add([xrp, cross, quiet(BTC, H1, close - H1.duration)], close)
    assert {row.pair for row in found} == {XRP, CROSS}


def test_a_restated_candle_gives_new_revisions_of_every_row_that_it_is_part_of() -> None:
    tables = three(1060)
    features, rows = live({pair: table[:1000] for pair, table in tables.items()}), Rows()
    for close, batch in merged(tables, 1000):
        rows.put(features.add(batch, close))
    late = tables[BTC]["close_time"][-1] + LATER
    changed = pl.int_range(pl.len()) == 1030
    restated = tables[BTC].with_columns(
        close=pl.when(changed).then(pl.col("low")).otherwise("close"),
        volume=pl.when(changed).then(pl.col("volume") + 1).otherwise("volume"),
        known_at=pl.when(changed)
        .then(pl.lit(late).cast(tables[BTC].schema["known_at"]))
        .otherwise("known_at"),
    )
    [candle] = stream(BTC, H1, restated[1030:1031])
    before = rows.revisions
    rows.put(features.add([candle], late))
    assert rows.revisions - before >= 30 + 30  # its own rows from then on, and those that compare with it
    assert_batch_rows(rows, tables | {BTC: restated}, least=180)


def test_a_candle_that_was_missing_and_comes_late_gives_the_rows_that_the_table_has_with_it() -> None:
    table = candles(1060, 3)
    holes = table.filter(pl.int_range(pl.len()) != 1040)
    features, rows = live({BTC: holes[:1000]}, pairs=(BTC,)), Rows()
    for candle in stream(BTC, H1, holes[1000:]):
        rows.put(features.add([candle], candle.known_at))
    assert_batch_rows(rows, {BTC: holes}, least=59)
    [late] = stream(BTC, H1, table[1040:1041])
    rows.put(features.add([late], late.known_at))
    assert_batch_rows(rows, {BTC: table}, least=60)


def test_a_candle_that_turns_out_to_have_no_trade_leaves_the_table_s_rows_without_it() -> None:
    table = candles(1060, 3)
    features, rows = live({BTC: table[:1000]}, pairs=(BTC,)), Rows()
    for candle in stream(BTC, H1, table[1000:]):
        rows.put(features.add([candle], candle.known_at))
    gone = table["open_time"][1040]
    rows.put(features.add([closed(BTC, H1, table.row(1040, named=True), trades=0, volume=0.0)], START))
    del rows.newest[BTC, gone + H1.duration]
    assert_batch_rows(rows, {BTC: table.filter(pl.col("open_time") != gone)}, least=59)


def test_the_same_candle_again_gives_the_same_row_again_and_nothing_else() -> None:
    tables = three(1010)
    features = live({pair: table[:1005] for pair, table in tables.items()})
    batches = merged(tables, 1005)
    first = [row for close, batch in batches for row in features.add(batch, close)]
    again = [row for close, batch in batches for row in features.add(batch, close)]
    assert again == first


def test_an_older_revision_that_comes_again_does_not_undo_a_newer_one() -> None:
    table = candles(1010, 3)
    features = live({BTC: table[:1005]}, pairs=(BTC,))
    row = table.row(1005, named=True)
    newer = closed(BTC, H1, row, volume=row["volume"] + 5, known_at=row["known_at"] + LATER)
    [right] = features.add([closed(BTC, H1, row), newer], newer.known_at)
    [again] = features.add([closed(BTC, H1, row)], newer.known_at)
    assert again == right
    assert again.known_at == newer.known_at


def test_a_restart_goes_on_with_the_same_rows_and_makes_up_for_those_that_were_not_stored() -> None:
    tables = three(1020)
    going, rows = live({pair: table[:1000] for pair, table in tables.items()}), Rows()
    for close, batch in merged(tables, 1000):
        rows.put(going.add(batch, close))
    stored = tables[BTC]["close_time"][1012]
    restarted = live(
        {pair: table[:1016] for pair, table in tables.items()}, stored=dict.fromkeys(tables, stored)
    )
    found: list[FeatureRow] = []
    for close, batch in merged(tables, 1016):
        found += restarted.add(batch, close)
    assert {(row.pair, row.close_time): row for row in found} == {
        key: row for key, row in rows.newest.items() if row.close_time > stored
    }


def test_too_few_candles_give_no_row_and_say_how_many_are_missing() -> None:
    table = candles(264, 3)
    features = live({}, pairs=(BTC,))
    for candle in stream(BTC, H1, table[:263]):
        assert features.add([candle], candle.known_at) == []
    assert [(each.pair, each.timeframe, each.missing) for each in features.warming_up] == [(BTC, H1, 1)]
    [candle] = stream(BTC, H1, table[263:])
    [row] = features.add([candle], candle.known_at)
    assert row.values == live_row(table, H1)
    assert features.warming_up == []


def test_history_that_is_stored_while_the_stream_runs_gives_rows_without_a_restart() -> None:
    table, stored = candles(1010, 3), {BTC: candles(1010, 3)[:2]}
    features = live(stored, pairs=(BTC,))
    *_, late, later = stream(BTC, H1, table[:1000])
    assert features.add([late], late.known_at) == []
    stored[BTC] = table[:999]
    assert features.due(late.known_at) == []
    features.start(late.known_at + READ_AGAIN / 2)
    assert features.warming_up
    features.start(late.known_at + READ_AGAIN)
    [row] = features.due(late.known_at + READ_AGAIN)
    assert (row.close_time, row.values) == (late.close_time, live_row(table[:999], H1))
    assert features.warming_up == []
    [row] = features.add([later], late.known_at + READ_AGAIN)
    assert row.values == live_row(table[:1000], H1)


def test_candles_of_other_pairs_timeframes_and_venues_are_passed_over() -> None:
    table = candles(1010, 3)
    features = live({BTC: table[:1005]}, pairs=(BTC,))
    row = table.row(1005, named=True)
    others = closed(XRP, H1, row), closed(BTC, Timeframe.M5, row), closed(BTC, H1, row, origin="elsewhere")
    assert features.add(others, row["close_time"]) == []


def test_an_impossible_candle_is_refused_by_its_time_and_the_window_stays_as_it_was() -> None:
    table = candles(1010, 3)
    features = live({BTC: table[:1005]}, pairs=(BTC,))
    row = table.row(1005, named=True)
    with pytest.raises(
        InvalidCandles, match=f"BTC/USDT 1h: the candle of {row['open_time']}".replace("+", r"\+")
    ):
        features.add([closed(BTC, H1, row, low=float("nan"))], row["close_time"])
    [found] = features.add([closed(BTC, H1, row)], row["close_time"])
    assert found.values == live_row(table[:1006], H1)


def test_a_history_that_cannot_be_read_is_read_again_with_the_next_candle() -> None:
    table, attempts = candles(1010, 3), []

    def read(pair: Pair, timeframe: Timeframe, rows: int) -> pl.DataFrame:
        attempts.append(pair)
        if len(attempts) == 1:
            raise ConnectionError
        return table[:1005]

    features = live({}, pairs=(BTC,))
    features._history = lambda: read
    [candle] = stream(BTC, H1, table[1005:1006])
    with pytest.raises(ConnectionError):
        features.add([candle], candle.known_at)
    assert [row.close_time for row in features.add([candle], candle.known_at)] == [candle.close_time]


def test_windows_keep_their_size_however_long_the_stream_runs() -> None:
    table = candles(4000, 3)
    window = LiveWindow(H1, table[:900])
    sizes = set()
    for row, candle in enumerate(stream(BTC, H1, table[900:]), 900):
        window.put(candle)
        sizes.add(window.size)
        if row % 333 == 0:
            prices = window.prices(candle.close_time)
            assert prices is not None
            assert prices.size == min(row + 1, lookback(H1) + 1)
            np.testing.assert_array_equal(
                prices.close / prices.scale, table["close"][: row + 1].tail(prices.size)
            )
    assert max(sizes) == lookback(H1) + 1 + 72
    [old] = stream(BTC, H1, table[100:101])
    assert not window.put(old)
    assert window.prices(old.close_time) is None
