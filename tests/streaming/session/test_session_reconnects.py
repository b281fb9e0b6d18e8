"""What a session reports after a connection ended, and at its own end."""

from streaming.events import (
    Channel,
    Subscription,
    Trade,
    UnknownInterval,
)
from streaming.session.output import Interrupted, Restored
from tests.streaming.session.session_fakes import (
    BTC,
    at,
    connected,
    empty_snapshot,
    ticker,
    trade,
)

ONE_TICKER = Subscription(Channel.TICKER, (BTC,))
TRADES = Subscription(Channel.TRADE, (BTC,))
EXECUTIONS = Subscription(Channel.EXECUTIONS)


def test_the_time_without_a_connection_is_unknown() -> None:
    harness = connected(ONE_TICKER)
    harness.advance(1)
    harness.receive(ticker())
    harness.advance(4)
    harness.drop("cut")
    assert harness.events[1:] == [Interrupted(Channel.TICKER, BTC, at(1), "cut")]
    harness.now = 20
    harness.connect()
    harness.advance(1)
    harness.receive(ticker())
    assert harness.events[2:-1] == [
        UnknownInterval(Channel.TICKER, BTC, at(1), at(21), "cut"),
        Restored(Channel.TICKER, BTC, at(21)),
    ]


def test_connections_that_end_before_any_message_lengthen_one_interval() -> None:
    harness = connected(ONE_TICKER)
    harness.receive(ticker())
    for second in (10, 20, 30):
        harness.drop(f"cut {second}")
        harness.now = float(second)
        harness.connect(confirm=False)
    harness.receive(ticker())
    assert harness.events_of(UnknownInterval) == [
        UnknownInterval(Channel.TICKER, BTC, at(0), at(30), "cut 10")
    ]
    assert len(harness.events_of(Interrupted)) == 1


def test_trades_that_a_new_connection_repeats_close_the_gap() -> None:
    harness = connected(TRADES)
    harness.receive(trade(1), trade(2))
    harness.drop()
    harness.now = 10
    harness.connect()
    harness.receive(trade(1), trade(2), trade(3), trade(4))
    harness.advance(5)
    assert harness.events_of(Trade) == [trade(1), trade(2), trade(3), trade(4)]
    assert harness.events_of(UnknownInterval) == []
    assert len(harness.events_of(Restored)) == 1


def test_trades_that_are_not_repeated_are_unknown() -> None:
    harness = connected(TRADES)
    harness.receive(trade(1))
    harness.drop()
    harness.now = 10
    harness.connect()
    harness.receive(trade(5), trade(6))
    harness.advance(2.25)
    assert harness.events_of(UnknownInterval) == [
        UnknownInterval(Channel.TRADE, BTC, at(1), at(5), "trades 2 to 4 are missing")
    ]
    assert harness.events_of(Trade) == [trade(1), trade(5), trade(6)]


def test_a_gap_at_the_end_of_a_connection_can_be_filled_by_the_next_one() -> None:
    harness = connected(TRADES)
    harness.receive(trade(1))
    harness.receive(trade(3))
    harness.drop()
    harness.now = 60
    harness.connect()
    harness.advance(3)
    harness.receive(trade(4))
    harness.advance(1)
    harness.receive(trade(1), trade(2), trade(3), trade(4))
    assert harness.events_of(Trade) == [trade(1), trade(2), trade(3), trade(4)]
    assert harness.events_of(UnknownInterval) == []


def test_without_ids_an_interruption_of_trades_is_unknown() -> None:
    harness = connected(TRADES)
    harness.receive(trade(None, 0))
    harness.drop("cut")
    harness.now = 10
    harness.connect()
    harness.receive(trade(None, 9))
    assert harness.events_of(UnknownInterval) == [UnknownInterval(Channel.TRADE, BTC, at(0), at(10), "cut")]


def test_our_own_orders_are_unknown_until_the_new_subscription_has_sent_its_snapshot() -> None:
    harness = connected(EXECUTIONS)
    harness.receive(empty_snapshot())
    harness.advance(5)
    harness.drop("cut")
    harness.now = 20
    harness.connect()
    assert harness.events_of(UnknownInterval) == []
    harness.receive(empty_snapshot())
    assert harness.events_of(UnknownInterval) == [
        UnknownInterval(Channel.EXECUTIONS, None, at(0), at(20), "cut")
    ]


def test_open_interruptions_and_waiting_trades_are_reported_at_the_end() -> None:
    harness = connected(ONE_TICKER, TRADES)
    harness.receive(ticker())
    harness.receive(trade(1))
    harness.receive(trade(3))
    harness.drop("cut")
    harness.now = 30
    harness.clear_events()
    harness.stop()
    assert harness.events == [
        UnknownInterval(Channel.TRADE, BTC, at(1), at(3), "trade 2 is missing"),
        trade(3),
        UnknownInterval(Channel.TICKER, BTC, at(0), at(30), "cut"),
        UnknownInterval(Channel.TRADE, BTC, at(0), at(30), "cut"),
    ]


def test_an_interval_does_not_end_before_it_began_when_our_clock_is_set_back() -> None:
    harness = connected(ONE_TICKER)
    harness.now = 100
    harness.receive(ticker())
    harness.drop("cut")
    harness.now = 50
    harness.connect()
    harness.receive(ticker())
    assert harness.events_of(UnknownInterval) == [
        UnknownInterval(Channel.TICKER, BTC, at(100), at(100), "cut")
    ]
