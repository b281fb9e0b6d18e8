"""The instrument channel: assets and pairs in the form of the recorded snapshot."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from streaming.sandbox.formatting import PairDecimals, cost_decimals, json_fixed, json_unchanged
from streaming.sandbox.model import Listing
from streaming.sandbox.websocket.frames import channel_frame
from trading.market import Pair, PairStatus

CHANNEL = "instrument"
NO_LIMIT = 1_000_000_000  # the sandbox limits positions by margin alone
_NONE = Decimal(0)


@dataclass(frozen=True, slots=True)
class _Asset:
    """An asset as in the recorded snapshot; `rate` is what borrowing costs there, sent but not charged here."""

    precision: int
    display: int
    collateral: str
    rate: str = "0.020000"


_FIAT = _Asset(4, 2, "1.00", "0.025000")
_KNOWN = {
    "USD": _FIAT,
    "EUR": _Asset(4, 2, "1.00"),
    "GBP": _Asset(4, 2, "1.00"),
    "BTC": _Asset(10, 5, "1.00", "0.010000"),
    "ETH": _Asset(10, 5, "1.00"),
    "USDC": _Asset(8, 4, "1.00"),
    "USDT": _Asset(8, 4, "0.90"),
    "XRP": _Asset(8, 5, "0.00"),
}
_OTHER = _Asset(10, 5, "0.00")


def instruments(kind: str, listings: Iterable[Listing], status: Callable[[Pair], PairStatus]) -> bytes:
    """Encode instruments; `kind` snapshot or update; an update has the pairs that are different now."""
    listed = tuple(listings)
    return channel_frame(
        CHANNEL,
        kind,
        {
            "assets": _assets(listed) if kind == "snapshot" else [],
            "pairs": [_pair(listing, status(listing.instrument.pair)) for listing in listed],
        },
    )


def _assets(listings: tuple[Listing, ...]) -> list[dict[str, Any]]:
    borrowable: dict[str, bool] = {}
    for listing in listings:
        pair = listing.instrument.pair
        for asset in (pair.base, pair.quote):
            borrowable[asset] = borrowable.get(asset, False) or _marginable(listing)
    return [_asset(name, lent) for name, lent in borrowable.items()]


def _asset(name: str, borrowable: bool) -> dict[str, Any]:
    known = _KNOWN.get(name, _OTHER)
    asset = {
        "id": name,
        "status": "enabled",
        "precision": known.precision,
        "precision_display": known.display,
        "borrowable": borrowable,
        "collateral_value": json_unchanged(Decimal(known.collateral)),
    }
    return asset | ({"margin_rate": json_unchanged(Decimal(known.rate))} if borrowable else {})


def _pair(listing: Listing, status: PairStatus) -> dict[str, Any]:
    instrument, decimals = listing.instrument, PairDecimals.of(listing)
    pair = instrument.pair
    return {
        "symbol": str(pair),
        "base": pair.base,
        "quote": pair.quote,
        "status": status.value,
        "qty_precision": decimals.quantity,
        "qty_increment": json_unchanged(instrument.quantity_increment),
        "price_precision": decimals.price,
        "cost_precision": cost_decimals(instrument),
        "marginable": _marginable(listing),
        "has_index": True,
        "cost_min": json_unchanged(instrument.minimum_cost),
        **_margin(listing),
        "tick_size": json_unchanged(instrument.price_increment),
        "price_increment": json_unchanged(instrument.price_increment),
        "qty_min": json_fixed(instrument.minimum_quantity, decimals.quantity),
    }


def _margin(listing: Listing) -> dict[str, Any]:
    if not _marginable(listing):
        return {}
    return {
        "margin_initial": json_fixed(1 / listing.instrument.maximum_leverage, 2),
        "position_limit_long": NO_LIMIT,
        "position_limit_short": NO_LIMIT,
    }


def _marginable(listing: Listing) -> bool:
    return listing.instrument.maximum_leverage > 1
