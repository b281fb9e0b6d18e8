"""Days of one pair for the auditor: candles, orders and fills that a test writes down."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from tests.trading.backtest.backtest_markets import HOUR, rules
from trading.backtest import Bars
from trading.fills import Costs
from trading.market import Pair
from trading.orders import Fill, OrderIntent, Side
from trading.parity import LiveOrder, Origin, PairDay, Row

PAIR = Pair("BTC", "USDT")
MIDNIGHT = datetime(2024, 3, 1, tzinfo=UTC)
COSTS = Costs(taker_fee=0.004, half_spread=0.0005, slippage=0.0005)
Candle = tuple[float, float, float, float]
FLAT: Candle = (100, 100, 100, 100)


def day(candles: Sequence[Candle], **changes: Any) -> PairDay:
    """Hourly candles, the first of which ends with the day before."""
    columns = np.array([FLAT, *candles], dtype=np.float64).T
    start = int((MIDNIGHT - timedelta(hours=1)).timestamp() * 1e6)
    bars = Bars(start + HOUR * np.arange(len(candles) + 1, dtype=np.int64), *columns)
    values: dict[str, Any] = {
        "pair": PAIR, "bars": bars, "rules": rules(costs=COSTS), "equity": 1000.0, "position": None,
        "base_rate": Decimal(str(candles[-1][3])), "quote_rate": Decimal(1),
        "fee_rates": {"USDT": Decimal(1), "BTC": Decimal(str(candles[-1][3]))},
    }  # fmt: skip
    return PairDay(**values | changes)


def rows(count: int, changes: dict[int, Row]) -> list[Row]:
    return [changes.get(number, Row()) for number in range(count)]


def at(hour: float) -> datetime:
    """Hour 0 opens candle 1."""
    return MIDNIGHT + timedelta(hours=hour)


def order(
    side: Side,
    *fills: tuple[float, str, str],
    decided: int | None = None,
    origin: Origin = Origin.DECISION,
    quantity: str = "1",
    fee: str | None = None,
    fee_asset: str = "USDT",
    **changes: Any,
) -> LiveOrder:
    """An order with fills of (hour, quantity, price), each for the taker fee unless said otherwise."""
    name = f"{side}-{decided}-{fills}"
    intent = OrderIntent(
        intent_id=name, decision_id=name, account="a", pair=PAIR, side=side, quantity=Decimal(quantity),
        **{"reduces": False, "stop_loss": None, "take_profit": None, "created_at": at(0), **changes},
    )  # fmt: skip
    made = tuple(
        Fill(
            f"{name}-{number}", name, "a", PAIR, side, price=Decimal(price), quantity=Decimal(amount),
            fee=Decimal(amount) * Decimal(price) * Decimal("0.004") if fee is None else Decimal(fee),
            fee_asset=fee_asset, filled_at=at(hour),
        )
        for number, (hour, amount, price) in enumerate(fills)
    )  # fmt: skip
    return LiveOrder(intent, made, origin, decided, "expired")


def buy(*fills: tuple[float, str, str], decided: int | None = None, **changes: Any) -> LiveOrder:
    return order(Side.BUY, *fills, decided=decided, **changes)


def sell(*fills: tuple[float, str, str], decided: int | None = None, **changes: Any) -> LiveOrder:
    """An exit of a long."""
    return order(Side.SELL, *fills, decided=decided, **{"reduces": True, **changes})
