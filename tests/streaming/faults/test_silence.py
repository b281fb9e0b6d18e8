"""A quiet market is no silence: its books are sampled. A venue that nobody can hear any more is said."""

from tests.streaming.faults.faulted_stream import PAIRS, FaultedStream, market_going_on
from tests.streaming.sandbox.simulated_exchange import BTC

SAMPLES = 5


def test_a_quiet_book_is_sampled_and_a_venue_that_cuts_every_connection_makes_it_unwell(
    stream: FaultedStream,
) -> None:
    before = len(stream.published("book", BTC))
    with market_going_on(stream, 1.0):
        stream.until(lambda: len(stream.published("book", BTC)) >= before + SAMPLES)
        assert stream.health().status_code == 200
        stream.exchange.arm("disconnect")
        stream.until(lambda: stream.health().status_code == 503)
        assert "no frame of the venue" in stream.health().text
        stream.exchange.disarm()
        stream.until(lambda: stream.health().status_code == 200)
    stream.settle(pairs=PAIRS)
