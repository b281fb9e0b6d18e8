"""Private methods about money: balances, margin, positions, fees (docs.kraken.com, Account Data)."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

from streaming.sandbox.formatting import format_fixed
from streaming.sandbox.keys import Permission
from streaming.sandbox.model import ExchangeFill, Refused
from streaming.sandbox.rest import statements
from streaming.sandbox.rest.api import RestApi
from streaming.sandbox.rest.envelope import PrivateMethod
from streaming.sandbox.rest.names import asset_name, pair_key
from streaming.sandbox.rest.parameters import Parameters
from streaming.sandbox.rest.statements import OpenPosition
from trading.errors import NotStored
from trading.margin.terms import MarginPosition
from trading.portfolio.rates import rate

VOLUME_PERIOD = timedelta(days=30)
INSTANT = timedelta(microseconds=1)
BULK = 1000
MAX_POSITIONS = 20


async def balance(api: RestApi, name: str, _: Parameters) -> dict[str, Any]:
    return statements.balances(api.exchange.balances(name))


async def extended_balance(api: RestApi, name: str, _: Parameters) -> dict[str, Any]:
    return statements.extended_balances(api.exchange.balances(name), api.exchange.reserved(name))


async def trade_balance(api: RestApi, name: str, given: Parameters) -> dict[str, Any]:
    asset = api.names.asset(given.text("asset", asset_name(api.quote).key))
    return statements.trade_balance(api.exchange.trade_balance(name, asset), asset)


async def trade_volume(api: RestApi, name: str, given: Parameters) -> dict[str, Any]:
    """Return fees of the pairs that are asked for, and the volume of 30 days of market time."""
    pairs = api.names.pairs(given.text("pair")) if "pair" in given else ()
    answer: dict[str, Any] = {
        "currency": asset_name(api.quote).key,
        "volume": format_fixed(_volume(api, name), statements.RATE_DECIMALS),
    }
    if pairs:
        rules = {pair_key(pair): api.instrument(pair) for pair in pairs}
        answer["fees"] = {key: statements.fee_tier(it.taker_fee) for key, it in rules.items()}
        answer["fees_maker"] = {key: statements.fee_tier(it.maker_fee) for key, it in rules.items()}
    return answer


async def open_positions(api: RestApi, name: str, given: Parameters) -> Any:
    ids = given.id_list("txid", MAX_POSITIONS)
    with_profit = given.flag("docalcs")
    together = given.one_of("consolidation", ("", "market"), "") == "market"
    known = [it for it in _positions(api, name) if not ids or it.position_id in ids]
    if together:
        ordered = sorted(known, key=_market)
        return [
            statements.market_position(list(group), with_profit) for _, group in groupby(ordered, _market)
        ]
    return {it.position_id: statements.position_info(it, api.terms, with_profit) for it in known}


FUNDS = (Permission.QUERY_FUNDS,)
CALLS: Mapping[str, PrivateMethod] = {
    "Balance": PrivateMethod(balance, FUNDS),
    "BalanceEx": PrivateMethod(extended_balance, FUNDS),
    "TradeBalance": PrivateMethod(trade_balance, FUNDS),
    "TradeVolume": PrivateMethod(trade_volume, FUNDS),
    "OpenPositions": PrivateMethod(open_positions, (Permission.QUERY_OPEN,)),
}


def _market(known: OpenPosition) -> tuple[str, bool]:
    return pair_key(known.position.pair), known.position.quantity > 0


def _positions(api: RestApi, name: str) -> list[OpenPosition]:
    taken: set[str] = set()
    return [
        _position(api, position, _opening_fill(api, name, position, taken), number)
        for number, position in enumerate(api.exchange.positions(name))
    ]


def _position(api: RestApi, position: MarginPosition, fill: ExchangeFill | None, number: int) -> OpenPosition:
    """Return the open position, named by the fill that opened it."""
    instrument = api.instrument(position.pair)
    return OpenPosition(
        position_id=fill.execution_id if fill else f"T00000-00000-{number:06d}",
        position=position,
        instrument=instrument,
        price=api.exchange.tape(position.pair).last_price or position.entry_price,
        opened_by=fill,
        rolls_over_at=position.opened_at + api.terms.rollover_every * (position.rolled + 1),
    )


def _opening_fill(api: RestApi, name: str, position: MarginPosition, taken: set[str]) -> ExchangeFill | None:
    """Return the first fill at that instant that is not another position's."""
    fills, _ = api.exchange.fills(name, position.opened_at - INSTANT, position.opened_at, 0, BULK)
    for fill in reversed(fills):
        same = fill.pair == position.pair and fill.margin > 0 and fill.price == position.entry_price
        if same and fill.at == position.opened_at and fill.execution_id not in taken:
            taken.add(fill.execution_id)
            return fill
    return None


def _volume(api: RestApi, name: str) -> Decimal:
    traded = api.exchange.fill_costs(name, api.exchange.market_now() - VOLUME_PERIOD)
    prices = {pair: price for pair in api.exchange.listings if (price := api.exchange.tape(pair).last_price)}
    try:
        return sum((cost * rate(pair.quote, api.quote, prices) for pair, cost in traded.items()), Decimal(0))
    except NotStored:
        raise Refused("EService:Unavailable") from None  # a market without a price: nothing can be counted
