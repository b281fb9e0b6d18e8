"""What a decision is told of the account when several pairs share its money."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from ml.knowledge import Knowledge
from tests.ml.test_executor import ACCOUNT, COSTS, Desk
from tests.ml.trading_day import INSTRUMENT, PAIR
from trading.market import CANDLE_SCHEMA, Pair, Universe, month_of, months_between
from trading.orders import Fill, Order, OrderIntent, OrderStatus, Side
from trading.stores.memory import MemoryTable

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


def test_a_pair_that_lags_behind_is_late_and_does_not_turn_the_clock_back(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    knowledge = shared(desk, lag=2)
    assert knowledge.now() == desk.newest
    assert knowledge.closed_by(CROSS, knowledge.now()) == desk.newest - timedelta(hours=2)


def test_what_another_pairs_position_needs_to_close_is_not_free(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    knowledge = shared(desk)
    knowledge.ensure_account(desk.newest)
    prices = knowledge.prices(desk.newest)
    before = knowledge.state(CROSS, None, prices, desk.newest)
    buy(desk, PAIR, Side.BUY, "0.005", "60000")
    after = knowledge.state(CROSS, None, prices, desk.newest)
    bitcoin_before, bitcoin_after = float(before.available_quote), float(after.available_quote)
    assert bitcoin_after == pytest.approx(
        bitcoin_before
    )  # 0.005 BTC more, all of it promised to its own stop


def test_the_quote_balance_is_counted_with_room_for_the_price_that_an_order_pays(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    knowledge = shared(desk)
    knowledge.ensure_account(desk.newest)
    state = knowledge.state(PAIR, None, knowledge.prices(desk.newest), desk.newest)
    assert float(state.available_quote) * (1 + COSTS.half_spread + COSTS.slippage) < 1000
