"""Our market as Kraken's JSON. Recorded answers are the measure: tests compare field by field."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from streaming.sandbox.formatting import (
    cost_decimals,
    format_book_quantity,
    format_fixed,
    format_short,
    format_whole_lots,
    price_decimals,
    quantity_decimals,
)
from streaming.sandbox.model import Bar, BookLevel, BookView, DaySummary, Listing, Print, Refused, Spread
from streaming.sandbox.rest.names import altname, asset_name, pair_key, wsname
from trading.margin.terms import MarginTerms
from trading.market import Instrument, PairStatus
from trading.orders import Side

POSITION_LIMIT = 10**9  # base currency: the sandbox lends as much as the collateral carries
FEE_VOLUME_CURRENCY = "ZUSD"
PERCENT = Decimal(100)


def asset_json(name: str) -> dict[str, Any]:
    known = asset_name(name)
    return {
        "aclass": "currency",
        "altname": known.altname,
        "decimals": known.decimals,
        "display_decimals": known.display_decimals,
        "collateral_value": 1,
        "status": "enabled",
    }


def asset_pair_json(listing: Listing, status: PairStatus, terms: MarginTerms) -> dict[str, Any]:
    instrument = listing.instrument
    limits = (
        {"long_position_limit": POSITION_LIMIT, "short_position_limit": POSITION_LIMIT}
        if _leverages(instrument)
        else {}
    )
    return {
        "altname": altname(instrument.pair),
        "wsname": wsname(instrument.pair),
        "aclass_base": "currency",
        "base": asset_name(instrument.pair.base).key,
        "aclass_quote": "currency",
        "quote": asset_name(instrument.pair.quote).key,
        "lot": "unit",
        "cost_decimals": cost_decimals(instrument),
        "pair_decimals": price_decimals(instrument),
        "lot_decimals": quantity_decimals(instrument),
        "lot_multiplier": 1,
        **leverage_json(listing),
        **fees_json(listing),
        **margin_json(terms),
        "ordermin": format_short(instrument.minimum_quantity),
        "costmin": format_short(instrument.minimum_cost),
        "tick_size": format_short(instrument.price_increment),
        "status": status.value,
        **limits,
    }


def leverage_json(listing: Listing) -> dict[str, Any]:
    leverages = _leverages(listing.instrument)
    return {"leverage_buy": leverages, "leverage_sell": leverages}


def fees_json(listing: Listing) -> dict[str, Any]:
    """Return one step of each fee: the sandbox charges the same whatever the volume."""
    instrument = listing.instrument
    return {
        "fees": [[0, float(instrument.taker_fee * PERCENT)]],
        "fees_maker": [[0, float(instrument.maker_fee * PERCENT)]],
        "fee_volume_currency": FEE_VOLUME_CURRENCY,
    }


def margin_json(terms: MarginTerms) -> dict[str, Any]:
    return {
        "margin_call": int(terms.call_level * PERCENT),
        "margin_stop": int(terms.liquidation_level * PERCENT),
    }


def ticker_json(instrument: Instrument, summary: DaySummary) -> dict[str, Any]:
    """Raise Refused while nothing was ever traded: no price is not a price of zero."""
    if summary.last is None or summary.bid is None or summary.ask is None:
        raise Refused("EService:Unavailable")
    price, lot = cost_decimals(instrument), quantity_decimals(instrument)

    def prices(*values: Decimal) -> list[str]:
        return [format_fixed(value, price) for value in values]

    def lots(*values: Decimal) -> list[str]:
        return [format_fixed(value, lot) for value in values]

    return {
        "a": [*prices(summary.ask.price), *format_whole_lots(summary.ask.quantity)],
        "b": [*prices(summary.bid.price), *format_whole_lots(summary.bid.quantity)],
        "c": [*prices(summary.last), *lots(summary.last_quantity)],
        "v": lots(summary.volume_today, summary.volume),
        "p": prices(summary.vwap_today, summary.vwap),
        "t": [summary.trades_today, summary.trades],
        "l": prices(summary.low_today, summary.low),
        "h": prices(summary.high_today, summary.high),
        "o": format_fixed(summary.open_today, price),
    }


def candle_json(instrument: Instrument, bar: Bar) -> list[Any]:
    price = price_decimals(instrument)
    return [
        int(bar.open_time.timestamp()),
        *(format_fixed(value, price) for value in (bar.open, bar.high, bar.low, bar.close, bar.vwap)),
        format_fixed(bar.volume, quantity_decimals(instrument)),
        bar.trades,
    ]


def trade_json(instrument: Instrument, print_: Print) -> list[Any]:
    return [
        format_fixed(print_.price, cost_decimals(instrument)),
        format_fixed(print_.quantity, quantity_decimals(instrument)),
        print_.at.timestamp(),
        "b" if print_.side is Side.BUY else "s",
        "l" if print_.order_type == "limit" else "m",
        "",
        print_.trade_id,
    ]


def trades_json(instrument: Instrument, prints: Sequence[Print], last: int) -> dict[str, Any]:
    """Return trades; `last`: nanoseconds since 1970, the `since` of the next request."""
    return {
        pair_key(instrument.pair): [trade_json(instrument, print_) for print_ in prints],
        "last": str(last),
    }


def depth_json(instrument: Instrument, book: BookView) -> dict[str, Any]:
    def levels(side: Sequence[BookLevel]) -> list[list[Any]]:
        price = cost_decimals(instrument)
        return [
            [format_fixed(it.price, price), format_book_quantity(it.quantity), int(it.at.timestamp())]
            for it in side
        ]

    return {pair_key(instrument.pair): {"asks": levels(book.asks), "bids": levels(book.bids)}}


def grouped_json(instrument: Instrument, book: BookView, depth: int, grouping: int) -> dict[str, Any]:
    """Add up the levels within so many increments, at the price that is further from the other side."""
    width = instrument.price_increment * grouping

    def levels(side: Sequence[BookLevel], up: bool) -> list[dict[str, str]]:
        totals: dict[Decimal, Decimal] = {}
        for it in side:
            whole, rest = divmod(it.price, width)
            price = (whole + (1 if rest and up else 0)) * width
            totals[price] = totals.get(price, Decimal(0)) + it.quantity
        return [
            {
                "price": format_fixed(price, cost_decimals(instrument)),
                "qty": format_fixed(quantity, quantity_decimals(instrument)),
            }
            for price, quantity in list(totals.items())[:depth]
        ]

    return {
        "pair": str(instrument.pair),
        "grouping": grouping,
        "bids": levels(book.bids, False),
        "asks": levels(book.asks, True),
    }


def spread_json(instrument: Instrument, spread: Spread) -> list[Any]:
    prices = (format_fixed(price, cost_decimals(instrument)) for price in (spread.bid, spread.ask))
    return [int(spread.at.timestamp()), *prices]


def _leverages(instrument: Instrument) -> list[int]:
    return list(range(2, int(instrument.maximum_leverage) + 1))
