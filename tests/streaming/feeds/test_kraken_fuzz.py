"""Kraken's decoder decodes any frame exactly or refuses it: no other error, no invented number."""

import json
import math
import random
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from benchmarks.readers.json_stream import READERS
from benchmarks.readers.json_stream import decode as decode_plainly
from streaming.events import Candle, Event, Ticker, Trade, UnreadableMessage
from streaming.feeds.kraken import KrakenFeed
from tests.streaming.kraken_recordings import RECORDINGS, book_frame, frames, recorded
from trading.errors import InvalidMessage

TRADE = (
    '{"channel":"trade","type":"update","data":[{"symbol":"XRP/BTC","side":"sell","price":0.00002345,"qty":40.0,'
    '"ord_type":"market","trade_id":7,"timestamp":"2023-09-25T07:49:37.708706Z"},{"symbol":"XRP/BTC","side":"buy",'
    '"price":0.00002346,"qty":1,"ord_type":"limit","trade_id":8,"timestamp":"2023-09-25T07:49:37.708707Z"}]}'
)
TICKER = (
    '{"channel":"ticker","type":"snapshot","data":[{"symbol":"BTC/USD","bid":79112.0,"bid_qty":0.13,"ask":79112.1,'
    '"ask_qty":0.0085,"last":79102.6,"volume":144.457,"timestamp":"2026-09-07T17:10:51.548832Z"}]}'
)
CANDLE = (
    '{"channel":"ohlc","type":"update","timestamp":"2023-10-04T16:26:30.524394914Z","data":[{"symbol":"BTC/USD",'
    '"open":0.5624,"high":0.5628,"low":0.5622,"close":0.5627,"trades":12,"volume":30927.68066226,"vwap":0.5626,'
    '"interval_begin":"2023-10-04T16:25:00.000000000Z","interval":5,"timestamp":"2023-10-04T16:30:00.000000Z"}]}'
)
BOOK = book_frame("63381.0 0.00000000, 63376.4 0.00005100", "63395.2 1", 3726153463, "update")
INSTRUMENT = (
    '{"channel":"instrument","type":"snapshot","data":{"assets":[],"pairs":[{"symbol":"XRP/BTC","status":"online",'
    '"qty_precision":8,"qty_increment":1e-8,"price_precision":8,"marginable":true,"margin_initial":0.33,'
    '"cost_min":0.00002,"price_increment":0.00000001,"qty_min":2}]}}'
)
FILL = (
    '{"channel":"executions","type":"update","data":[{"order_id":"O","exec_id":"T","exec_type":"trade","symbol":'
    '"XRP/BTC","side":"sell","last_qty":15.44,"last_price":0.00002345,"order_status":"filled","order_qty":20,'
    '"cum_qty":15.44,"avg_price":0.00002345,"fees":[{"asset":"BTC","qty":0.00000094}],'
    '"timestamp":"2023-09-22T10:33:05.709950Z"}],"sequence":10}'
)
BALANCE = (
    '{"channel":"balances","type":"snapshot","sequence":1,"data":[{"asset":"BTC","balance":500.00000000,'
    '"wallets":[{"type":"spot","id":"main","balance":300}]}]}'
)
STATUS = (
    '{"channel":"status","type":"update","data":[{"system":"online","connection_id":16174536464690282295}]}'
)
ANSWER = (
    '{"method":"subscribe","req_id":3,"result":{"channel":"book","symbol":"BTC/USD","depth":10,"warnings":["x"]},'
    '"success":true,"time_in":"2026-09-10T17:44:43.105193Z","time_out":"2026-09-10T17:44:43.105248Z"}'
)
DATA = [TRADE, TICKER, CANDLE, BOOK, INSTRUMENT, FILL, BALANCE, STATUS]
WHOLE = [*DATA, ANSWER, '{"channel":"heartbeat"}', '{"error":"Exceeded msg rate"}']
ABSURD = "1e99999999999999999999"  # no decimal has that exponent: the plain reader fails even where nobody asked for it
# Values that replace a valid one in a frame.
ODD_VALUES = [
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "-1e999",
        "1e308",
        "-1",
        "-0.0",
        "0",
        "0.0",
        "1e-999",
        "1e-400",
        "1",
    ),
    *(
        "1e99999999999999999999",
        "0e-99999999999",
        "18446744073709551616",
        "01",
        "1.",
        ".5",
        "+1",
        "0x10",
        "1_000",
    ),
    *("true", "false", "null", "[]", "{}", "[[]]", "[{}]", "[null]", '{"price":1}'),
    *('""', '"1.5"', '"NaN"', '"BTC/USD"', '"foo"', '"/"', '"snapshot"', '"update"', '"book"'),
    *('"2023-09-25T07:49:37"', '"2023-09-25T07:49:37+05:00"', '"0001-01-01T00:00:00Z"'),
    *('"9999-12-31T23:59:59.9999999Z"', '"\\ud800"', '"\\u0000"', f'"{"x" * 5000}"'),
    "1" + "0" * 400,
    "1" + "0" * 4000,
    "0." + "0" * 5000 + "1",
]


def decode_checked(frame: str | bytes) -> list[Event] | None:
    """Decode a frame and check the events against a plain reader; None where it was refused with a reason."""
    events, refusal = _decode(frame)
    if refusal is not None:
        assert refusal.reason
        assert len(str(refusal)) < 1000
        assert str(refusal).isprintable()
        return None
    if odd := [event for event in events if isinstance(event, UnreadableMessage)]:
        assert all(event.reason and event.reason.isprintable() for event in odd)
        return None
    for event in events:
        _check_numbers(event)
        _check_prices(event)
    text = frame if isinstance(frame, str) else frame.decode()
    if json.loads(text).get("channel") in READERS:
        assert events == decode_plainly(text.replace(ABSURD, "0.5"))
    return events


def _decode(frame: str | bytes) -> tuple[list[Event], InvalidMessage | None]:
    try:
        return list(KrakenFeed().decode(frame)), None
    except InvalidMessage as refusal:
        return [], refusal


def _check_numbers(value: object) -> None:
    if is_dataclass(value) or isinstance(value, msgspec.Struct):
        names = (
            value.__struct_fields__
            if isinstance(value, msgspec.Struct)
            else [each.name for each in fields(value)]
        )
        for name in names:
            _check_numbers(getattr(value, name))
    elif isinstance(value, tuple):
        for part in value:
            _check_numbers(part)
    elif isinstance(value, float | Decimal):
        assert math.isfinite(value)
        assert -1e18 <= float(value) <= 1e18
        assert len(format(value, "f")) < 10_000


def _check_prices(event: Event) -> None:
    if isinstance(event, Trade):
        assert event.price > 0
        assert event.quantity > 0
        assert event.at.utcoffset() == timedelta(0)
    if isinstance(event, Candle):
        assert 0 < event.low <= min(event.open, event.close) <= max(event.open, event.close) <= event.high
        assert event.volume >= 0
    if isinstance(event, Ticker):
        assert all(price is None or price > 0 for price in (event.bid, event.ask, event.last))


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key, part in (
        value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
    ):
        yield from _paths(part, (*path, key))


class Placeholder:
    """Marks the place of foreign text in a frame."""

    TEXT = "@@@@"


def _replace_at(frame: str, path: tuple[Any, ...], text: str) -> str:
    """Return the frame with other JSON at a path, verbatim: Python would write NaN and long numbers its own way."""
    whole: Any = {"": json.loads(frame, parse_float=_Verbatim)}
    part = whole
    for key in ("", *path)[:-1]:
        part = part[key]
    part[("", *path)[-1]] = Placeholder.TEXT
    return _dump(whole[""]).replace(f'"{Placeholder.TEXT}"', text)


class _Verbatim(float):
    """A float that keeps its text."""

    def __new__(cls, text: str) -> "_Verbatim":
        number = super().__new__(cls, text)
        number.text = text
        return number

    text: str

    def __repr__(self) -> str:
        return self.text


def _dump(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_dump(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_dump, value)) + "]"
    return repr(value) if isinstance(value, _Verbatim) else json.dumps(value)


PLACES = [(frame, path) for frame in WHOLE for path in _paths(json.loads(frame))]


def test_every_valid_frame_is_decoded() -> None:
    assert all(decode_checked(frame) for frame in WHOLE)


def test_a_lower_case_z_is_utc() -> None:
    assert decode_checked(TRADE.replace("Z", "z")) == decode_checked(TRADE)


@pytest.mark.parametrize("odd_value", ODD_VALUES, ids=lambda text: text[:30])
def test_an_odd_value_anywhere_is_refused_or_harmless(odd_value: str) -> None:
    for frame, path in PLACES:
        decode_checked(_replace_at(frame, path, odd_value))


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "-1", '"1.5"', "true", "[]", "1" + "0" * 400]
)
def test_an_invalid_price_or_quantity_is_refused(number: str) -> None:
    names = {"price", "qty", "bid", "ask", "last", "bid_qty", "open", "high", "low", "close", "volume"}
    names |= {
        "last_qty",
        "last_price",
        "order_qty",
        "cum_qty",
        "avg_price",
        "qty_min",
        "cost_min",
        "qty_increment",
    }
    places = [(frame, path) for frame, path in PLACES if path and path[-1] in names and "fees" not in path]
    assert len(places) > 25
    for frame, path in places:
        assert decode_checked(_replace_at(frame, path, number)) is None, path


@pytest.mark.parametrize("name", ["price", "bid", "ask", "last", "open", "close", "last_price"])
def test_no_price_can_be_zero(name: str) -> None:
    places = [(frame, path) for frame, path in PLACES if path and path[-1] == name]
    assert places
    for frame, path in places:
        assert decode_checked(_replace_at(frame, path, "0.0")) is None


@pytest.mark.parametrize(
    ("frame", "names"),
    [
        (TRADE, "channel type data symbol side price qty trade_id timestamp"),
        (TICKER, "channel type data symbol"),
        (CANDLE, "channel type data symbol open high low close trades volume interval interval_begin"),
        (BOOK, "channel type data symbol bids asks price qty checksum"),
        (
            INSTRUMENT,
            "channel type data symbol status price_precision price_increment qty_precision qty_increment",
        ),
        (INSTRUMENT, "qty_min cost_min"),
        (
            FILL,
            "channel type data sequence order_id exec_id exec_type last_qty last_price timestamp asset qty",
        ),
        (BALANCE, "channel type data sequence asset balance id"),
        (STATUS, "channel data system"),
        (ANSWER, "method success"),
    ],
    ids=lambda text: text[:22],
)
def test_a_message_without_a_required_field_is_refused(frame: str, names: str) -> None:
    for name in names.split():
        paths = [path for path in _paths(json.loads(frame)) if path and path[-1] == name]
        assert paths, name
        for path in paths:
            assert decode_checked(_remove_at(frame, path)) is None, path


def _remove_at(frame: str, path: tuple[Any, ...]) -> str:
    whole = json.loads(frame, parse_float=_Verbatim)
    part = whole
    for key in path[:-1]:
        part = part[key]
    del part[path[-1]]
    return _dump(whole)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(PLACES), st.text(max_size=12), st.sampled_from(ODD_VALUES))
def test_new_keys_change_nothing(place: tuple[str, tuple[Any, ...]], key: str, value: str) -> None:
    frame, path = place
    before, after = decode_checked(frame), json.loads(frame, parse_float=_Verbatim)
    part = after
    for step in path:
        part = part[step]
    assume(_is_json(value))
    if isinstance(part, dict) and "new " + key not in part:
        part["new " + key] = Placeholder.TEXT
        assert decode_checked(_dump(after).replace(f'"{Placeholder.TEXT}"', value)) == before


@pytest.mark.parametrize("frame", WHOLE, ids=lambda frame: frame[:30])
def test_a_truncated_frame_is_refused(frame: str) -> None:
    for length in range(len(frame)):
        assert decode_checked(frame[:length]) is None
        assert decode_checked(frame.encode()[:length]) is None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return not any(word in text for word in ("NaN", "Inf", "ud800"))  # which Python reads and JSON has not


@settings(deadline=None, max_examples=500)
@given(st.sampled_from(WHOLE), st.data())
def test_frames_with_flipped_bytes_are_refused_or_decoded_exactly(frame: str, data: st.DataObject) -> None:
    damaged = bytearray(frame.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    decode_checked(bytes(damaged))


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(WHOLE), st.data())
def test_frames_with_removed_or_doubled_pieces_are_refused_or_decoded_exactly(
    frame: str, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(frame)))
    end = data.draw(st.integers(start, len(frame)))
    decode_checked(frame[:start] + frame[start:end] * data.draw(st.sampled_from([0, 2, 3])) + frame[end:])


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None, max_examples=400)
@given(st.sampled_from(PLACES), VALUES)
def test_any_json_in_any_place_is_refused_or_decoded_exactly(place: tuple[str, Any], value: Any) -> None:
    decode_checked(_replace_at(*place, json.dumps(value)))


@settings(deadline=None, max_examples=200)
@given(st.sampled_from([*READERS, "instrument", "executions", "balances", "status", "heartbeat", ""]), VALUES)
def test_any_json_as_the_data_of_a_channel_is_refused_or_empty(channel: str, value: Any) -> None:
    decode_checked(json.dumps({"channel": channel, "type": "update", "sequence": 1, "data": value}))


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200) | st.text(st.characters(codec=None, exclude_categories=[]), max_size=200))
def test_noise_is_refused(noise: str | bytes) -> None:
    assume(
        noise not in (b'{"channel":"heartbeat"}', '{"channel":"heartbeat"}')
    )  # Hypothesis reads it in our code
    assert decode_checked(noise) is None


@pytest.mark.parametrize(
    ("frame", "channel", "reason"),
    [
        ("", "", "truncated"),
        ("null", "", "Expected `object`"),
        ('{"channel":"level3","type":"snapshot","data":[]}', "level3", "level3"),
        ('{"channel":"trade","type":"update","data":[{"price":NaN}]}', "trade", "malformed"),
        (TRADE.replace("0.00002345", "1e999"), "trade", r"out of range - at `\$\.data\[0\]\.price`"),
        (TRADE.replace("0.00002345", "-5"), "trade", "data.0..price"),
        (TRADE.replace("XRP/BTC", "XRPBTC"), "trade", "'XRPBTC' is not a pair"),
        (TRADE.replace("XRP/BTC", "XRP/XRP"), "trade", "'XRP/XRP' is not a pair"),
        (TRADE.replace("37.708706Z", "37.708706+02:00"), "trade", "is not UTC"),
        (TRADE.replace("37.708706Z", "37.708706"), "trade", "timezone"),
        (BOOK.replace("0.00005100", "-0.00005100"), "book", "qty -0.00005100 of a level is below zero"),
        (BOOK.replace("63395.2", "0"), "book", "price 0 of a level is not above zero"),
        (BOOK.replace("63395.2", '"63395.2"'), "book", "price is '63395.2': a number is expected"),
        (BOOK.replace("63395.2", ABSURD), "book", "InvalidOperation"),
        (BOOK.replace("3726153463", "4294967296"), "book", "checksum"),
        (CANDLE.replace('"low":0.5622', '"low":0.5625'), "ohlc", "outside low"),
        (CANDLE.replace("16:25:00", "16:26:00"), "ohlc", "no candle of 5m begins at"),
        (CANDLE.replace('"interval":5', '"interval":7'), "ohlc", "interval is 7 minutes"),
        ('{"channel":"status","data":' + "[" * 100_000, "status", "."),
        ('{"channel":"trade","new":' + "[" * 100_000, "trade", "recursion"),
        (TRADE.replace('"trade_id":7', '"trade_id":' + "7" * 5000), "trade", "out of range"),
        (TRADE.replace('"trade_id":7', '"trade_id":' + "7" * 500), "trade", "trade_id"),
        (b'{"channel":"book","type":"\xff"}', "book", "utf-8"),
        (b'{"channel":"b\xffok"}', "b\\ufffdok", "utf-8"),
        ('{"channel":"book","type":"\ud800"}', "book", "surrogates"),
        ('{"channel":"' + "x" * 1000 + '"}', "x" * 40, "Invalid value"),
        ('{"method":"subscribe","success":true,"error":"and yet"}', "", "success is True"),
        ('{"method":"subscribe","result":{"channel":"book"}}', "", "neither"),
        ("{}", "", "neither"),
    ],
    ids=str,
)
def test_a_refusal_names_the_channel_and_the_reason(frame: str | bytes, channel: str, reason: str) -> None:
    with pytest.raises(InvalidMessage, match=reason) as refusal:
        KrakenFeed().decode(frame)
    assert refusal.value.channel == channel


def test_one_invalid_element_refuses_its_whole_frame_and_no_later_one() -> None:
    feed = KrakenFeed()
    with pytest.raises(InvalidMessage):
        feed.decode(TRADE.replace("0.00002346", "-0.00002346"))
    assert list(feed.decode(TRADE)) == decode_plainly(TRADE)


def test_any_number_of_symbols_does_not_fill_the_memory() -> None:
    feed = KrakenFeed()
    for number in range(12_000):
        feed.decode(book_frame("1 1", "2 1", 0, symbol=f"A{number}/USD"))
    assert len(feed._pairs) <= 10_000


@recorded
def test_damaged_recordings_are_refused_or_decoded_exactly() -> None:
    chance = random.Random(4)
    names = [path.name for path in RECORDINGS.glob("kraken_v2_*.jsonl")]
    corpus = [frame for name in names for frame in list(frames(name))[:: 40 if "book" in name else 1]]
    outcomes = [decode_checked(_damage(frame, chance)) for frame in corpus for _ in range(20)]
    assert len(corpus) > 80
    assert 100 < sum(outcome is None for outcome in outcomes) < len(outcomes) - 20


def _damage(frame: str, chance: random.Random) -> str | bytes:
    start = chance.randrange(len(frame))
    end = chance.randrange(start, min(len(frame), start + 40)) + 1
    match chance.randrange(5):
        case 0:
            return frame[:start]
        case 1:
            return frame[:start] + frame[end:]
        case 2:
            return frame[:end] + frame[start:]
        case 3:
            damaged = bytearray(frame.encode())
            damaged[start] ^= 1 << chance.randrange(8)
            return bytes(damaged)
    return _replace_at(frame, chance.choice(list(_paths(json.loads(frame)))), chance.choice(ODD_VALUES))
