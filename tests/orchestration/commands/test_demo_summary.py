"""What became of an order: its position may be closed by a decision's exit or by its stop."""

import datetime as dt
from decimal import Decimal

from orchestration.commands.demo_summary import closing_fills
from trading.market import Pair
from trading.orders import Fill, Side

NOON = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
BTC, XRP = Pair("BTC", "USDT"), Pair("XRP", "USDT")


def fill(intent: str, hour: int, side: Side, quantity: str, pair: Pair = BTC) -> Fill:
    at = NOON + dt.timedelta(hours=hour)
    return Fill(
        f"{intent}-{hour}", intent, "a", pair, side, Decimal(1), Decimal(quantity), Decimal(0), "USDT", at
    )


def test_the_fill_that_empties_a_position_closes_the_order_that_opened_it() -> None:
    fills = [
        fill("entry", 0, Side.BUY, "1"),
        fill("entry", 1, Side.BUY, "1"),
        fill("short", 1, Side.SELL, "5", XRP),
        fill("stop", 2, Side.SELL, "1"),
        fill("exit", 3, Side.SELL, "1"),
        fill("next", 4, Side.BUY, "1"),
    ]
    assert {name: each.intent_id for name, each in closing_fills(fills).items()} == {"entry": "exit"}


def test_what_is_partly_closed_is_open() -> None:
    fills = [fill("entry", 0, Side.BUY, "2"), fill("stop", 1, Side.SELL, "1")]
    assert closing_fills(fills) == {}
