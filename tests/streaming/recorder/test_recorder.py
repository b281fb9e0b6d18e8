"""The recorder: what it publishes of what it hears, and what it says that it did not hear."""

from datetime import timedelta
from decimal import Decimal

import pytest

from streaming import events
from streaming.events import Channel, Ticker
from streaming.recorder.venue_time import VenueTime
from streaming.session.output import Interrupted, Reconnecting, SubscriptionRefused
from tests.streaming.recorder.recorder_setup import BTC, MINUTE, SECOND, START, XRP, Recording, trade
from trading.feed_gaps import MissingKind
from trading.market import Instrument, Pair, PairStatus


def ticker(pair: Pair, bid: float, seconds: float = 0.0) -> Ticker:
    return Ticker(pair, bid, 1.0, bid + 1, 1.0, bid, 50.0, START + timedelta(seconds=seconds))


def live() -> Recording:
    """A recording of BTC that is live since START, with trade 10 at once; nothing was traded on the day before it."""
    made = Recording()
    made.go_live()
    made.recorder.handle(trade(10, START + SECOND))
    made.venue.passes(2)
    made.read_everything()
    made.cut()
    for gap in list(made.gaps.values()):
        made.recorder.backfill(gap, [], None)
    made.cut()
    assert made.gaps == {}
    return made


def test_each_trade_is_published_once() -> None:
    made = live()
    for number in (11, 12, 11):
        made.recorder.handle(trade(number, START + 3 * SECOND))
    assert [each["trade_id"] for each in made.of("trades")] == [10, 11, 12]


def test_a_candle_is_closed_by_the_venues_clock_once_everything_was_read() -> None:
    made = live()
    made.venue.passes(60)  # 12:01:02, and the grace is a second
    assert made.minutes() == []  # time alone proves nothing: its trades may wait in the socket
    made.read_everything()
    assert made.minutes() == [("12:00", 1)]


def test_a_quiet_minute_is_closed_without_a_trade() -> None:
    made = live()
    made.venue.passes(120)
    made.read_everything()
    assert made.minutes() == [("12:00", 1), ("12:01", 0)]


def test_what_waits_in_the_socket_closes_nothing() -> None:
    made = live()
    newest_frame = made.venue.seconds
    made.venue.passes(300)
    made.recorder.progress(made.session, newest_frame)
    made.recorder.advance()
    assert made.minutes() == []


def test_trades_that_wait_for_others_hold_the_clock_of_their_pair_up() -> None:
    made = live()
    made.session.holding.add(BTC)
    made.venue.passes(120)
    made.read_everything()
    assert made.minutes() == []
    made.session.holding.clear()
    made.read_everything()
    assert len(made.minutes()) == 2


@pytest.mark.parametrize("jump", [timedelta(seconds=90), timedelta(seconds=-90)])
def test_a_jump_of_this_machines_clock_closes_nothing(jump: timedelta) -> None:
    made = live()
    made.venue.machine += jump
    made.read_everything()
    assert made.minutes() == []
    made.venue.passes(28)
    made.recorder.handle(trade(11, made.venue.now))
    made.read_everything()
    assert made.minutes() == []
    made.venue.passes(32)
    made.read_everything()
    assert made.minutes() == [("12:00", 2)]
    [candle] = [each for each in made.of("ohlcv-raw") if each["timeframe"] == "1m"]
    assert candle["known_at"].startswith("2026-03-02T12:01:0")


def test_a_message_from_the_future_is_no_clock() -> None:
    made = live()
    made.recorder.handle(ticker(BTC, 100.0, seconds=86_400))
    made.read_everything()
    assert made.minutes() == []


def test_a_trade_from_the_future_proves_nothing_and_its_id_is_a_gap() -> None:
    made = live()
    made.recorder.handle(trade(11, START + 30 * 24 * 60 * MINUTE))
    made.read_everything()
    made.venue.passes(1)
    made.recorder.handle(trade(12, made.venue.now))
    made.cut()
    assert made.minutes() == []
    assert [each["trade_id"] for each in made.of("trades")] == [10, 12]
    assert [(gap.after_id, gap.before_id) for gap in made.gaps.values()] == [(10, 12)]
    assert [each["kind"] for each in made.of("alerts")].count("future_trade") == 1


def test_a_venue_that_tells_no_time_may_be_ahead_of_a_machine_whose_date_is_wrong() -> None:
    clock = VenueTime(None, machine=lambda: START)
    assert not clock.is_future(START + 59 * MINUTE)
    assert clock.is_future(START + 63 * MINUTE)


def test_after_an_interruption_nothing_closes_until_it_is_proven() -> None:
    made = live()
    del made.session.numbers[BTC]
    made.recorder.handle(Interrupted(Channel.TRADE, BTC, START, "the cable was pulled"))
    made.recorder.follow(made.session)
    made.venue.passes(120)
    made.read_everything()
    assert made.minutes() == []
    made.go_live(number=2)
    made.venue.passes(60)
    made.read_everything()
    assert made.minutes() == []  # nobody knows what was traded meanwhile
    assert "the cable was pulled" in {gap.reason for gap in made.gaps.values()}
    made.recorder.handle(trade(11, made.venue.now))  # it follows trade 10: nothing was
    made.read_everything()
    assert made.minutes() == [("12:00", 1), ("12:01", 0), ("12:02", 0)]


def test_a_subscription_that_is_a_new_one_is_an_interruption_though_nobody_said_so() -> None:
    made = live()
    made.session.numbers[BTC] = 2
    new = made.recorder.follow(made.session)
    assert new == [(BTC, 2)]
    assert not made.recorder.is_live(BTC)


def test_a_subscription_that_ended_while_the_venue_was_asked_for_its_time_is_not_taken_for_live() -> None:
    made = Recording()
    made.session.numbers[BTC] = 1
    assert made.recorder.follow(made.session) == [(BTC, 1)]
    made.session.numbers[BTC] = 2
    made.recorder.restore(made.session, BTC, 1, START)
    assert not made.recorder.is_live(BTC)
    assert made.recorder.follow(made.session) == [(BTC, 2)]


def test_a_new_subscription_is_named_however_much_was_read_before() -> None:
    made = Recording()
    made.session.numbers[BTC] = 1
    made.read_everything()
    assert made.recorder.follow(made.session) == [(BTC, 1)]


def test_missing_trades_are_a_gap_and_an_alert() -> None:
    made = live()
    made.recorder.handle(trade(14, START + 3 * SECOND))
    made.cut()
    gap = next(gap for gap in made.gaps.values() if gap.after_id == 10)
    assert (gap.before_id, gap.kind) == (14, MissingKind.FEED_GAP)
    assert [each["kind"] for each in made.of("alerts")] == ["gap"]
    assert (
        b'gaps_opened_total{pair="BTC/USDT"} 2.0' in made.metrics.exposition()
    )  # the first is that of the start


def test_what_the_venues_history_has_of_a_gap_closes_its_candles() -> None:
    made = live()
    made.recorder.handle(trade(13, START + 3 * SECOND))
    made.venue.passes(60)
    made.read_everything()
    assert made.minutes() == []
    gap = next(gap for gap in made.gaps.values() if gap.after_id == 10)
    missed = [trade(number, START + 2 * SECOND) for number in (11, 12)]
    made.recorder.backfill(gap, missed, None)
    assert made.minutes() == [("12:00", 4)]
    assert [each["trade_id"] for each in made.of("trades") if each["backfilled"]] == [11, 12]
    assert gap.after_id not in {each.after_id for each in made.gaps.values()}


def test_a_restart_goes_on_in_mid_candle_and_what_lies_between_is_a_gap() -> None:
    made = live()
    made.cut()
    venue = made.venue
    venue.passes(10)
    again = Recording(made.checkpoints, venue)
    again.recorder.begin()
    again.go_live()
    again.cut()
    assert any(gap.reason == "the stream was not running" for gap in again.gaps.values())
    again.recorder.handle(trade(10, START + SECOND))  # the venue repeats its newest trades
    again.recorder.handle(trade(11, venue.now))
    venue.passes(60)
    again.read_everything()
    assert again.minutes() == [("12:00", 2)]
    assert [each["trade_id"] for each in again.of("trades")] == [11]


def test_of_tickers_only_what_is_new_is_published() -> None:
    made = Recording()
    for seconds, bid in enumerate((100.0, 100.0, 101.0, 101.0, 100.0)):
        made.recorder.handle(ticker(BTC, bid, seconds))
    assert [each["bid"] for each in made.of("ticker")] == [100.0, 101.0, 100.0]


def test_while_the_venue_is_closed_its_time_is_maintenance_and_not_a_fault_of_ours() -> None:
    made = live()
    made.recorder.handle(events.VenueStatus("maintenance", ""))
    assert not made.recorder.is_live(BTC)
    assert made.recorder.follow(made.session) == []
    made.venue.passes(120)
    made.recorder.handle(events.VenueStatus("online", ""))
    made.go_live()
    made.cut()
    assert MissingKind.MAINTENANCE in {gap.kind for gap in made.gaps.values()}
    assert made.recorder.is_live(BTC)


def test_a_pair_that_the_venue_refuses_does_not_stop_the_others() -> None:
    made = live()
    made.recorder.handle(SubscriptionRefused(Channel.TRADE, XRP, "Currency pair not supported XRP/USDT"))
    made.venue.passes(60)
    made.read_everything()
    assert made.minutes(BTC) == [("12:00", 1)]
    [alert] = [each for each in made.of("alerts") if each["kind"] == "refused"]
    assert (alert["kind"], alert["severity"], alert["pair"]) == ("refused", "error", "XRP/USDT")
    facts = made.recorder.views.facts(XRP)
    assert facts["refused"] == {"trade": "Currency pair not supported XRP/USDT"}


def test_an_alert_that_comes_again_and_again_is_published_once_a_minute_with_its_count() -> None:
    made = Recording()
    for _ in range(5):
        made.recorder.handle(Reconnecting("no route", 1.0))
        made.venue.passes(1)
    made.venue.passes(60)
    made.recorder.handle(Reconnecting("no route", 1.0))
    first, second = made.of("alerts")
    assert "more" not in first["text"]
    assert "and 4 more" in second["text"]
    assert b"reconnects_total 6.0" in made.metrics.exposition()


def test_a_wrong_checksum_is_counted_and_said() -> None:
    made = Recording()
    made.recorder.handle(
        Interrupted(Channel.BOOK, BTC, START, "the checksum is 5, the venue says 7 after this change")
    )
    assert [each["kind"] for each in made.of("alerts")] == ["checksum"]
    assert b'checksum_failures_total{pair="BTC/USDT"} 1.0' in made.metrics.exposition()


def test_a_restatement_keeps_both_values() -> None:
    made = live()
    made.venue.passes(60)
    made.read_everything()
    made.recorder.handle(trade(12, START + 61 * SECOND))
    made.cut()
    gap = next(gap for gap in made.gaps.values() if gap.after_id == 10)
    made.recorder.backfill(gap, [trade(11, START + MINUTE - SECOND, price=90.0)], None)
    revisions = [
        each
        for each in made.of("ohlcv-raw")
        if each["timeframe"] == "1m" and each["open_time"][11:16] == "12:00"
    ]
    assert [(each["low"], each["trades"]) for each in revisions] == [(100.0, 1), (90.0, 2)]
    assert revisions[1]["replaces"]["low"] == 100.0
    assert revisions[1]["known_at"] > revisions[0]["known_at"]
    assert "restatement" in {each["kind"] for each in made.of("alerts")}


def listing(status: PairStatus) -> events.InstrumentListing:
    terms = Instrument(
        BTC, Decimal("0.1"), Decimal("1e-8"), Decimal("1e-4"), Decimal(5), Decimal(0), Decimal(0), status
    )
    return events.InstrumentListing(terms, 1, 8)


def test_a_pair_that_the_venue_lists_otherwise_than_before_is_an_alert() -> None:
    made = live()
    for status in (PairStatus.ONLINE, PairStatus.ONLINE, PairStatus.DELISTED):
        made.recorder.handle(listing(status))
    [alert] = [each for each in made.of("alerts") if each["kind"] == "listing"]
    assert alert["text"] == "kraken lists BTC/USDT as delisted, online before"
    assert alert["pair"] == "BTC/USDT"
