"""The hot sink: the newest of each batch, a tier that lost its memory filled again, and nothing from the future."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from streaming.messages import BookMessage, BusMessage, TickerMessage, TradeMessage
from streaming.sinks import IdleSink, Sink
from streaming.sinks.features import feature_message
from streaming.sinks.hot import AHEAD, HotSink
from streaming.sinks.hot_refill import StoredRefill
from tests.contracts.test_hot_tier import at, row
from tests.redis_server import RedisServer
from tests.streaming.sinks.bus_records import publish, records
from trading.errors import InvalidMessage, StoreUnreachable
from trading.market import Pair, Timeframe
from trading.ports import HotTier, Record
from trading.stores.hot_memory import HotMemory
from trading.stores.hot_redis import HotRedis
from trading.stores.postgres.market_features import PostgresMarketFeatures
from trading.stores.postgres.outbox import PostgresEventLog

BTC, XRP = Pair("BTC", "USDT"), Pair("XRP", "USDT")
NOW = at(3600)


def trade(
    second: float, price: float, number: int = 1, pair: Pair = BTC, origin: str = "kraken"
) -> TradeMessage:
    return TradeMessage(
        origin=origin, pair=str(pair), trade_id=number, side="buy", price=price, quantity=1.0, at=at(second),
        known_at=at(second + 0.1),
    )  # fmt: skip


def ticker(second: float, last: float | None, pair: Pair = BTC) -> TickerMessage:
    return TickerMessage(
        origin="kraken", pair=str(pair), bid=1.0, bid_quantity=1.0, ask=2.0, ask_quantity=1.0, last=last, volume=5.0,
        at=at(second), known_at=at(second + 0.1),
    )  # fmt: skip


def book(second: float, bids: list[tuple[float, float]], asks: list[tuple[float, float]]) -> BookMessage:
    return BookMessage(
        origin="kraken", pair="BTC/USDT", bids=bids, asks=asks, at=at(second), changed_at=None,
        known_at=at(second + 0.1),
    )  # fmt: skip


def feature_records(*minutes: int) -> list[Record]:
    encoded = [feature_message(row(minute, value=float(minute))) for minute in minutes]
    return [Record(each.topic, each.key, each.value, 0, number, NOW) for number, each in enumerate(encoded)]


def sink(tier: HotTier, dsn: str) -> HotSink:
    features = PostgresMarketFeatures(dsn, "kraken")
    refill = StoredRefill(PostgresEventLog(dsn), features, "kraken", [BTC, XRP], [Timeframe.M1, Timeframe.H1])
    return HotSink(tier, "kraken", refill)


def price(tier: HotTier, pair: Pair = BTC) -> float | None:
    found = tier.price(pair, NOW)
    return found and found.value.price


def minutes(tier: HotTier) -> list[float | None]:
    return [each.value.values["rsi_14"] for each in tier.features(BTC, Timeframe.M1, NOW)]


@pytest.fixture
def tier() -> HotTier:
    return HotMemory()


def test_a_sink_of_the_hot_tier_follows_what_the_tier_shows(tier: HotTier, dsn: str) -> None:
    made: Sink = sink(tier, dsn)
    assert isinstance(made, IdleSink)
    assert (made.group, made.topics) == ("hot", ("trades", "ticker", "book", "features"))


def test_the_newest_trade_or_ticker_of_each_pair_is_its_price(tier: HotTier, dsn: str) -> None:
    sink(tier, dsn).write(
        records(
            [trade(3, 103.0), trade(2, 102.0), ticker(1, 101.0), ticker(4, 0.5, XRP), trade(3, 0.4, pair=XRP)]
        )
    )
    assert (price(tier), price(tier, XRP)) == (103.0, 0.5)


def test_of_trades_of_one_moment_the_last_one_counts_and_a_late_one_changes_nothing(
    tier: HotTier, dsn: str
) -> None:
    made = sink(tier, dsn)
    made.write(records([trade(3, 103.0, 8), trade(3, 104.0, 9)]))
    made.write(records([trade(3, 103.0, 8), trade(1, 99.0, 2)]))
    assert price(tier) == 104.0


def test_a_ticker_without_a_last_price_is_no_price(tier: HotTier, dsn: str) -> None:
    sink(tier, dsn).write(records([ticker(1, None)]))
    assert price(tier) is None


def test_the_top_of_a_sampled_book_is_kept_with_empty_sides_as_they_are(tier: HotTier, dsn: str) -> None:
    made = sink(tier, dsn)
    made.write(records([book(1, [(99.0, 1.0), (98.0, 2.0)], [(101.0, 3.0)])]))
    found = tier.book_top(BTC, NOW)
    assert found is not None
    assert (found.value.bid, found.value.bid_quantity, found.value.ask) == (99.0, 1.0, 101.0)
    made.write(records([book(2, [], [(101.0, 3.0)])]))
    found = tier.book_top(BTC, NOW)
    assert found is not None
    assert (found.value.bid, found.age) == (None, NOW - at(2))


def test_feature_rows_of_a_batch_all_enter_the_window(tier: HotTier, dsn: str) -> None:
    sink(tier, dsn).write(feature_records(3, 1, 2))
    assert minutes(tier) == [1.0, 2.0, 3.0]


def test_records_of_another_venue_are_passed_over(tier: HotTier, dsn: str) -> None:
    sink(tier, dsn).write(records([trade(3, 103.0, origin="sandbox")]))
    assert price(tier) is None


def test_a_record_of_the_far_future_is_refused_since_nothing_would_ever_be_newer(
    tier: HotTier, dsn: str
) -> None:
    future = trade(3, 103.0)
    wrong = TradeMessage(
        origin="kraken", pair="BTC/USDT", trade_id=1, side=None, price=9.0, quantity=1.0,
        at=future.known_at + AHEAD + timedelta(seconds=1), known_at=future.known_at,
    )  # fmt: skip
    with pytest.raises(InvalidMessage, match=r"BTC/USDT: its time .* lies after"):
        sink(tier, dsn).write(records([wrong]))
    assert price(tier) is None


@pytest.mark.parametrize(("old", "new"), [(b"BTC/USDT", b"BTC"), (b'"price":103.0', b'"price":"x"')])
def test_a_record_that_cannot_be_read_is_refused(tier: HotTier, dsn: str, old: bytes, new: bytes) -> None:
    [good] = records([trade(3, 103.0)])
    assert old in good.value
    with pytest.raises(InvalidMessage):
        sink(tier, dsn).write([Record(good.topic, good.key, good.value.replace(old, new), 0, 1, NOW)])


def remember(dsn: str) -> None:
    """What the stream stored and published before."""
    earlier: list[BusMessage] = [
        trade(3, 103.0),
        trade(2, 0.4, pair=XRP),
        book(4, [(99.0, 1.0)], [(101.0, 1.0)]),
    ]
    publish(dsn, earlier)
    rows = [row(minute, value=float(minute)) for minute in range(1, 5)]
    PostgresMarketFeatures(dsn, "kraken").store(rows, feature_message)


def test_a_new_process_fills_its_tier_with_what_is_stored_before_it_takes_what_comes(
    tier: HotTier, dsn: str
) -> None:
    remember(dsn)
    sink(tier, dsn).write([*records([trade(9, 109.0)]), *feature_records(5)])
    assert (price(tier), price(tier, XRP)) == (109.0, 0.4)
    assert tier.book_top(BTC, NOW) is not None
    assert minutes(tier) == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_tier_is_filled_also_while_nothing_comes_and_only_once(
    tier: HotTier, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(dsn)
    made = sink(tier, dsn)
    made.idle()
    assert price(tier) == 103.0
    monkeypatch.setattr(made, "_refill", None)
    made.idle()
    made.write(records([trade(9, 109.0)]))
    assert price(tier) == 109.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.mark.service
def test_redis_stopped_and_started_fills_again_by_itself(server: RedisServer, dsn: str) -> None:
    remember(dsn)
    tier = HotRedis(server.url, "kraken")
    made = sink(tier, dsn)
    made.write([*records([trade(9, 109.0)]), *feature_records(5)])
    assert (price(tier), minutes(tier)) == (109.0, [1.0, 2.0, 3.0, 4.0, 5.0])
    PostgresMarketFeatures(dsn, "kraken").store([row(5, value=5.0)], feature_message)
    publish(dsn, [trade(9, 109.0)])
    server.stop()
    coming = records([trade(10, 110.0)])
    with pytest.raises(StoreUnreachable):
        made.write(coming)
    with pytest.raises(StoreUnreachable):
        made.idle()
    server.start()
    assert price(tier) is None
    made.idle()
    assert (price(tier), price(tier, XRP)) == (109.0, 0.4)
    assert minutes(tier) == [1.0, 2.0, 3.0, 4.0, 5.0]
    made.write(coming)
    assert price(tier) == 110.0
    tier.close()
