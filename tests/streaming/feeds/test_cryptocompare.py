"""CryptoCompare's protocol: subscriptions, merged frames, failures, and frames that are refused."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.events import (
    Acknowledgement,
    BookChange,
    Candle,
    Channel,
    Event,
    Heartbeat,
    Subscription,
    Ticker,
    Trade,
    VenueStatus,
)
from streaming.feeds import Feed
from streaming.feeds.cryptocompare import CryptoCompareFeed
from trading.errors import InvalidMessage, InvalidValue, NotAuthorised
from trading.market import Pair, Timeframe
from trading.orders import Side

BTC, XRP = Pair("BTC", "USD"), Pair("XRP", "USD")
AT = 1593768260
RECORDED = Path(__file__).parents[4] / "shared" / "data" / "ws" / "cryptocompare_streamer_samples.jsonl"

TRADE = {
    "TYPE": "0",
    "M": "Coinbase",
    "FSYM": "BTC",
    "TSYM": "USD",
    "F": "1",
    "ID": "852793745",
    "TS": AT,
    "Q": 0.34637342,
    "P": 119283.1,
    "TOTAL": 41316.495295202,
    "RTS": AT,
    "CCSEQ": 852777369,
    "TSNS": 654000000,
}
TICKER = {
    "TYPE": "2",
    "MARKET": "Coinbase",
    "FROMSYMBOL": "BTC",
    "TOSYMBOL": "USD",
    "FLAGS": "1026",
    "PRICE": 100.5,
    "BID": 100.25,
    "ASK": 100.75,
    "LASTUPDATE": AT,
    "VOLUME24HOUR": 1234.5,
    "LASTMARKET": "Coinbase",
}
SNAPSHOT = {
    "TYPE": "9",
    "M": "Coinbase",
    "FSYM": "BTC",
    "TSYM": "USD",
    "CCSEQ": 1000,
    "BID": [{"P": 99.5, "Q": 1.25, "REPORTEDNS": 1593768260123456789}, {"P": 99, "Q": 2}],
    "ASK": [{"P": 100.10, "Q": 0.5}],
}
DELTA = {
    "TYPE": "8",
    "M": "Coinbase",
    "FSYM": "BTC",
    "TSYM": "USD",
    "SIDE": 1,
    "ACTION": 4,
    "CCSEQ": 1001,
    "P": 100.10,
    "Q": 0.75,
    "SEQ": 7,
    "REPORTEDNS": "1593768260123456789",
    "DELAYNS": 5,
}
TOP = {
    "TYPE": "30",
    "M": "Coinbase",
    "FSYM": "BTC",
    "TSYM": "USD",
    "CCSEQ": 50,
    "BID": [{"P": 99.5, "Q": 1.5, "REPORTEDNS": "1593768260000000000"}],
    "ASK": [{"P": 100, "Q": 2}],
}
CANDLE = {"TYPE": "24", "MARKET": "Coinbase", "FROMSYMBOL": "BTC", "TOSYMBOL": "USD", "TS": 1593768240, "UNIT": "m",
          "ACTION": "A", "OPEN": 90.0, "HIGH": 110.0, "LOW": 90.0, "CLOSE": 105.0, "VOLUMEFROM": 1.25,
          "TOTALTRADES": 17, "FIRSTPRICE": 100.0, "MAXPRICE": 110.0, "MINPRICE": 95.0,
          "LASTPRICE": 105.0}  # fmt: skip
WELCOME = {
    "TYPE": "20",
    "MESSAGE": "STREAMERWELCOME",
    "SOCKET_ID": "7zUlXf",
    "SOCKETS_REMAINING": 0,
    "CLIENT_ID": 25,
}
HEARTBEAT = {"TYPE": "999", "MESSAGE": "HEARTBEAT", "TIMEMS": 1582817678330}
ALL = [TRADE, TICKER, SNAPSHOT, DELTA, TOP, CANDLE, WELCOME, HEARTBEAT]


@pytest.fixture
def feed() -> CryptoCompareFeed:
    return CryptoCompareFeed("Coinbase", "k3y")


def decode_all(feed: Feed, *frames: dict[str, Any]) -> list[Event]:
    return [event for frame in frames for event in feed.decode(json.dumps(frame))]


def utc(seconds: int, microseconds: int = 0) -> datetime:
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)


def subs(frames: object) -> list[Any]:
    return [json.loads(frame) for frame in frames]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("subscription", "names"),
    [
        (Subscription(Channel.TRADE, (BTC, XRP)), ["0~Coinbase~BTC~USD", "0~Coinbase~XRP~USD"]),
        (Subscription(Channel.TICKER, (BTC,)), ["2~Coinbase~BTC~USD"]),
        (Subscription(Channel.BOOK, (BTC,), depth=25), ["8~Coinbase~BTC~USD"]),
        (Subscription(Channel.CANDLE, (BTC,)), ["24~Coinbase~BTC~USD~m"]),
        (Subscription(Channel.CANDLE, (BTC,), timeframe=Timeframe.H1), ["24~Coinbase~BTC~USD~H"]),
        (Subscription(Channel.CANDLE, (BTC,), timeframe=Timeframe.D1), ["24~Coinbase~BTC~USD~D"]),
    ],
)
def test_a_subscription_names_type_market_and_pair(
    feed: Feed, subscription: Subscription, names: list[str]
) -> None:
    assert subs(feed.subscribe(subscription, 1)) == [{"action": "SubAdd", "subs": names}]
    assert subs(feed.unsubscribe(subscription, 2)) == [{"action": "SubRemove", "subs": names}]


def test_the_index_has_its_own_ticker_and_neither_trades_nor_a_book() -> None:
    index = CryptoCompareFeed("CCCAGG", "k3y")
    assert subs(index.subscribe(Subscription(Channel.TICKER, (BTC,)), 1))[0]["subs"] == ["5~CCCAGG~BTC~USD"]
    for channel in (Channel.TRADE, Channel.BOOK):
        with pytest.raises(InvalidValue, match="CCCAGG has no channel"):
            index.subscribe(Subscription(channel, (BTC,)), 1)
    with pytest.raises(InvalidValue, match="no order book"):
        CryptoCompareFeed("CCCAGG", "k3y", top_of_book=True)


def test_the_top_of_the_book_can_replace_the_ticker() -> None:
    feed = CryptoCompareFeed("Coinbase", "k3y", top_of_book=True)
    assert subs(feed.subscribe(Subscription(Channel.TICKER, (BTC,)), 1))[0]["subs"] == ["30~Coinbase~BTC~USD"]


@pytest.mark.parametrize(
    ("subscription", "words"),
    [
        (Subscription(Channel.CANDLE, (BTC,), timeframe=Timeframe.M5), "candles of 1m, 1h, 1d, not of 5m"),
        (Subscription(Channel.EXECUTIONS), "at least one pair"),
        (Subscription(Channel.BALANCES, (BTC,)), "no channel balances"),
        (Subscription(Channel.TRADE), "at least one pair"),
    ],
)
def test_a_subscription_that_the_streamer_does_not_offer_is_refused(
    feed: Feed, subscription: Subscription, words: str
) -> None:
    with pytest.raises(InvalidValue, match=words):
        feed.subscribe(subscription, 1)


def test_a_connection_needs_a_key() -> None:
    with pytest.raises(NotAuthorised, match="CRYPTOCOMPARE_API_KEY"):
        CryptoCompareFeed("Coinbase", "").prepare()
    feed = CryptoCompareFeed("Coinbase", "a b&c")
    feed.prepare()
    assert feed.url == "wss://streamer.cryptocompare.com/v2?api_key=a%20b%26c"
    assert "a b&c" not in repr(feed)


def test_the_connection_rules_are_those_of_the_streamer(feed: Feed) -> None:
    assert feed.rules.first_pause >= timedelta(seconds=5)
    assert feed.rules.max_attempts / feed.rules.window.total_seconds() <= 1  # 60 a minute
    assert timedelta(seconds=120) <= feed.rules.silence_timeout <= timedelta(seconds=180)  # two heartbeats


def test_a_trade_has_side_number_and_time(feed: Feed) -> None:
    trade = Trade(BTC, 852777369, Side.SELL, 119283.1, 0.34637342, utc(AT, 654000))
    assert decode_all(feed, TRADE) == [trade]


@pytest.mark.parametrize(
    ("flags", "side"),
    [("1", Side.SELL), ("2", Side.BUY), ("4", None), ("9", Side.SELL), ("10", Side.BUY), ("12", None)],
)
def test_the_side_is_read_from_the_bits(feed: Feed, flags: str, side: Side | None) -> None:
    [trade] = decode_all(feed, TRADE | {"F": flags})
    assert isinstance(trade, Trade)
    assert trade.side is side


def test_trades_without_a_number_are_returned_once_over_all_connections(feed: Feed) -> None:
    plain = {name: value for name, value in TRADE.items() if name != "CCSEQ"}
    trades = [plain | {"ID": str(number)} for number in range(20)]
    assert len(decode_all(feed, *trades, *trades, plain)) == 21
    assert len(decode_all(feed, plain | {"FSYM": "XRP"})) == 1
    feed.reset()
    assert decode_all(feed, *reversed(trades), plain) == []


def test_numbered_trades_are_returned_as_often_as_they_are_sent(feed: Feed) -> None:
    assert (
        len(decode_all(feed, TRADE, TRADE)) == 2
    )  # their ids tell, and that they come again proves that the connection works


def test_no_more_trades_are_remembered_than_can_come_again(feed: Feed) -> None:
    plain = {name: value for name, value in TRADE.items() if name != "CCSEQ"}
    trades = [plain | {"ID": str(number)} for number in range(201)]
    decode_all(feed, *trades)
    assert len(decode_all(feed, trades[0])) == 1


def test_a_trade_without_a_number_has_no_id(feed: Feed) -> None:
    [trade] = decode_all(feed, {name: value for name, value in TRADE.items() if name != "CCSEQ"})
    assert isinstance(trade, Trade)
    assert trade.trade_id is None


FULL = Ticker(BTC, 100.25, None, 100.75, None, 100.5, 1234.5, utc(AT))
HEAD = {name: TICKER[name] for name in ("TYPE", "MARKET", "FROMSYMBOL", "TOSYMBOL", "FLAGS")}
FIELDS = ("PRICE", "BID", "ASK", "LASTUPDATE", "VOLUME24HOUR")


def test_a_partial_ticker_keeps_the_fields_of_earlier_frames(feed: Feed) -> None:
    assert decode_all(feed, TICKER) == [FULL]
    [ticker] = decode_all(feed, HEAD | {"BID": 100.5})
    assert ticker == Ticker(BTC, 100.5, None, 100.75, None, 100.5, 1234.5, utc(AT))
    feed.reset()
    assert decode_all(feed, HEAD) == [Ticker(BTC, None, None, None, None, None, None, None)]


@given(order=st.permutations(FIELDS), cuts=st.sets(st.integers(1, 4)))
def test_partial_frames_in_any_order_and_cut_add_up_to_the_full_ticker(
    order: list[str], cuts: set[int]
) -> None:
    feed = CryptoCompareFeed("Coinbase", "k3y")
    bounds = [0, *sorted(cuts), len(order)]
    frames = [HEAD | {name: TICKER[name] for name in order[a:b]} for a, b in itertools.pairwise(bounds)]
    assert decode_all(feed, *frames)[-1] == FULL


@given(
    updates=st.lists(st.dictionaries(st.sampled_from(("PRICE", "BID", "ASK")), st.floats(0.5, 9)), max_size=8)
)
def test_a_ticker_has_the_last_value_of_each_field(updates: list[dict[str, float]]) -> None:
    feed, state = CryptoCompareFeed("Coinbase", "k3y"), dict(TICKER)
    decode_all(feed, TICKER)
    for update in updates:
        state |= update
        [ticker] = decode_all(feed, HEAD | update)
        assert ticker == Ticker(BTC, state["BID"], None, state["ASK"], None, state["PRICE"], 1234.5, utc(AT))  # type: ignore[arg-type]


def test_pairs_and_the_index_do_not_mix(feed: Feed) -> None:
    decode_all(feed, TICKER)
    [ticker] = decode_all(feed, HEAD | {"FROMSYMBOL": "XRP", "BID": 0.5})
    assert ticker == Ticker(XRP, 0.5, None, None, None, None, None, None)


def test_a_book_keeps_its_exact_numbers_and_their_order(feed: Feed) -> None:
    frame = '{"TYPE":"9","M":"Coinbase","FSYM":"BTC","TSYM":"USD","CCSEQ":1000,"BID":[{"P":99.50,"Q":1.2500}],"ASK":[]}'
    [change] = feed.decode(frame)
    assert change == BookChange(BTC, True, ((Decimal("99.50"), Decimal("1.2500")),), (), None, 1000, None)
    assert isinstance(change, BookChange)
    assert str(change.bids[0][0]) == "99.50"
    assert decode_all(feed, SNAPSHOT) == [
        BookChange(
            BTC, True, ((Decimal("99.5"), Decimal("1.25")), (Decimal(99), Decimal(2))),
            ((Decimal("100.1"), Decimal("0.5")),), None, 1000, utc(AT, 123456),
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "bids", "asks"),
    [
        ({}, (), ((Decimal("100.1"), Decimal("0.75")),)),
        ({"ACTION": 1, "SIDE": 0}, ((Decimal("100.1"), Decimal("0.75")),), ()),
        ({"ACTION": 2, "Q": 0}, (), ((Decimal("100.1"), Decimal(0)),)),
        ({"ACTION": 2, "Q": 0.75}, (), ((Decimal("100.1"), Decimal(0)),)),
        ({"ACTION": 3}, (), ()),
    ],
)
def test_a_book_change_has_side_level_and_sequence(
    feed: Feed, changes: dict[str, Any], bids: tuple[Any, ...], asks: tuple[Any, ...]
) -> None:
    assert decode_all(feed, DELTA | changes) == [
        BookChange(BTC, False, bids, asks, None, 1001, utc(AT, 123456))
    ]


def test_the_top_of_the_book_keeps_the_side_that_a_frame_lacks(feed: Feed) -> None:
    update = {name: TOP[name] for name in ("TYPE", "M", "FSYM", "TSYM")} | {"ASK": [{"P": 101, "Q": 1}]}
    assert decode_all(feed, TOP, update | {"CCSEQ": 51}) == [
        Ticker(BTC, 99.5, 1.5, 100.0, 2.0, None, None, utc(AT)),
        Ticker(BTC, 99.5, 1.5, 101.0, 1.0, None, None, None),
    ]


def test_after_a_gap_the_side_that_a_frame_lacks_is_unknown(feed: Feed) -> None:
    update = {name: TOP[name] for name in ("TYPE", "M", "FSYM", "TSYM")} | {"ASK": [{"P": 101, "Q": 1}]}
    decode_all(feed, TOP)
    assert decode_all(feed, update | {"CCSEQ": 52}) == [Ticker(BTC, None, None, 101.0, 1.0, None, None, None)]
    assert decode_all(feed, TOP | {"CCSEQ": 60, "BID": []}) == [
        Ticker(BTC, None, None, 100.0, 2.0, None, None, None)
    ]


def test_a_candle_opens_with_its_own_first_trade(feed: Feed) -> None:
    opens = utc(1593768240)
    assert decode_all(feed, CANDLE) == [Candle(BTC, Timeframe.M1, opens, 100.0, 110.0, 95.0, 105.0, 1.25, 17)]
    plain = {name: value for name, value in CANDLE.items() if not name.endswith("PRICE")}
    assert decode_all(CryptoCompareFeed("Coinbase", "k3y"), plain) == [
        Candle(BTC, Timeframe.M1, opens, 90.0, 110.0, 90.0, 105.0, 1.25, 17)
    ]


def test_a_candle_update_is_merged_into_the_candle(feed: Feed) -> None:
    head = {name: CANDLE[name] for name in ("TYPE", "MARKET", "FROMSYMBOL", "TOSYMBOL", "TS", "UNIT")}
    update = head | {"ACTION": "U", "CLOSE": 111.0, "LASTPRICE": 111.0, "HIGH": 111.0, "MAXPRICE": 111.0,
                     "VOLUMEFROM": 2.5, "TOTALTRADES": 18}  # fmt: skip
    [_, candle] = decode_all(feed, CANDLE, update)
    assert candle == Candle(BTC, Timeframe.M1, utc(1593768240), 100.0, 111.0, 95.0, 111.0, 2.5, 18)
    feed.reset()
    with pytest.raises(InvalidMessage, match=r"candle: OPEN, LOW of .* was never sent"):
        decode_all(feed, update)


@pytest.mark.parametrize(
    "empty",
    [
        {"ACTION": "I", "VOLUMEFROM": 0, "TOTALTRADES": 0, "HIGH": 90, "CLOSE": 90},
        {"ACTION": "I", "VOLUMEFROM": 0, "TOTALTRADES": 0, "OPEN": 0, "HIGH": 0, "LOW": 0, "CLOSE": 0},
    ],
)
def test_an_interval_without_a_trade_is_no_candle_until_one_comes(feed: Feed, empty: dict[str, Any]) -> None:
    plain = {name: value for name, value in CANDLE.items() if not name.endswith("PRICE")}
    assert decode_all(feed, plain | empty) == []
    assert len(decode_all(feed, CANDLE | {"ACTION": "U"})) == 1


def test_each_pair_of_a_subscription_is_acknowledged_with_its_request(feed: Feed) -> None:
    feed.subscribe(Subscription(Channel.TRADE, (BTC, XRP)), 7)
    feed.unsubscribe(Subscription(Channel.TRADE, (BTC,)), 8)
    done = {"TYPE": "16", "MESSAGE": "SUBSCRIBECOMPLETE", "SUB": "0~Coinbase~XRP~USD"}
    gone = {"TYPE": "17", "MESSAGE": "UNSUBSCRIBECOMPLETE", "SUB": "0~Coinbase~BTC~USD"}
    assert decode_all(feed, done, gone, done) == [
        Acknowledgement(7, "subscribe", Channel.TRADE, XRP, True, ""),
        Acknowledgement(8, "unsubscribe", Channel.TRADE, BTC, True, ""),
        Acknowledgement(None, "subscribe", Channel.TRADE, XRP, True, ""),
    ]


def test_control_frames_are_decoded(feed: Feed) -> None:
    loaded = {"TYPE": "3", "MESSAGE": "LOADCOMPLETE", "INFO": "All your valid subs have been loaded."}
    removed = {
        "TYPE": "18",
        "MESSAGE": "UNSUBSCRIBEALLCOMPLETE",
        "INFO": "Removed 1 subs.",
        "INFO_OBJ": {"valid": 1},
    }
    assert decode_all(feed, WELCOME, HEARTBEAT, loaded, removed) == [
        VenueStatus("online", "7zUlXf"),
        Heartbeat(),
        Acknowledgement(None, "subscribe", None, None, True, ""),
        Acknowledgement(None, "unsubscribe", None, None, True, ""),
    ]


def test_a_failure_that_names_a_subscription_is_the_response_to_its_request(feed: Feed) -> None:
    feed.subscribe(Subscription(Channel.BOOK, (BTC,)), 9)
    refused = {
        "TYPE": "401",
        "MESSAGE": "UNAUTHORIZED",
        "PARAMETER": "8~Coinbase~BTC~USD",
        "INFO": "not in your plan",
    }
    [answer] = decode_all(feed, refused)
    assert answer == Acknowledgement(
        9, "subscribe", Channel.BOOK, BTC, False, "UNAUTHORIZED: not in your plan 8~Coinbase~BTC~USD"
    )


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        (
            {"TYPE": "401", "MESSAGE": "UNAUTHORIZED", "PARAMETER": "format", "INFO": "only with a valid api_key."},
            Acknowledgement(None, "connect", None, None, False, "UNAUTHORIZED: only with a valid api_key. format"),
        ),
        (
            {"TYPE": "429", "MESSAGE": "TOO_MANY_SUBSCRIPTIONS_MAX_600_PER_SOCKET"},
            Acknowledgement(None, "subscribe", None, None, False, "TOO_MANY_SUBSCRIPTIONS_MAX_600_PER_SOCKET"),
        ),
        (
            {"TYPE": "500", "MESSAGE": "INVALID_JSON"},
            Acknowledgement(None, "subscribe", None, None, False, "INVALID_JSON"),
        ),
        ({"TYPE": "500", "MESSAGE": "FORCE_DISCONNECT", "INFO": "slow"}, VenueStatus("force_disconnect", "")),
        (
            {"TYPE": "429", "MESSAGE": "TOO_MANY_SOCKETS_MAX_1_PER_CLIENT"},
            VenueStatus("too_many_sockets_max_1_per_client", ""),
        ),
        (
            {"TYPE": "429", "MESSAGE": "RATE_LIMIT_OPENING_SOCKETS_TOO_FAST"},
            VenueStatus("rate_limit_opening_sockets_too_fast", ""),
        ),
    ],
)  # fmt: skip
def test_each_failure_frame_is_decoded(feed: Feed, frame: dict[str, Any], event: Event) -> None:
    assert decode_all(feed, frame) == [event]


@pytest.mark.parametrize(
    ("frame", "channel", "words"),
    [
        (TRADE | {"P": 0}, "trade", "P is 0"),
        (TRADE | {"Q": -1.5}, "trade", "Q is -1.5"),
        (TRADE | {"F": "3"}, "trade", "both sold and bought"),
        (TRADE | {"F": "x"}, "trade", "F is 'x'"),
        (TRADE | {"F": "16"}, "trade", "F is '16'"),
        (TRADE | {"M": "Binance"}, "trade", "subscribed was Coinbase"),
        (TRADE | {"FSYM": ""}, "trade", "not a pair"),
        (TRADE | {"TS": -5}, "trade", "TS is -5"),
        (TRADE | {"TS": 10**15}, "trade", "TS is 1000000000000000"),
        (TRADE | {"TSNS": 10**9}, "trade", "ns"),
        (TRADE | {"P": "119283.1"}, "trade", "Expected `float`"),
        (TICKER | {"BID": 0}, "ticker", "BID is 0"),
        (TICKER | {"VOLUME24HOUR": -1}, "ticker", "VOLUME24HOUR is -1"),
        (DELTA | {"SIDE": 2}, "book", "SIDE is 2"),
        (DELTA | {"ACTION": 5}, "book", "ACTION is 5"),
        (DELTA | {"ACTION": 1, "Q": 0}, "book", "ACTION is 1 with Q 0"),
        (DELTA | {"P": "NaN"}, "book", "P is NaN"),
        (DELTA | {"P": 10**40}, "book", "P is 1000"),
        (DELTA | {"Q": "1e-40"}, "book", "Q is 1E-40"),
        (DELTA | {"Q": "-1"}, "book", "Q is -1"),
        (DELTA | {"CCSEQ": -1}, "book", "CCSEQ is -1"),
        (DELTA | {"REPORTEDNS": "soon"}, "book", "REPORTEDNS is 'soon'"),
        (SNAPSHOT | {"BID": [{"P": 0, "Q": 1}]}, "book snapshot", "P is 0"),
        (TOP | {"ASK": [{"P": 1}]}, "top of book", "missing required field `Q`"),
        (CANDLE | {"HIGH": 80.0, "MAXPRICE": 80.0}, "candle", "high 80.0"),
        (CANDLE | {"TS": 1593768241}, "candle", "no opening time"),
        (CANDLE | {"UNIT": "W"}, "candle", "UNIT is 'W'"),
        (CANDLE | {"ACTION": "X"}, "candle", "ACTION 'X'"),
        (CANDLE | {"VOLUMEFROM": -1.0}, "candle", "VOLUMEFROM is -1"),
        ({"TYPE": "11", "SYMBOL": "BTC"}, "", "Invalid value '11'"),
        ({"MESSAGE": "?"}, "", "missing required field `TYPE`"),
    ],
)  # fmt: skip
def test_an_invalid_frame_is_refused_with_channel_and_reason(
    feed: Feed, frame: dict[str, Any], channel: str, words: str
) -> None:
    with pytest.raises(InvalidMessage, match=words) as raised:
        decode_all(feed, frame)
    assert raised.value.channel == channel


@pytest.mark.parametrize(
    "frame", ["", "[]", "5", "{", '{"TYPE": 0}', b"\xff\xfe", "\ud800", "[" * 10000, '{"TYPE":"2","P":1e999}']
)
def test_text_that_is_no_frame_is_an_invalid_message(feed: Feed, frame: str | bytes) -> None:
    with pytest.raises(InvalidMessage):
        feed.decode(frame)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (TICKER, {"PRICE": 55.0, "BID": -1}),
        (CANDLE, {"CLOSE": 1.0, "LASTPRICE": 1.0, "VOLUMEFROM": -1.0}),
        (TOP, {"BID": [{"P": 50, "Q": 1}], "ASK": [{"P": 0, "Q": 1}]}),
        (TRADE, {"ID": "next", "P": 0}),
    ],
)
def test_an_invalid_frame_changes_no_state(good: dict[str, Any], bad: dict[str, Any]) -> None:
    disturbed, undisturbed = CryptoCompareFeed("Coinbase", "k3y"), CryptoCompareFeed("Coinbase", "k3y")
    decode_all(disturbed, good)
    decode_all(undisturbed, good)
    with pytest.raises(InvalidMessage):
        decode_all(disturbed, good | bad)
    after = {name: value for name, value in good.items() if name not in bad} | {"CCSEQ": 51, "ID": "next"}
    after |= {"P": 1.0} if good is TRADE else {}
    assert decode_all(disturbed, after) == decode_all(undisturbed, after)


def recorded() -> list[str]:
    if not RECORDED.exists():
        pytest.skip(f"the recorded frames {RECORDED} are not here")
    return RECORDED.read_text().splitlines()


def test_recorded_frames_are_decoded() -> None:
    welcome, index, trade = recorded()
    feed = CryptoCompareFeed("CCCAGG", "k3y")
    assert feed.decode(welcome) == [VenueStatus("online", "7zUlXfWU+zH7uX7ViDS2")]
    assert feed.decode(index) == [
        Ticker(BTC, None, None, None, None, 10948.7, 22470.523340807005, utc(1600440262))
    ]
    assert CryptoCompareFeed("coinbase", "k3y").decode(trade) == [
        Trade(BTC, 852777369, Side.SELL, 119283.1, 0.34637342, utc(1753190418, 654000))
    ]


def check_decoding(feed: Feed, frame: str | bytes) -> None:
    """Assert that any frame becomes valid events or InvalidMessage."""
    try:
        events = feed.decode(frame)
    except InvalidMessage:
        return
    for event in events:
        numbers = [getattr(event, name) for name in ("price", "quantity", "bid", "ask", "last", "volume", "low", "high")
                   if getattr(event, name, None) is not None]  # fmt: skip
        assert all(0 <= number < float("inf") for number in numbers)
        for price, quantity in (*getattr(event, "bids", ()), *getattr(event, "asks", ())):
            assert price.is_finite()
            assert price > 0
            assert quantity >= 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(frame=st.binary(max_size=60) | st.text(max_size=60) | JSON.map(json.dumps))
def test_anything_at_all_is_events_or_an_invalid_message(frame: str | bytes) -> None:
    check_decoding(CryptoCompareFeed("Coinbase", "k3y"), frame)


@settings(max_examples=400, deadline=None)
@given(
    good=st.sampled_from(ALL),
    name=st.integers(0, 20),
    value=JSON | st.sampled_from([10**30, -1, "1e5", 1e308, "NaN"]),
)
def test_any_value_in_any_field_is_events_or_an_invalid_message(
    good: dict[str, Any], name: int, value: object
) -> None:
    names = sorted(good)
    feed = CryptoCompareFeed("Coinbase", "k3y")
    check_decoding(feed, json.dumps(good | {names[name % len(names)]: value}))
    check_decoding(feed, json.dumps(good))


@settings(max_examples=400, deadline=None)
@given(good=st.sampled_from(ALL), at=st.integers(0, 300), junk=st.binary(max_size=4), cut=st.integers(0, 6))
def test_any_damage_to_a_frame_is_events_or_an_invalid_message(
    good: dict[str, Any], at: int, junk: bytes, cut: int
) -> None:
    whole = json.dumps(good).encode()
    at %= len(whole)
    check_decoding(CryptoCompareFeed("Coinbase", "k3y"), whole[:at] + junk + whole[at + cut :])
