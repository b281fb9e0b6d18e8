"""Instruments of an exchange as whoever decides or sends sees them: its rules and status now, the account's fees."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import cast

import pytest

from orchestration.venues import STATUS_SECONDS, CurrentInstruments
from tests.doubles.clock import Clock
from tests.streaming.sandbox.simulated_exchange import BTC, INSTRUMENTS, XRP
from trading.errors import VenueUnreachable
from trading.market import Instrument, Pair, PairStatus
from trading.venues.kraken import KrakenClient

STORED = {pair: replace(INSTRUMENTS[pair], taker_fee=Decimal("0.0035")) for pair in (BTC, XRP)}


@dataclass
class Exchange:
    listed: dict[Pair, Instrument] = field(default_factory=lambda: dict(INSTRUMENTS))
    reads: int = 0
    there: bool = True

    def current_instruments(self, pairs: Sequence[Pair]) -> dict[Pair, Instrument]:
        self.reads += 1
        if not self.there:
            raise VenueUnreachable("away")
        return {pair: self.listed[pair] for pair in pairs}


def current(exchange: Exchange, clock: Clock) -> CurrentInstruments:
    return CurrentInstruments(STORED, cast(KrakenClient, exchange), clock)


def test_rules_and_status_are_those_of_the_exchange_and_fees_those_of_the_account() -> None:
    exchange = Exchange()
    exchange.listed[BTC] = replace(INSTRUMENTS[BTC], status=PairStatus.REDUCE_ONLY, minimum_cost=Decimal(9))
    assert current(exchange, Clock())[BTC] == replace(exchange.listed[BTC], taker_fee=Decimal("0.0035"))


def test_a_change_of_status_is_seen_within_seconds_and_the_exchange_is_asked_once_for_all_pairs() -> None:
    exchange, clock = Exchange(), Clock()
    instruments = current(exchange, clock)
    assert {instruments[pair].status for pair in instruments} == {PairStatus.ONLINE}
    exchange.listed[BTC] = replace(INSTRUMENTS[BTC], status=PairStatus.CANCEL_ONLY)
    assert exchange.reads == 1
    clock.now += STATUS_SECONDS + 0.1
    assert [instruments[pair].status for pair in (BTC, XRP)] == [PairStatus.CANCEL_ONLY, PairStatus.ONLINE]
    assert exchange.reads == 2


def test_an_exchange_that_cannot_be_asked_has_no_status() -> None:
    exchange, clock = Exchange(), Clock()
    instruments = current(exchange, clock)
    assert instruments[BTC].status is PairStatus.ONLINE
    exchange.there, clock.now = False, clock.now + STATUS_SECONDS + 0.1
    with pytest.raises(VenueUnreachable):
        instruments[BTC]


def test_a_pair_that_the_exchange_does_not_trade_stops_no_other_where_it_is_asked_for_alone() -> None:
    exchange = Exchange()
    del exchange.listed[XRP]
    instruments = CurrentInstruments(STORED, cast(KrakenClient, exchange), Clock(), alone={XRP})
    assert instruments[BTC].status is PairStatus.ONLINE
    with pytest.raises(KeyError):
        instruments[XRP]
