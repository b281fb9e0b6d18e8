"""How old a pair's status may be: some seconds, and not at all just before a stop leaves the venue."""

from collections.abc import Sequence

from tests.doubles.clock import Clock
from tests.streaming.sandbox.simulated_exchange import BTC, INSTRUMENTS
from trading.errors import VenueUnreachable
from trading.market import Instrument, Pair
from trading.venues.kraken.current_instruments import MAX_AGE, CurrentInstruments


class Exchange:
    def __init__(self) -> None:
        self.asked: list[list[Pair]] = []
        self.there = True

    def read(self, pairs: Sequence[Pair]) -> dict[Pair, Instrument]:
        self.asked.append(list(pairs))
        if not self.there:
            raise VenueUnreachable("away")
        return {pair: INSTRUMENTS[pair] for pair in pairs}


def test_a_status_is_read_again_after_some_seconds_and_at_once_where_it_is_wanted_anew() -> None:
    exchange, clock = Exchange(), Clock()
    instruments = CurrentInstruments(exchange.read, clock)
    for wait, anew, reads in ((0, False, 1), (1, False, 1), (0, True, 2), (MAX_AGE + 0.1, False, 3)):
        clock.now += wait
        assert instruments.get(BTC, anew=anew) == INSTRUMENTS[BTC]
        assert len(exchange.asked) == reads


def test_who_wants_a_status_anew_gets_the_last_one_where_the_venue_does_not_answer() -> None:
    exchange, clock = Exchange(), Clock()
    instruments = CurrentInstruments(exchange.read, clock)
    instruments.get(BTC)
    exchange.there, clock.now = False, clock.now + 1
    assert instruments.get(BTC, anew=True) == INSTRUMENTS[BTC]
    assert exchange.asked == [[BTC], [BTC]]
