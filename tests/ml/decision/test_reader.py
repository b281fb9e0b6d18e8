"""What a decision is told of the account when several pairs share its money."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from ml.decision.inputs import OldestPrice
from ml.decision.reader import Knowledge
from tests.doubles.stores import MemoryTable
from tests.ml.decision.test_execute import ACCOUNT, COSTS, Desk
from tests.ml.decision.trading_day import INSTRUMENT, PAIR
from trading.errors import NotStored
from trading.market import CANDLE_SCHEMA, Pair, Universe, month_of, months_between, next_month
from trading.orders import Fill, Order, OrderIntent, OrderStatus, Side
from trading.risk import AccountState, Halt, HaltKind

CROSS = Pair("ETH", "BTC")  # sells or pays with the same BTC


def shared(desk: Desk, lag: int = 0) -> Knowledge:
    """A second pair on the same prices whose newest `lag` candles are missing."""
    known = desk.tape.head(desk.tape.height - 1)
    candles = MemoryTable(CANDLE_SCHEMA)
    for pair, rows in ((PAIR, known), (CROSS, known.head(known.height - lag))):
        for month in months_between(month_of(rows["open_time"][0]), month_of(rows["open_time"][-1])):
            inside = rows["open_time"].dt.truncate("1mo").dt.date() == month
            candles.write(pair, month, rows.filter(inside))
    universe = Universe((PAIR, CROSS), "USDT", desk.knowledge.universe.timeframe, "test")
    instruments = {PAIR: INSTRUMENT, CROSS: replace(INSTRUMENT, pair=CROSS)}
    return replace(
        desk.knowledge,
        universe=universe,
        candles=candles,
        instruments=instruments,
        costs={PAIR: COSTS, CROSS: COSTS},
    )


def buy(desk: Desk, pair: Pair, side: Side, quantity: str, price: str) -> None:
    at = desk.newest
    name = f"{pair.key}-{side}"
    intent = OrderIntent(name, name, ACCOUNT.name, pair, side, Decimal(quantity), False, None, None, at)
    receipt = {
        "decision_id": name, "account": ACCOUNT.name, "pair": str(pair), "decided_at": at.isoformat(),
        "action": "LONG", "confidence": 1.0, "opinions": [],
    }  # fmt: skip
    desk.journal.record_decision(receipt, intent)
    fill = Fill(
        name, name, ACCOUNT.name, pair, side, Decimal(price), Decimal(quantity), Decimal(0), pair.quote, at
    )
    desk.journal.record_order(Order(name, OrderStatus.FILLED, "", at), [fill])


def wait(desk: Desk, pair: Pair, side: Side, quantity: str, reduces: bool = False) -> None:
    """An order that no venue has answered."""
    name = f"waiting-{pair.key}-{side}"
    intent = OrderIntent(
        name, name, ACCOUNT.name, pair, side, Decimal(quantity), reduces, None, None, desk.newest
    )
    receipt = {
        "decision_id": name, "account": ACCOUNT.name, "pair": str(pair), "decided_at": desk.newest.isoformat(),
        "action": "LONG", "confidence": 1.0, "opinions": [],
    }  # fmt: skip
    desk.journal.record_decision(receipt, intent)


def state(knowledge: Knowledge, pair: Pair, desk: Desk) -> AccountState:
    return knowledge.state(pair, knowledge.commitments(desk.newest), desk.newest)


def opened(tmp_path: Path) -> tuple[Desk, Knowledge]:
    desk = Desk(tmp_path)
    knowledge = shared(desk)
    knowledge.ensure_account(desk.newest)
    return desk, knowledge


def test_a_pair_that_lags_behind_is_late_and_does_not_turn_the_clock_back(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    knowledge = shared(desk, lag=2)
    assert knowledge.now() == desk.newest
    assert knowledge.closed_by(CROSS, knowledge.now()) == desk.newest - timedelta(hours=2)


def test_what_another_pairs_position_needs_to_close_is_not_free(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    knowledge = shared(desk)
    knowledge.ensure_account(desk.newest)
    before = state(knowledge, CROSS, desk)
    buy(desk, PAIR, Side.BUY, "0.005", "60000")
    after = state(knowledge, CROSS, desk)
    bitcoin_before, bitcoin_after = float(before.available_quote), float(after.available_quote)
    assert bitcoin_after == pytest.approx(
        bitcoin_before
    )  # 0.005 BTC more, all of it promised to its own stop


def test_the_quote_balance_is_counted_with_room_for_the_price_that_an_order_pays(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    knowledge = shared(desk)
    knowledge.ensure_account(desk.newest)
    available = state(knowledge, PAIR, desk).available_quote
    assert float(available) * (1 + COSTS.half_spread + COSTS.slippage) < 1000


def test_an_order_that_waits_counts_as_a_position_and_its_money_as_spent(tmp_path: Path) -> None:
    desk, knowledge = opened(tmp_path)
    before = state(knowledge, PAIR, desk)
    wait(desk, PAIR, Side.BUY, "0.005")
    after = state(knowledge, PAIR, desk)
    price = float(knowledge.prices(desk.newest)[PAIR])
    assert after.position_value == after.exposure_value == after.base_exposure == pytest.approx(0.005 * price)
    assert float(before.available_quote) - float(after.available_quote) > 0.005 * price
    assert state(knowledge, CROSS, desk).quote_exposure == pytest.approx(0.005 * price)


def test_a_close_that_waits_opens_nothing_and_keeps_its_inventory(tmp_path: Path) -> None:
    desk, knowledge = opened(tmp_path)
    before = state(knowledge, PAIR, desk)
    wait(desk, PAIR, Side.SELL, "0.004", reduces=True)
    after = state(knowledge, PAIR, desk)
    assert after.exposure_value == 0
    assert Decimal(before.available_base) - Decimal(after.available_base) == Decimal("0.004")


def test_orders_are_counted_for_a_minute(tmp_path: Path) -> None:
    desk, knowledge = opened(tmp_path)
    wait(desk, PAIR, Side.BUY, "0.001")
    assert state(knowledge, PAIR, desk).recent_orders == 1
    later = desk.newest + timedelta(minutes=1)
    assert knowledge.state(PAIR, knowledge.commitments(later), later).recent_orders == 0


def test_an_order_without_an_outcome_is_as_old_as_its_decision(tmp_path: Path) -> None:
    desk, knowledge = opened(tmp_path)
    assert knowledge.at(PAIR, desk.newest).waiting == timedelta(0)
    wait(desk, CROSS, Side.BUY, "0.001")
    later = desk.newest + timedelta(hours=1)
    assert knowledge.at(PAIR, later).waiting == timedelta(hours=1)


def test_positions_of_other_pairs_come_with_their_side_and_correlation(tmp_path: Path) -> None:
    desk, knowledge = opened(tmp_path)
    buy(desk, PAIR, Side.BUY, "0.005", "60000")
    [other] = state(knowledge, CROSS, desk).others
    assert (other.pair_key, other.side) == (PAIR.key, Side.BUY)
    assert other.correlation == pytest.approx(1.0)  # both pairs have the same candles here
    assert state(knowledge, PAIR, desk).others == ()


def test_a_correlation_over_too_few_common_candles_is_not_known(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert shared(desk, lag=60).correlation(PAIR, CROSS, desk.newest) is None
    assert shared(desk, lag=20).correlation(PAIR, CROSS, desk.newest) == pytest.approx(1.0)


def test_the_peak_is_the_one_that_the_journal_keeps(tmp_path: Path) -> None:
    desk, knowledge = opened(tmp_path)
    assert state(knowledge, PAIR, desk).equity_peak == pytest.approx(2100, abs=0.01)
    desk.journal.raise_peak(ACCOUNT.name, Decimal(5000))
    assert state(knowledge, PAIR, desk).equity_peak == 5000


def test_only_halts_that_hold_at_the_time_are_known(tmp_path: Path) -> None:
    desk, knowledge = opened(tmp_path)
    over = Halt(HaltKind.LOSING_STREAK, desk.newest - timedelta(hours=2), desk.newest, "five losses")
    paused = Halt(HaltKind.DRAWDOWN, desk.newest, None, "a tenth")
    desk.journal.begin_halts(ACCOUNT.name, [over, paused])
    assert state(knowledge, PAIR, desk).halts == (paused,)


def test_candles_since_the_opening_reach_back_beyond_the_window_of_the_features(tmp_path: Path) -> None:
    desk, knowledge = opened(tmp_path)
    assert knowledge.at(PAIR, desk.newest).since_opened.is_empty()
    buy(desk, PAIR, Side.BUY, "0.005", "60000")
    later = desk.newest
    known = knowledge.at(PAIR, later)
    assert known.since_opened.is_empty()  # opened at this very moment
    assert known.position is not None
    long_ago = replace(known.position, opened_at=desk.tape["open_time"][0])
    assert knowledge._since(long_ago, later).height == desk.tape.height - 1


def test_the_other_pairs_behind_the_features_come_with_them(tmp_path: Path) -> None:
    desk, knowledge = opened(tmp_path)
    known = knowledge.at(CROSS, desk.newest)
    assert set(known.companions) == {PAIR}
    assert known.features["btc_correlation"] == pytest.approx(1.0)
    lagging = shared(desk, lag=2).at(CROSS, desk.newest)
    assert lagging.oldest_market == desk.newest - timedelta(hours=2)


def test_a_newest_month_without_candles_does_not_hide_the_ones_before(tmp_path: Path) -> None:
    desk, knowledge = opened(tmp_path)
    newest, now = knowledge.newest_close(CROSS), knowledge.now()
    after = next_month(month_of(newest))
    knowledge.candles.write(CROSS, after, desk.tape.clear())
    assert (knowledge.newest_close(CROSS), knowledge.now()) == (newest, now)


def test_a_pair_without_any_candle_does_not_stop_the_clock(tmp_path: Path) -> None:
    desk, knowledge = opened(tmp_path)
    universe = replace(knowledge.universe, pairs=(Pair("XRP", "USDT"), PAIR))
    assert replace(knowledge, universe=universe).now() == desk.newest


def test_without_any_candle_the_clock_names_what_to_materialise(tmp_path: Path) -> None:
    knowledge = replace(shared(Desk(tmp_path)), candles=MemoryTable(CANDLE_SCHEMA))
    with pytest.raises(NotStored, match="ohlcv"):
        knowledge.now()


def test_the_oldest_price_is_that_of_what_the_account_holds(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    knowledge = shared(desk, lag=30)
    knowledge.ensure_account(desk.newest)
    assert knowledge.at(PAIR, desk.newest).oldest_price == OldestPrice(PAIR, desk.newest)  # holds no ETH
    buy(desk, CROSS, Side.BUY, "0.0000001", "60000")
    late = OldestPrice(CROSS, desk.newest - timedelta(hours=30))
    assert knowledge.at(PAIR, desk.newest).oldest_price == late


def test_an_order_that_waits_needs_a_price_as_a_position_does(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    knowledge = shared(desk, lag=30)
    knowledge.ensure_account(desk.newest)
    wait(desk, CROSS, Side.BUY, "0.001")
    assert knowledge.commitments(desk.newest).valued_by(PAIR) == {PAIR, CROSS}


def test_an_account_of_nothing_but_its_quote_needs_no_price(tmp_path: Path) -> None:
    desk, knowledge = opened(tmp_path)
    cash = replace(knowledge.commitments(desk.newest), balances={"USDT": Decimal(5), "BTC": Decimal(0)})
    assert cash.valued_by(PAIR) == set()
    assert cash.valued_by(CROSS) == {PAIR}  # an order in BTC is valued with it


def test_an_open_account_is_not_priced_again(tmp_path: Path) -> None:
    desk, knowledge = opened(tmp_path)
    before = desk.journal.balances(ACCOUNT.name)
    replace(knowledge, candles=MemoryTable(CANDLE_SCHEMA)).ensure_account(desk.newest)
    assert desk.journal.balances(ACCOUNT.name) == before
