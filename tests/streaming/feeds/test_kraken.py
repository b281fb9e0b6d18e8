"""Kraken's protocol: what is subscribe_parameters, what is answered, and what recordings of the real venue say."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from streaming.events import (
    PRIVATE,
    Acknowledgement,
    Balance,
    BookChange,
    Candle,
    Channel,
    EmptyMessage,
    Event,
    Execution,
    Heartbeat,
    InstrumentListing,
    Subscription,
    Ticker,
    Trade,
    UnreadableMessage,
    VenueStatus,
)
from streaming.feeds import Feed
from streaming.feeds.kraken import PRIVATE_URL, PUBLIC_URL, KrakenFeed
from streaming.order_book import OrderBook
from tests.streaming.kraken_recordings import (
    PUBLISHED_ASKS,
    PUBLISHED_BIDS,
    PUBLISHED_CHECKSUM,
    RECORDINGS,
    book_frame,
    frames,
    levels,
    recorded,
)
from trading.errors import InvalidMessage, InvalidValue, NotAuthorised
from trading.market import Pair, PairStatus, Timeframe
from trading.orders import Side

BTC_USD = Pair("BTC", "USD")
XRP_BTC = Pair("XRP", "BTC")


def decode_one(frame: str | bytes) -> Event:
    [event] = KrakenFeed().decode(frame)
    return event


def subscribe_parameters(subscription: Subscription, feed: KrakenFeed | None = None) -> dict[str, Any]:
    [frame] = (feed or KrakenFeed()).subscribe(subscription, request_id=7)
    message: dict[str, Any] = json.loads(frame)
    assert (message["method"], message["req_id"]) == ("subscribe", 7)
    parameters: dict[str, Any] = message["params"]
    return parameters


# --- requests ---------------------------------------------------------------------------------------------------


def test_it_is_a_feed() -> None:
    feed: Feed = KrakenFeed()
    assert feed.venue == "kraken"


def test_market_data_comes_from_the_public_end_point_and_our_own_from_the_private_one() -> None:
    assert KrakenFeed().url == PUBLIC_URL
    assert KrakenFeed(token=lambda: "t").url == PRIVATE_URL
    assert KrakenFeed("ws://127.0.0.1:1/v2").url == "ws://127.0.0.1:1/v2"


def test_the_connection_budget_is_the_published_one() -> None:
    rules = KrakenFeed().rules
    assert (rules.max_attempts, rules.window) == (150, timedelta(minutes=10))
    assert rules.maintenance_pause >= timedelta(seconds=5)
    assert timedelta(seconds=2) < rules.silence_timeout <= timedelta(seconds=10)


@pytest.mark.parametrize(
    ("subscription", "parameters"),
    [
        (Subscription(Channel.INSTRUMENT), {"channel": "instrument", "snapshot": True}),
        (
            Subscription(Channel.TICKER, (BTC_USD,)),
            {"channel": "ticker", "symbol": ["BTC/USD"], "snapshot": True, "event_trigger": "bbo"},
        ),
        (
            Subscription(Channel.TRADE, (BTC_USD, XRP_BTC)),
            {"channel": "trade", "symbol": ["BTC/USD", "XRP/BTC"], "snapshot": True},
        ),
        (
            Subscription(Channel.BOOK, (XRP_BTC,), depth=1000),
            {"channel": "book", "symbol": ["XRP/BTC"], "depth": 1000, "snapshot": True},
        ),
    ],
)
def test_a_subscription_names_channel_symbols_and_wants_a_snapshot(
    subscription: Subscription, parameters: dict[str, Any]
) -> None:
    assert subscribe_parameters(subscription) == parameters


def test_every_timeframe_has_its_interval_in_minutes() -> None:
    intervals = [
        subscribe_parameters(Subscription(Channel.CANDLE, (BTC_USD,), timeframe=t))["interval"]
        for t in Timeframe
    ]
    assert intervals == [1, 5, 15, 30, 60, 240, 1440]


@pytest.mark.parametrize("depth", [0, 1, 11, 50, 999, 5000])
def test_a_depth_that_kraken_does_not_have_is_refused(depth: int) -> None:
    with pytest.raises(InvalidValue, match="10, 25, 100, 500, 1000"):
        KrakenFeed().subscribe(Subscription(Channel.BOOK, (BTC_USD,), depth=depth), 1)


@pytest.mark.parametrize("channel", [Channel.TICKER, Channel.TRADE, Channel.CANDLE, Channel.BOOK])
def test_market_data_without_a_pair_is_refused(channel: Channel) -> None:
    with pytest.raises(InvalidValue, match="at least one pair"):
        KrakenFeed().subscribe(Subscription(channel), 1)


@pytest.mark.parametrize("channel", [Channel.INSTRUMENT, Channel.EXECUTIONS, Channel.BALANCES])
def test_pairs_are_refused_where_they_would_be_ignored(channel: Channel) -> None:
    with pytest.raises(InvalidValue, match="leave the pairs out"):
        KrakenFeed(token=lambda: "t").subscribe(Subscription(channel, (BTC_USD,)), 1)


def test_unsubscribing_names_what_was_subscribed_to_and_no_options() -> None:
    [frame] = KrakenFeed().unsubscribe(Subscription(Channel.BOOK, (BTC_USD,), depth=25), 8)
    assert json.loads(frame) == {
        "method": "unsubscribe",
        "params": {"channel": "book", "symbol": ["BTC/USD"], "depth": 25},
        "req_id": 8,
    }


def test_each_connection_has_a_fresh_token() -> None:
    tokens = iter(["first", "second"])
    feed = KrakenFeed(token=lambda: next(tokens))
    feed.prepare()
    orders = subscribe_parameters(Subscription(Channel.EXECUTIONS), feed)
    assert orders == {"channel": "executions", "snap_orders": True, "snap_trades": True, "token": "first"}
    feed.prepare()
    assert subscribe_parameters(Subscription(Channel.BALANCES), feed)["token"] == "second"


def test_private_channels_need_a_token() -> None:
    feed = KrakenFeed()
    feed.prepare()
    with pytest.raises(InvalidValue, match="private"):
        feed.subscribe(Subscription(Channel.EXECUTIONS), 1)


def test_a_token_that_cannot_be_fetched_is_not_swallowed() -> None:
    def refused() -> str:
        raise NotAuthorised("the key lacks the WebSocket permission")

    with pytest.raises(NotAuthorised):
        KrakenFeed(token=refused).prepare()


# --- responses -------------------------------------------------------------------------------------------


def test_an_accepted_subscription_names_request_channel_and_pair() -> None:
    frame = (
        '{"method":"subscribe","req_id":3,"result":{"channel":"ohlc","interval":1,"snapshot":true,'
        '"symbol":"BTC/USDT","warnings":["timestamp is deprecated"]},"success":true,'
        '"time_in":"2026-09-10T17:44:43.105193Z","time_out":"2026-09-10T17:44:43.105248Z"}'
    )
    assert decode_one(frame) == Acknowledgement(
        3, "subscribe", Channel.CANDLE, Pair("BTC", "USDT"), True, "", ("timestamp is deprecated",)
    )


def test_a_refused_subscription_carries_the_error() -> None:
    frame = (
        '{"error":"Currency pair not supported XBT/USDT","method":"subscribe","req_id":4,"success":false,'
        '"symbol":"XBT/USDT","time_in":"2026-09-10T17:44:44.609516Z","time_out":"2026-09-10T17:44:44.609555Z"}'
    )
    error = "Currency pair not supported XBT/USDT"
    assert decode_one(frame) == Acknowledgement(4, "subscribe", None, Pair("XBT", "USDT"), False, error)


def test_a_refused_private_subscription_names_its_channel_beside_the_error() -> None:
    frame = (
        '{"channel":"executions","error":"ESession:Invalid session","method":"subscribe","req_id":5,'
        '"status":"error","success":false,"time_in":"2026-09-25T17:58:09.493462Z",'
        '"time_out":"2026-09-25T17:58:09.493897Z"}'
    )
    error = "ESession:Invalid session"
    assert decode_one(frame) == Acknowledgement(5, "subscribe", Channel.EXECUTIONS, None, False, error)


def test_a_contradictory_response_is_refused_with_its_channel() -> None:
    with pytest.raises(InvalidMessage, match="success is True, the error") as caught:
        KrakenFeed().decode('{"channel":"balances","method":"subscribe","success":true,"error":"no"}')
    assert caught.value.channel == "balances"


def test_a_refused_symbol_may_be_no_pair() -> None:
    frame = '{"method":"subscribe","success":false,"symbol":"foo","error":"Currency pair not in ISO form"}'
    assert decode_one(frame) == Acknowledgement(
        None, "subscribe", None, None, False, "Currency pair not in ISO form"
    )


def test_a_pong_is_a_response() -> None:
    frame = '{"method":"pong","req_id":101,"time_in":"2023-09-24T14:10:23.799685Z"}'
    assert decode_one(frame) == Acknowledgement(101, "pong", None, None, True, "")


def test_an_error_that_belongs_to_no_request_is_decoded() -> None:
    assert decode_one('{"error":"Exceeded msg rate"}') == Acknowledgement(
        None, "", None, None, False, "Exceeded msg rate"
    )


@pytest.mark.parametrize("system", ["online", "maintenance", "cancel_only", "post_only"])
def test_the_state_of_the_venue_is_passed_on_in_its_own_words(system: str) -> None:
    frame = (
        f'{{"channel":"status","type":"update","data":[{{"version":"2.0.10","system":"{system}",'
        '"api_version":"v2","connection_id":16174536464690282295,"upcoming_maintenance":[],"emergency":[]}]}'
    )
    assert decode_one(frame) == VenueStatus(system, "16174536464690282295")


def test_a_heartbeat_is_a_heartbeat() -> None:
    assert decode_one('{"channel":"heartbeat"}') == Heartbeat()
    assert decode_one(b'{"channel":"heartbeat"}') == Heartbeat()


# --- market data ------------------------------------------------------------------------------------------------


def test_several_trades_of_one_message_keep_their_order() -> None:
    frame = (
        '{"channel":"trade","type":"update","data":['
        '{"symbol":"XRP/BTC","side":"sell","price":0.00002345,"qty":40.0,"ord_type":"market","trade_id":7,'
        '"timestamp":"2023-09-25T07:49:37.708706Z"},'
        '{"symbol":"XRP/BTC","side":"buy","price":0.00002346,"qty":1,"ord_type":"limit","trade_id":8,'
        '"timestamp":"2023-09-25T07:49:37.708707Z"}]}'
    )
    at = datetime(2023, 9, 25, 7, 49, 37, 708706, UTC)
    assert list(KrakenFeed().decode(frame)) == [
        Trade(XRP_BTC, 7, Side.SELL, 0.00002345, 40.0, at),
        Trade(XRP_BTC, 8, Side.BUY, 0.00002346, 1.0, at + timedelta(microseconds=1)),
    ]


def test_missing_fields_of_a_ticker_are_none() -> None:
    frame = (
        '{"channel":"ticker","type":"snapshot","data":[{"symbol":"BTC/USD","bid":79112.0,"bid_qty":0.13,'
        '"ask":null,"volume":0,"change":-525.8,"change_pct":-0.66}]}'
    )
    assert decode_one(frame) == Ticker(BTC_USD, 79112.0, 0.13, None, None, None, 0.0, None)


def test_a_candle_opens_at_interval_begin() -> None:
    frame = (
        '{"channel":"ohlc","type":"update","timestamp":"2023-10-04T16:26:30.524394914Z","data":[{"symbol":'
        '"BTC/USD","open":2,"high":4.5,"low":1.5,"close":3.0,"trades":12,"volume":30927.68066226,"vwap":0.5626,'
        '"interval_begin":"2023-10-04T16:25:00.000000000Z","interval":5,"timestamp":"2023-10-04T16:30:00Z"}]}'
    )
    begin = datetime(2023, 10, 4, 16, 25, tzinfo=UTC)
    assert decode_one(frame) == Candle(BTC_USD, Timeframe.M5, begin, 2.0, 4.5, 1.5, 3.0, 30927.68066226, 12)


def test_book_levels_keep_the_digits_of_the_wire() -> None:
    change = decode_one(book_frame("63381.0 0.05500000", "0.00000100 7", 5, "update"))
    assert isinstance(change, BookChange)
    assert [str(number) for level in change.bids + change.asks for number in level] == [
        "63381.0",
        "0.05500000",
        "0.00000100",
        "7",
    ]
    assert (change.snapshot, change.checksum, change.sequence) == (False, 5, None)
    assert change.at == datetime(2026, 8, 2, 3, 35, 51, 660084, UTC)


def test_a_removed_level_has_quantity_zero() -> None:
    change = decode_one(book_frame("63381.0 0.00000000", "63382.0 0e-999999999", 5, "update"))
    assert isinstance(change, BookChange)
    assert change.bids == levels("63381.0 0")
    assert str(change.asks[0][1]) == "0"


def test_the_published_checksum_is_reached() -> None:
    change = decode_one(book_frame(PUBLISHED_BIDS, PUBLISHED_ASKS, PUBLISHED_CHECKSUM))
    assert isinstance(change, BookChange)
    book = OrderBook(depth=10, price_decimals=1, quantity_decimals=8)
    book.apply(change)
    assert book.checksum() == PUBLISHED_CHECKSUM


def test_symbols_are_read_as_kraken_writes_them() -> None:
    for symbol in ("ETH2.S/ETH", "AAPLx/USD", "1INCH/EUR"):
        base, quote = symbol.split("/")
        frame = book_frame("1 1", "2 1", 0, symbol=symbol)
        assert getattr(decode_one(frame), "pair", None) == Pair(base, quote)


def test_a_listing_has_increments_minimums_status_and_leverage() -> None:
    frame = (
        '{"channel":"instrument","type":"update","data":{"assets":[{"id":"USD"}],"pairs":[{"symbol":"XRP/BTC",'
        '"base":"XRP","quote":"BTC","status":"post_only","qty_precision":8,"qty_increment":1e-8,'
        '"price_precision":8,"cost_precision":10,"marginable":true,"margin_initial":0.33,"cost_min":0.00002,'
        '"tick_size":1e-8,"price_increment":0.00000001,"qty_min":2}]}}'
    )
    listed = decode_one(frame)
    assert isinstance(listed, InstrumentListing)
    assert (listed.price_decimals, listed.quantity_decimals) == (8, 8)
    instrument = listed.instrument
    assert instrument.pair == XRP_BTC
    assert instrument.price_increment == instrument.quantity_increment == Decimal("1e-8")
    assert (instrument.minimum_quantity, instrument.minimum_cost) == (Decimal(2), Decimal("0.00002"))
    assert (instrument.status, instrument.maximum_leverage) == (PairStatus.POST_ONLY, Decimal(3))


ONLINE = (
    '{"symbol":"%s","status":"online","qty_precision":8,"qty_increment":1e-8,"price_precision":8,'
    '"price_increment":0.00000001,"qty_min":2,"cost_min":0.00002,"marginable":true,"margin_initial":0.33}'
)


@pytest.mark.parametrize(
    ("wrong", "pair", "reason"),
    [
        (ONLINE.replace("online", "sideways") % "XRP/BTC", XRP_BTC, "status of XRP/BTC is 'sideways'"),
        (ONLINE.replace("0.33", "33") % "XRP/BTC", XRP_BTC, "margin_initial is 33"),
        (ONLINE.replace('"qty_min":2', '"qty_min":"2"') % "XRP/BTC", XRP_BTC, "qty_min is '2'"),
        (ONLINE.replace("1e-8", "1e999999999999999999999") % "XRP/BTC", XRP_BTC, ""),
        (ONLINE % "XRP", None, "'XRP' is not a pair"),
        ('"foo"', None, "Expected `object`"),
    ],
)
def test_an_unreadable_listing_leaves_the_others_readable(wrong: str, pair: Pair | None, reason: str) -> None:
    pairs = ",".join((ONLINE % "ETH/USD", wrong, ONLINE % "BTC/USD"))
    frame = f'{{"channel":"instrument","type":"snapshot","data":{{"assets":[],"pairs":[{pairs}]}}}}'
    before, unreadable, after = KrakenFeed().decode(frame)
    assert isinstance(before, InstrumentListing)
    assert isinstance(after, InstrumentListing)
    assert after.instrument.pair == BTC_USD
    assert isinstance(unreadable, UnreadableMessage)
    assert (unreadable.channel, unreadable.pair, unreadable.content) == ("instrument", pair, wrong)
    assert reason in unreadable.reason


# --- our own orders and balances -----------------------------------------------------------------------------------


def test_a_fill_carries_price_quantity_and_fees() -> None:
    frame = (
        '{"channel":"executions","type":"update","data":[{"order_id":"O6NTZC-K6FRH-ATWBCK","cl_ord_id":"mine",'
        '"exec_id":"T5DIUI-5N4KO-Z5BPXK","exec_type":"trade","trade_id":8253473,"symbol":"XRP/BTC",'
        '"side":"sell","last_qty":15.44,"last_price":0.00002345,"liquidity_ind":"t","cost":0.00036,'
        '"order_status":"partially_filled","order_type":"limit","order_qty":20,"cum_qty":15.44,'
        '"avg_price":0.00002345,"fees":[{"asset":"BTC","qty":0.00000094}],'
        '"timestamp":"2023-09-22T10:33:05.709950Z"}],"sequence":10}'
    )
    assert decode_one(frame) == Execution(
        sequence=10,
        snapshot=False,
        order_id="O6NTZC-K6FRH-ATWBCK",
        client_order_id="mine",
        pair=XRP_BTC,
        kind="trade",
        status="partially_filled",
        side=Side.SELL,
        quantity=Decimal(20),
        filled=Decimal("15.44"),
        average_price=Decimal("0.00002345"),
        fill_id="T5DIUI-5N4KO-Z5BPXK",
        fill_price=Decimal("0.00002345"),
        fill_quantity=Decimal("15.44"),
        fees=(("BTC", Decimal("0.00000094")),),
        reason="",
        at=datetime(2023, 9, 22, 10, 33, 5, 709950, UTC),
    )


def test_missing_fields_of_an_execution_are_none() -> None:
    frame = (
        '{"channel":"executions","type":"update","data":[{"timestamp":"2025-10-11T15:11:47.695226Z",'
        '"order_status":"canceled","exec_type":"canceled","order_userref":0,"order_id":"OGAB7Y-BKX5F-PTK5RW",'
        '"cum_qty":0e-999999999,"cum_cost":0,"fee_usd_equiv":0,"avg_price":0,"reason":"User requested"}],"sequence":11}'
    )
    execution = decode_one(frame)
    assert isinstance(execution, Execution)
    assert (execution.pair, execution.side, execution.quantity, execution.fill_price) == (None,) * 4
    assert (execution.filled, execution.average_price) == (Decimal(0), None)
    assert (execution.kind, execution.reason) == ("canceled", "User requested")


@pytest.mark.parametrize("missing", ["exec_id", "last_qty", "last_price"])
def test_a_fill_without_its_numbers_is_refused(missing: str) -> None:
    fill = {"order_id": "O", "exec_id": "T", "exec_type": "trade", "last_qty": 1, "last_price": 2}
    fill |= {"timestamp": "2023-09-22T10:33:05.709950Z"}
    del fill[missing]
    frame = json.dumps({"channel": "executions", "type": "update", "sequence": 1, "data": [fill]})
    with pytest.raises(InvalidMessage, match=missing):
        KrakenFeed().decode(frame)


def test_only_what_the_spot_wallet_holds_can_be_spent() -> None:
    snapshot = (
        '{"channel":"balances","type":"snapshot","sequence":1,"data":[{"asset":"MATIC","asset_class":"currency",'
        '"balance":500,"wallets":[{"type":"spot","id":"main","balance":300},'
        '{"type":"earn","id":"flex","balance":200}]},{"asset":"USD","balance":80595.4943}]}'
    )
    assert list(KrakenFeed().decode(snapshot)) == [
        Balance(1, True, "MATIC", Decimal(300), None),
        Balance(1, True, "USD", Decimal("80595.4943"), None),
    ]
    update = (
        '{"channel":"balances","type":"update","sequence":2,"data":[{"asset":"USD","balance":7.5,"amount":-1,'
        '"wallet_type":"%s","wallet_id":"main","timestamp":"2023-09-22T10:33:05.709950Z"}]}'
    )
    at = datetime(2023, 9, 22, 10, 33, 5, 709950, UTC)
    assert list(KrakenFeed().decode(update % "spot")) == [Balance(2, False, "USD", Decimal("7.5"), at)]
    [lent] = KrakenFeed().decode(update % "earn")
    assert isinstance(lent, Balance)
    assert (lent.wallet, lent.sequence) == ("earn", 2)  # its number counts, or a gap would be seen


@pytest.mark.parametrize("channel", sorted(PRIVATE))
@pytest.mark.parametrize("kind", ["snapshot", "update"])
def test_an_empty_message_about_our_account_keeps_its_number(channel: Channel, kind: str) -> None:
    frame = f'{{"channel":"{channel}","type":"{kind}","sequence":3,"data":[]}}'
    assert decode_one(frame) == EmptyMessage(channel, 3, snapshot=kind == "snapshot")


# --- recordings -------------------------------------------------------------------------------------------------


@recorded
@pytest.mark.parametrize(
    ("name", "price_decimals", "checked"),
    [("kraken_v2_book_BTC-USD.jsonl", 1, 2052), ("kraken_v2_book_XRP-USD.jsonl", 5, 1147)],
)
def test_every_checksum_of_a_recorded_book_is_right(name: str, price_decimals: int, checked: int) -> None:
    feed, book, right = KrakenFeed(), OrderBook(25, price_decimals, 8), 0
    for frame in frames(name):
        for event in feed.decode(frame):
            if isinstance(event, BookChange):
                book.apply(event)
                right += event.checksum == book.checksum()
    assert right == checked


@recorded
def test_the_documented_example_is_decoded() -> None:
    [frame] = frames("kraken_v2_book_checksum_docs_example.jsonl")
    change = decode_one(frame)
    assert isinstance(change, BookChange)
    assert (change.bids, change.asks) == (levels(PUBLISHED_BIDS), levels(PUBLISHED_ASKS))


@recorded
def test_the_recorded_instruments_are_all_understood() -> None:
    listed = KrakenFeed().decode((RECORDINGS / "kraken_v2_instrument_snapshot.json").read_bytes())
    instruments = {
        event.instrument.pair: event.instrument for event in listed if isinstance(event, InstrumentListing)
    }
    assert len(listed) == len(instruments) == 683
    statuses = [instrument.status for instrument in instruments.values()]
    assert statuses.count(PairStatus.ONLINE) == 672
    assert statuses.count(PairStatus.REDUCE_ONLY) == 9
    assert {instrument.maximum_leverage for instrument in instruments.values()} == {1, 2, 3, 4, 5}


@recorded
def test_a_recorded_candle_session_is_understood() -> None:
    events = [
        event for frame in frames("kraken_v2_ohlc_BTC-USDT.jsonl") for event in KrakenFeed().decode(frame)
    ]
    candles = [event for event in events if isinstance(event, Candle)]
    refused = [event for event in events if isinstance(event, Acknowledgement) and not event.success]
    assert [candle.open_time.minute for candle in candles] == [32, 33, 34, 35, 38, 39, 40, 41, 43, 35]
    assert {candle.timeframe for candle in candles} == {Timeframe.M1}
    assert [event.error for event in refused] == ["Currency pair not supported XBT/USDT"]
    assert len(events) == 14


@recorded
def test_the_recorded_ticker_and_the_published_shapes_are_understood() -> None:
    [ticker] = [decode_one(frame) for frame in frames("kraken_v2_ticker_BTC-USDT.jsonl")]
    assert isinstance(ticker, Ticker)
    assert (ticker.bid, ticker.ask, ticker.last) == (79112.0, 79112.1, 79102.6)
    assert ticker.at == datetime(2026, 9, 7, 17, 10, 51, 548832, UTC)
    shapes = [decode_one(frame) for frame in frames("kraken_v2_shape_examples.jsonl")]
    assert [type(event) for event in shapes] == [Ticker, Trade, Candle]
