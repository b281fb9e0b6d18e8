"""A pair that the venue takes off its list while it is streamed."""

from tests.streaming.faults.faulted_stream import FaultedStream
from tests.streaming.sandbox.simulated_exchange import BTC, CROSS, STARTS, XRP


def test_a_delisted_pair_stops_alone(stream: FaultedStream) -> None:
    stream.play(120)
    stream.wait_until_level()
    until = stream.wait_until_closed()
    stream.exchange.admin("status", {"status": "delisted", "pair": "BTC/USDT"})
    stream.play(300)
    stream.until(lambda: stream.status()["pairs"]["BTC/USDT"]["listed"] == "delisted")
    stream.settle(pairs=(XRP, CROSS))
    stream.compare(STARTS, until, (BTC,))
