"""Kraken's names for assets and pairs, and what it trades as our Instruments. Its names are known nowhere else."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from trading.errors import InvalidMessage, NotStored
from trading.market import Instrument, Pair, PairStatus
from trading.venues.kraken.account_responses import FeeTier, TradeVolumeResponse
from trading.venues.kraken.market_responses import AssetPair

LOG = logging.getLogger("marketloom.kraken")

_OUR_NAMES = {"XBT": "BTC", "XDG": "DOGE"}  # where Kraken's alternative name is not everybody's
_KRAKEN_NAMES = {ours: theirs for theirs, ours in _OUR_NAMES.items()}
NO_LEVERAGE = Decimal(1)
PERCENT = Decimal(100)


def from_kraken_asset(alternative: str) -> str:
    """Convert Kraken's alternative name (`XBT`, `USD`, `XBT.F`); what stands after a dot (staked, earning) stays."""
    name, dot, kind = alternative.partition(".")
    return _OUR_NAMES.get(name, name) + dot + kind


def to_kraken_asset(asset: str) -> str:
    """Convert our name of an asset."""
    return _KRAKEN_NAMES.get(asset, asset)


class Listings:
    """One response of AssetPairs: what Kraken trades, by our pair."""

    def __init__(self, listed: Mapping[str, AssetPair]) -> None:
        self._keys: dict[Pair, str] = {}
        self._pairs: dict[str, Pair] = {}
        self._listed = listed
        for key, each in listed.items():
            pair = _pair_of(each)
            if pair is None:
                continue
            if pair in self._keys:
                LOG.warning(
                    "Kraken lists %s twice, as %s and %s: the first is used", pair, self._keys[pair], key
                )
                continue
            self._keys[pair] = key
            self._pairs.update(dict.fromkeys((key, each.altname, each.wsname), pair))

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return tuple(self._keys)

    def key(self, pair: Pair) -> str:
        """Return its name in results (XXBTZUSD). NotStored when Kraken does not trade it."""
        if pair not in self._keys:
            raise NotStored(f"Kraken does not trade {pair}: `AssetPairs` does not list it")
        return self._keys[pair]

    def listing(self, pair: Pair) -> AssetPair:
        return self._listed[self.key(pair)]

    def names(self, pair: Pair) -> frozenset[str]:
        """Return every name that Kraken may use for it in a response."""
        each = self.listing(pair)
        return frozenset({self.key(pair), each.altname, each.wsname})

    def named(self, name: str) -> Pair | None:
        """Return the pair that a response calls so; None for one that is not listed any more."""
        return self._pairs.get(name)

    def instrument(self, pair: Pair) -> Instrument:
        """Return its trading rules, with the fees of the first volume tier, the dearest.

        InvalidMessage for rules that no order can meet.
        """
        return _instrument(pair, self.listing(pair))


def with_tier(listings: Listings, pair: Pair, volume: TradeVolumeResponse) -> Instrument:
    """Return the pair's trading rules with the account's own fees. InvalidMessage where the answer lacks them."""
    names = listings.names(pair)
    taker = _own_fee(names, volume.fees)
    if taker is None:
        raise InvalidMessage("Kraken TradeVolume", f"asked for {pair}, the answer has no fee of it")
    maker = _own_fee(names, volume.fees_maker)
    return replace(
        listings.instrument(pair),
        taker_fee=taker / PERCENT,
        maker_fee=(taker if maker is None else maker) / PERCENT,
    )


def _own_fee(names: frozenset[str], fees: Mapping[str, FeeTier] | None) -> Decimal | None:
    found = [each.fee for name, each in (fees or {}).items() if name in names]
    if any(not 0 <= fee < PERCENT for fee in found):
        raise InvalidMessage("Kraken TradeVolume", f"{found[0]} % is no fee")
    return found[0] if found else None


def _pair_of(listed: AssetPair) -> Pair | None:
    """Our pair; None for what has no stream name: Kraken's former dark pools, which cannot be traded."""
    base, _, quote = listed.wsname.partition("/")
    return Pair(from_kraken_asset(base), from_kraken_asset(quote)) if base and quote else None


def _instrument(pair: Pair, listed: AssetPair) -> Instrument:
    for name in ("pair_decimals", "lot_decimals"):
        if not 0 <= getattr(listed, name) <= 18:
            raise InvalidMessage("Kraken AssetPairs", f"{pair}: {name} is {getattr(listed, name)}")
    tick = listed.tick_size if listed.tick_size is not None else _increment(listed.pair_decimals)
    step = _increment(listed.lot_decimals)
    taker = _first_tier(pair, listed.fees)
    amounts = {
        "tick_size": tick, "ordermin": listed.ordermin or step, "costmin": listed.costmin or Decimal(0),
        "fees": taker, "fees_maker": _first_tier(pair, listed.fees_maker or listed.fees),
    }  # fmt: skip
    for name, amount in amounts.items():
        if amount < 0 or (amount == 0 and name in ("tick_size", "ordermin")):
            raise InvalidMessage("Kraken AssetPairs", f"{pair}: {name} is {amount}")
    return Instrument(
        pair=pair,
        price_increment=tick,
        quantity_increment=step,
        minimum_quantity=amounts["ordermin"],
        minimum_cost=amounts["costmin"],
        taker_fee=taker / PERCENT,
        maker_fee=amounts["fees_maker"] / PERCENT,
        status=_status(pair, listed.status),
        maximum_leverage=_maximum_leverage(listed),
    )


def _increment(decimals: int) -> Decimal:
    return Decimal(1).scaleb(-decimals)


def _first_tier(pair: Pair, fees: list[tuple[Decimal, Decimal]]) -> Decimal:
    if not fees:
        raise InvalidMessage("Kraken AssetPairs", f"{pair} has no fees")
    return fees[0][1]


def _status(pair: Pair, status: str) -> PairStatus:
    try:
        return PairStatus(status)
    except ValueError:
        raise InvalidMessage("Kraken AssetPairs", f"{pair} has the unknown status {status[:40]!r}") from None


def _maximum_leverage(listed: AssetPair) -> Decimal:
    """Return the leverage that is offered on both sides."""
    return min(
        max(map(Decimal, side), default=NO_LEVERAGE) for side in (listed.leverage_buy, listed.leverage_sell)
    )
