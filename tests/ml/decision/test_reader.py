"""What a decision reads of the market and of an account whose pairs share its money."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ml.decision.clock import ClockReading
from ml.decision.inputs import DecisionInputs, OldestPrice
from ml.decision.reader import InputReader
from tests.doubles.event_log import MemoryEventLog
from tests.doubles.stores import MemoryMarketData, MemoryTable
from tests.ml.decision.decision_world import (
    ACCOUNT,
    COSTS,
    DecisionWorld,
    record_fill,
    record_intent,
    with_market,
    with_pairs,
    write_by_month,
)
from tests.ml.decision.trading_day import PAIR
from trading.closed_candles import Basis, ClosedCandle
from trading.errors import NotStored
from trading.market import CANDLE_SCHEMA, Pair, Timeframe, month_of, next_month
from trading.orders import Side
from trading.risk import AccountState, Halt, HaltKind
from trading.stores.live_candles import LiveCandles

HOUR = timedelta(hours=1)
CROSS = Pair("ETH", "BTC")  # sells or pays with the same BTC


def two_pairs(world: DecisionWorld, lag: int = 0) -> InputReader:
    """Readers over a second pair on the same prices whose newest `lag` candles are missing."""
    closed = world.all_candles.head(world.all_candles.height - 1)
    candles = MemoryTable(CANDLE_SCHEMA)
    write_by_month(candles, PAIR, closed)
    write_by_month(candles, CROSS, closed.head(closed.height - lag))
    return with_pairs(world.reader, PAIR, CROSS, candles=candles)


def buy(world: DecisionWorld, pair: Pair, quantity: str) -> None:
    record_fill(
        world.journal, f"buy-{pair.key}", pair, Side.BUY, quantity=quantity, price="60000", at=world.newest
    )


def leave_unsettled(
    world: DecisionWorld, pair: Pair, side: Side, quantity: str, reduces: bool = False
) -> None:
    """An order that the venue has not answered."""
    record_intent(
        world.journal,
        f"unsettled-{pair.key}",
        pair,
        side,
        quantity=quantity,
        at=world.newest,
        reduces=reduces,
    )


def inputs(reader: InputReader, pair: Pair, at: datetime) -> DecisionInputs:
    return reader.inputs(reader.market_inputs(pair, reader.read_clock(at)))


def state(reader: InputReader, pair: Pair, world: DecisionWorld) -> AccountState:
    return inputs(reader, pair, world.newest).state


@pytest.fixture
def world(tmp_path: Path) -> DecisionWorld:
    return DecisionWorld(tmp_path)


@pytest.fixture
def reader(world: DecisionWorld) -> InputReader:
    """Readers over two pairs and an account that has opened."""
    reader = two_pairs(world)
    reader.account.ensure_open(world.newest)
    return reader


def test_a_pair_that_lags_behind_is_late_and_does_not_turn_the_clock_back(world: DecisionWorld) -> None:
    reader = two_pairs(world, lag=2)
    assert reader.now() == world.newest
    assert reader.market.last_close_time(CROSS, reader.now()) == world.newest - timedelta(hours=2)


def test_what_another_pairs_position_needs_to_close_is_reserved(
    world: DecisionWorld, reader: InputReader
) -> None:
    before = state(reader, CROSS, world)
    buy(world, PAIR, "0.005")
    after = state(reader, CROSS, world)
    bitcoin_before, bitcoin_after = float(before.available_quote), float(after.available_quote)
    assert bitcoin_after == pytest.approx(
        bitcoin_before
    )  # 0.005 BTC more, all of it promised to its own stop


def test_the_quote_balance_is_counted_with_room_for_the_price_that_an_order_pays(
    world: DecisionWorld, reader: InputReader
) -> None:
    available = state(reader, PAIR, world).available_quote
    assert float(available) * (1 + COSTS.half_spread + COSTS.slippage) < 1000


def test_an_unsettled_order_counts_as_a_position_and_its_money_as_spent(
    world: DecisionWorld, reader: InputReader
) -> None:
    before = state(reader, PAIR, world)
    leave_unsettled(world, PAIR, Side.BUY, "0.005")
    after = state(reader, PAIR, world)
    price = float(reader.market.prices(world.newest)[PAIR])
    assert after.position_value == after.exposure_value == after.base_exposure == pytest.approx(0.005 * price)
    assert float(before.available_quote) - float(after.available_quote) > 0.005 * price
    assert state(reader, CROSS, world).quote_exposure == pytest.approx(0.005 * price)


def test_an_unsettled_close_opens_nothing_and_reserves_its_inventory(
    world: DecisionWorld, reader: InputReader
) -> None:
    before = state(reader, PAIR, world)
    leave_unsettled(world, PAIR, Side.SELL, "0.004", reduces=True)
    after = state(reader, PAIR, world)
    assert after.exposure_value == 0
    assert Decimal(before.available_base) - Decimal(after.available_base) == Decimal("0.004")


def test_orders_are_counted_for_a_minute(world: DecisionWorld, reader: InputReader) -> None:
    leave_unsettled(world, PAIR, Side.BUY, "0.001")
    assert state(reader, PAIR, world).recent_orders == 1
    later = world.newest + timedelta(minutes=1)
    assert inputs(reader, PAIR, later).state.recent_orders == 0


def test_an_order_without_an_outcome_is_as_old_as_its_decision(
    world: DecisionWorld, reader: InputReader
) -> None:
    assert inputs(reader, PAIR, world.newest).oldest_unsettled_age == timedelta(0)
    leave_unsettled(world, CROSS, Side.BUY, "0.001")
    later = world.newest + timedelta(hours=1)
    assert inputs(reader, PAIR, later).oldest_unsettled_age == timedelta(hours=1)


def test_an_order_that_another_pair_has_committed_since_the_clock_was_read_is_no_order_from_the_future(
    world: DecisionWorld, reader: InputReader
) -> None:
    leave_unsettled(world, CROSS, Side.BUY, "0.001")
    commitments = reader.account.commitments(reader.account.valuation(world.newest))
    assert commitments.oldest_unsettled_age(world.newest - timedelta(seconds=1)) == timedelta(0)


def test_positions_of_other_pairs_come_with_their_side_and_correlation(
    world: DecisionWorld, reader: InputReader
) -> None:
    buy(world, PAIR, "0.005")
    [other] = state(reader, CROSS, world).others
    assert (other.pair_key, other.side) == (PAIR.key, Side.BUY)
    assert other.correlation == pytest.approx(1.0)  # both pairs have the same candles here
    assert state(reader, PAIR, world).others == ()


def test_a_correlation_over_too_few_common_candles_is_not_known(world: DecisionWorld) -> None:
    assert two_pairs(world, lag=60).market.correlation(PAIR, CROSS, world.newest) is None
    assert two_pairs(world, lag=20).market.correlation(PAIR, CROSS, world.newest) == pytest.approx(1.0)


def test_the_peak_is_the_one_in_the_journal(world: DecisionWorld, reader: InputReader) -> None:
    assert state(reader, PAIR, world).equity_peak == pytest.approx(2100, abs=0.01)
    world.journal.raise_peak(ACCOUNT.name, Decimal(5000))
    assert state(reader, PAIR, world).equity_peak == 5000


def test_only_halts_that_are_active_at_the_time_are_read(world: DecisionWorld, reader: InputReader) -> None:
    over = Halt(HaltKind.LOSING_STREAK, world.newest - timedelta(hours=2), world.newest, "five losses")
    paused = Halt(HaltKind.DRAWDOWN, world.newest, None, "a tenth")
    world.journal.begin_halts(ACCOUNT.name, [over, paused])
    assert state(reader, PAIR, world).halts == (paused,)


def test_the_candles_that_a_positions_levels_were_not_compared_with_begin_with_the_one_of_its_fill(
    world: DecisionWorld, reader: InputReader
) -> None:
    assert reader.market_inputs(PAIR, reader.read_clock(world.newest)).unchecked.is_empty()
    opened = world.newest - timedelta(hours=2, minutes=59)  # within the candle that closes two hours ago
    record_fill(world.journal, "held", PAIR, Side.BUY, quantity="0.005", price="60000", at=opened)
    closes = reader.market_inputs(PAIR, reader.read_clock(world.newest)).unchecked["close_time"].to_list()
    assert closes == [world.newest - timedelta(hours=hours) for hours in (2, 1, 0)]
    held = world.journal.position(ACCOUNT.name, PAIR)
    assert held is not None
    world.journal.update_protection(replace(held, checked_until=world.newest - timedelta(hours=1)))
    assert reader.market_inputs(PAIR, reader.read_clock(world.newest)).unchecked["close_time"].to_list() == [
        world.newest
    ]


def test_the_other_pairs_that_features_compare_with_are_read_with_them(
    world: DecisionWorld, reader: InputReader
) -> None:
    found = inputs(reader, CROSS, world.newest)
    assert set(found.companions) == {PAIR}
    assert found.features["btc_correlation"] == pytest.approx(1.0)
    lagging = inputs(two_pairs(world, lag=2), CROSS, world.newest)
    assert lagging.oldest_market_time == world.newest - timedelta(hours=2)


def test_a_newest_month_without_candles_does_not_hide_the_ones_before(
    world: DecisionWorld, reader: InputReader
) -> None:
    newest, now = reader.market.newest_close_time(CROSS), reader.now()
    after = next_month(month_of(newest))
    reader.market.candles.write(CROSS, after, world.all_candles.clear())
    assert (reader.market.newest_close_time(CROSS), reader.now()) == (newest, now)


def test_a_pair_without_any_candle_does_not_stop_the_clock(world: DecisionWorld, reader: InputReader) -> None:
    universe = replace(reader.market.universe, pairs=(Pair("XRP", "USDT"), PAIR))
    assert with_market(reader, universe=universe).now() == world.newest


def test_without_any_candle_the_clock_names_what_to_materialise(world: DecisionWorld) -> None:
    reader = with_market(two_pairs(world), candles=MemoryTable(CANDLE_SCHEMA))
    with pytest.raises(NotStored, match="ohlcv"):
        reader.now()


def test_the_oldest_price_is_that_of_what_the_account_holds(world: DecisionWorld) -> None:
    reader = two_pairs(world, lag=30)
    reader.account.ensure_open(world.newest)
    assert inputs(reader, PAIR, world.newest).oldest_price == OldestPrice(PAIR, world.newest)  # holds no ETH
    buy(world, CROSS, "0.0000001")
    late = OldestPrice(CROSS, world.newest - timedelta(hours=30))
    assert inputs(reader, PAIR, world.newest).oldest_price == late


def test_an_unsettled_order_needs_a_price_as_a_position_does(world: DecisionWorld) -> None:
    reader = two_pairs(world, lag=30)
    reader.account.ensure_open(world.newest)
    leave_unsettled(world, CROSS, Side.BUY, "0.001")
    valuation = reader.account.valuation(world.newest)
    assert reader.account.commitments(valuation).valuation_pairs(PAIR) == {PAIR, CROSS}


def test_an_account_of_nothing_but_its_quote_needs_no_price(
    world: DecisionWorld, reader: InputReader
) -> None:
    valuation = reader.account.valuation(world.newest)
    cash = replace(reader.account.commitments(valuation), balances={"USDT": Decimal(5), "BTC": Decimal(0)})
    assert cash.valuation_pairs(PAIR) == set()
    assert cash.valuation_pairs(CROSS) == {PAIR}  # an order in BTC is valued with it


def test_an_open_account_is_not_priced_again(world: DecisionWorld, reader: InputReader) -> None:
    before = world.journal.balances(ACCOUNT.name)
    with_market(reader, candles=MemoryTable(CANDLE_SCHEMA)).account.ensure_open(world.newest)
    assert world.journal.balances(ACCOUNT.name) == before


def test_a_candle_that_arrives_while_a_run_works_is_no_sign_of_a_slow_clock(
    world: DecisionWorld, reader: InputReader
) -> None:
    newest = world.newest
    clocks = iter([newest - timedelta(seconds=40), newest + timedelta(seconds=5)])
    reader = replace(reader, clock=lambda: ClockReading(next(clocks), "the test's clock"))
    run = reader.read_clock()
    assert reader.market_inputs(PAIR, run).newest_known_at <= run.at


def test_a_clock_that_is_slow_all_the_time_is_behind_what_is_stored(
    world: DecisionWorld, reader: InputReader
) -> None:
    slow = ClockReading(world.newest - timedelta(hours=5), "the test's clock")
    reader = replace(reader, clock=lambda: slow)
    assert reader.market_inputs(PAIR, slow).newest_known_at == world.newest


def test_a_decision_that_is_replayed_after_a_restatement_sees_what_it_saw(world: DecisionWorld) -> None:
    """Features, price and all else that is computed from candles: the same to the last bit."""
    stream = MemoryMarketData(MemoryEventLog(), "test", "test-1h", Timeframe.H1)
    reader = with_market(world.reader, candles=LiveCandles(world.table, stream, Timeframe.H1))
    world.reader = reader
    first = closed_candle(world.all_candles.row(-1, named=True))
    stream.store([first])
    reader.account.ensure_open(first.known_at)
    decided = inputs(reader, PAIR, first.known_at)
    assert decided.candles["close"][-1] == first.close
    stream.store(
        [replace(first, close=first.close * 1.01, high=first.high * 1.02, known_at=first.known_at + HOUR)]
    )
    replayed = inputs(reader, PAIR, first.known_at)
    assert replayed.candles.equals(decided.candles)
    assert dict(replayed.features) == dict(decided.features)
    assert inputs(reader, PAIR, first.known_at + HOUR).candles["close"][-1] == first.close * 1.01


def test_the_newest_candle_of_the_stream_is_known_when_it_was_published(world: DecisionWorld) -> None:
    stream = MemoryMarketData(MemoryEventLog(), "test", "test-1h", Timeframe.H1)
    reader = with_market(world.reader, candles=LiveCandles(MemoryTable(CANDLE_SCHEMA), stream, Timeframe.H1))
    newest = closed_candle(world.all_candles.row(-1, named=True))
    stream.store([newest])
    assert reader.market.newest_known_at(PAIR) == newest.known_at > newest.close_time


def closed_candle(row: dict[str, Any]) -> ClosedCandle:
    numbers = {name: row[name] for name in ("open_time", "open", "high", "low", "close", "volume")}
    return ClosedCandle(
        origin="test", pair=PAIR, timeframe=Timeframe.H1, trades=7, first_trade_id=1, last_trade_id=7,
        basis=Basis.TRADES, known_at=row["close_time"] + timedelta(seconds=1), **numbers,
    )  # fmt: skip
