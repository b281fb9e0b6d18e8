"""Public channels: frames of the recorded shape, answers per symbol, and bytes that are shared."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from streaming.sandbox.faults import Fault, FaultKind
from tests.streaming.sandbox.websocket_fakes import BTC, NOON
from tests.streaming.sandbox.websocket_hub import Rig
from trading.market import PairStatus

RECORDINGS = Path(__file__).parents[4] / "shared" / "data" / "ws"
# Spelling of a ticker and of a trade of September 2026, prices made up.
TICKER = (
    '{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USDT","bid":83744.2,"bid_qty":0.56251979,'
    '"ask":83744.3,"ask_qty":0.00044780,"last":83744.3,"volume":3156.84782110,"vwap":84174.6,"low":83163.6,'
    '"high":85247.4,"change":-429.3,"change_pct":-0.51,"trades":135262,"timestamp":"2026-09-25T17:48:26.844359Z"}]}'
)
TRADE = (
    '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USDT","side":"buy","price":83744.3,'
    '"qty":0.00044780,"ord_type":"limit","trade_id":109116693,"timestamp":"2026-09-25T17:48:26.844359Z"}]}'
)


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.exchange.quote(BTC, {"100.0": "1", "99.9": "2"}, {"100.1": "3"})
    rig.exchange.trade(BTC, ("100.1", "0.5"))
    return rig


def shape(value: Any) -> Any:
    """Keys in their order, and how each value is spelled: numbers by their decimals, times by their digits."""
    if isinstance(value, dict):
        return [(name, shape(it)) for name, it in value.items()]
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if isinstance(value, _Number):
        return f"number with {len(str(value).partition('.')[2])} decimals"
    if isinstance(value, str) and value.endswith("Z") and value[4:5] == "-":
        return f"time of {len(value)} characters"
    return type(value).__name__


class _Number(str):
    pass


def read(frame: str | bytes) -> Any:
    return json.loads(frame, parse_float=_Number)


def recorded(name: str, channel: str, kind: str) -> Any:
    path = RECORDINGS / name
    if not path.exists():
        pytest.skip(f"no recording at {path}")
    for line in path.read_text().splitlines():
        frame = read(line)
        frame = frame.get("frame", frame)
        if channel in (frame.get("channel"), frame.get("result", {}).get("channel"), frame.get("error")) and (
            frame.get("type", "") == kind
        ):
            return frame
    raise AssertionError(f"{path} has no {kind} of {channel}")


def test_the_first_frame_of_a_connection_is_the_recorded_status(rig: Rig) -> None:
    [status] = rig.listener.payloads
    assert shape(read(status)) == shape(recorded("kraken_v2_ohlc_BTC-USDT.jsonl", "status", "update"))


def test_acknowledgements_are_as_recorded(rig: Rig) -> None:
    rig.subscribe("ohlc", "BTC/USDT", interval=1)
    [ohlc] = rig.listener.answers("subscribe")
    assert list(ohlc) == list(recorded("kraken_v2_ohlc_BTC-USDT.jsonl", "ohlc", ""))
    assert list(ohlc["result"].items()) == list(
        recorded("kraken_v2_ohlc_BTC-USDT.jsonl", "ohlc", "")["result"].items()
    )
    rig.listener.clear()
    rig.subscribe("book", "BTC/USDT", depth=25)
    [book] = rig.listener.answers("subscribe")
    assert shape(book) == shape(recorded("kraken_v2_book_BTC-USD.jsonl", "book", ""))


def test_a_refused_symbol_is_as_recorded(rig: Rig) -> None:
    rig.subscribe("ohlc", "XBT/USDT")
    [refusal] = rig.listener.answers("subscribe")
    expected = recorded("kraken_v2_ohlc_BTC-USDT.jsonl", "Currency pair not supported XBT/USDT", "")
    assert shape(refusal) == shape(expected)
    assert (refusal["error"], refusal["symbol"]) == (expected["error"], expected["symbol"])


@pytest.mark.parametrize("kind", ["snapshot", "update"])
def test_candles_have_the_recorded_form(rig: Rig, kind: str) -> None:
    rig.subscribe("ohlc", "BTC/USDT", interval=1)
    rig.exchange.trade(BTC, ("100.2", "0.1"))
    [sent] = [
        it for it in map(read, rig.listener.payloads) if it.get("type") == kind and it["channel"] == "ohlc"
    ]
    assert shape(sent) == shape(recorded("kraken_v2_ohlc_BTC-USDT.jsonl", "ohlc", kind))


@pytest.mark.parametrize("kind", ["snapshot", "update"])
def test_books_have_the_recorded_form(rig: Rig, kind: str) -> None:
    rig.subscribe("book", "BTC/USDT")
    rig.exchange.quote(BTC, {"99.9": "1"}, {})
    [sent] = [
        it for it in map(read, rig.listener.payloads) if it.get("type") == kind and it["channel"] == "book"
    ]
    example = recorded("kraken_v2_book_BTC-USD.jsonl", "book", kind)
    assert shape(sent) == shape(example)


def test_instruments_have_the_recorded_form(rig: Rig) -> None:
    path = RECORDINGS / "kraken_v2_instrument_snapshot.json"
    if not path.exists():
        pytest.skip(f"no recording at {path}")
    rig.subscribe("instrument")
    sent = read(rig.listener.payloads[-1])
    example = read(path.read_text())
    pairs = {it["symbol"]: it for it in example["data"]["pairs"]}
    assert list(sent) == ["channel", "type", "data"] == list(example)
    assert list(sent["data"]) == list(example["data"])
    assert shape(sent["data"]["pairs"][0]) == shape(pairs["BTC/USDT"])
    for name, expected in pairs["BTC/USDT"].items():
        if not name.startswith("position_limit"):
            assert sent["data"]["pairs"][0][name] == expected, name
    unmarginable = next(it for it in example["data"]["pairs"] if not it["marginable"])
    assert list(sent["data"]["pairs"][1]) == list(unmarginable)
    assets = {it["id"]: it for it in example["data"]["assets"]}
    assert sent["data"]["assets"][:2] == [assets["BTC"], assets["USDT"]]


def test_trades_and_tickers_are_spelled_as_the_venue_spells_them(rig: Rig) -> None:
    rig.subscribe("trade", "BTC/USDT")
    rig.subscribe("ticker", "BTC/USDT", snapshot=False)
    rig.listener.clear()
    rig.exchange.trade(BTC, ("100.2", "0.1"))
    trade, ticker = map(read, rig.listener.payloads)
    assert shape(trade) == shape(read(TRADE))
    assert shape(ticker) == shape(read(TICKER))


def test_a_trade_channel_sends_the_last_fifty_only_on_request(rig: Rig) -> None:
    for number in range(60):
        rig.exchange.trade(BTC, ("100.1", "0.1"), at=NOON + timedelta(seconds=number))
    rig.subscribe("trade", "BTC/USDT")
    assert rig.listener.of("trade") == []
    rig.send("unsubscribe", {"channel": "trade", "symbol": ["BTC/USDT"]})
    rig.subscribe("trade", "BTC/USDT", snapshot=True)
    [snapshot] = rig.listener.of("trade")
    numbers = [it["trade_id"] for it in snapshot["data"]]
    assert numbers == list(range(12, 62))


def test_trades_of_one_event_come_in_one_frame(rig: Rig) -> None:
    rig.subscribe("trade", "BTC/USDT")
    rig.exchange.trade(BTC, ("100.1", "0.1"), ("100.2", "0.2"))
    [update] = rig.listener.of("trade")
    assert [(it["price"], it["qty"]) for it in update["data"]] == [
        ("100.1", "0.10000000"),
        ("100.2", "0.20000000"),
    ]


def test_candles_are_only_published_after_a_trade(rig: Rig) -> None:
    rig.subscribe("ohlc", "BTC/USDT", interval=5, snapshot=False)
    rig.exchange.now = NOON + timedelta(minutes=30)
    rig.exchange.quote(BTC, {"99.9": "7"}, {})
    rig.clock.now += 1800
    rig.hub.tick()
    assert rig.listener.of("ohlc") == []
    rig.exchange.trade(BTC, ("101.0", "0.1"))
    [update] = rig.listener.of("ohlc")
    [candle] = update["data"]
    assert candle["interval_begin"] == "2026-09-10T12:30:00.000000000Z"
    assert (candle["open"], candle["trades"], candle["volume"]) == ("101.0", 1, "0.10000000")


@pytest.mark.parametrize("interval", [1, 5, 15, 30, 60, 240, 1440, 10080, 21600])
def test_every_interval_has_its_candles(rig: Rig, interval: int) -> None:
    rig.subscribe("ohlc", "BTC/USDT", interval=interval)
    rig.exchange.trade(BTC, ("100.4", "0.1"))
    snapshot, update = rig.listener.of("ohlc")
    assert [it["trades"] for it in snapshot["data"]] == [1]
    assert [(it["trades"], it["interval"]) for it in update["data"]] == [(2, interval)]


def test_a_ticker_by_trades_is_silent_while_only_the_book_moves(rig: Rig) -> None:
    rig.subscribe("ticker", "BTC/USDT", snapshot=False)
    rig.exchange.quote(BTC, {"100.0": "9"}, {})
    assert rig.listener.of("ticker") == []


def test_a_ticker_by_best_prices_is_published_only_when_they_move(rig: Rig) -> None:
    rig.subscribe("ticker", "BTC/USDT", event_trigger="bbo", snapshot=False)
    rig.exchange.quote(BTC, {"99.9": "8"}, {})
    assert rig.listener.of("ticker") == []
    rig.exchange.quote(BTC, {"100.0": "9"}, {})
    [update] = rig.listener.of("ticker")
    assert (update["data"][0]["bid"], update["data"][0]["bid_qty"]) == ("100.0", "9.00000000")
    rig.exchange.trade(BTC, ("100.1", "0.1"))
    assert len(rig.listener.of("ticker")) == 1


def test_a_book_without_a_snapshot_misses_no_change(rig: Rig) -> None:
    rig.subscribe("book", "BTC/USDT", snapshot=False)
    rig.exchange.quote(BTC, {"99.8": "5"}, {})
    [update] = rig.listener.of("book")
    assert update["data"][0]["bids"] == [{"price": "99.8", "qty": "5.00000000"}]


def test_each_symbol_gets_its_own_answer_and_then_its_snapshot(rig: Rig) -> None:
    rig.listener.clear()
    rig.subscribe("book", "BTC/USDT", "DOGE/USD", "XRP/BTC")
    sent = [it.get("error") or it.get("type") or "acknowledged" for it in rig.listener.messages]
    refused = "Currency pair not supported DOGE/USD"
    assert sent == ["acknowledged", "snapshot", refused, "acknowledged", "snapshot"]


def test_a_second_subscription_is_refused_and_so_is_a_second_depth(rig: Rig) -> None:
    rig.subscribe("trade", "BTC/USDT")
    rig.subscribe("book", "BTC/USDT", depth=10)
    rig.listener.clear()
    rig.subscribe("trade", "BTC/USDT")
    rig.subscribe("book", "BTC/USDT", depth=100)
    answers = rig.listener.answers("subscribe")
    assert [(it["error"], it["success"]) for it in answers] == [("Already subscribed", False)] * 2


def test_an_unsubscribed_channel_is_silent_and_cannot_be_unsubscribed_again(rig: Rig) -> None:
    rig.subscribe("book", "BTC/USDT", depth=25, snapshot=False)
    rig.send("unsubscribe", {"channel": "book", "symbol": ["BTC/USDT"], "depth": 25}, request_id=4)
    rig.exchange.quote(BTC, {"99.8": "5"}, {})
    assert rig.listener.of("book") == []
    rig.send("unsubscribe", {"channel": "book", "symbol": ["BTC/USDT"], "depth": 25}, request_id=5)
    first, second = rig.listener.answers("unsubscribe")
    assert first["result"] == {"channel": "book", "depth": 25, "symbol": "BTC/USDT"}
    assert (second["req_id"], second["error"]) == (5, "Subscription Not Found")


def test_responses_have_the_request_s_id_and_both_times(rig: Rig) -> None:
    rig.send("ping", request_id=101)
    [pong] = rig.listener.answers("pong")
    assert list(pong) == ["method", "req_id", "time_in", "time_out"]
    assert pong["req_id"] == 101
    assert pong["time_in"] <= pong["time_out"] == "2026-08-29T10:40:00.000000Z"


def test_all_subscribers_of_a_book_are_written_the_same_bytes(rig: Rig) -> None:
    others = [rig.connect() for _ in range(3)]
    request = '{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USDT"]}}'
    for _, conversation in others:
        conversation.handle(request)
    rig.exchange.quote(BTC, {"99.8": "5"}, {})
    wires = {id(listener.wires[-1]) for listener, _ in others}
    assert len(wires) == 1
    assert b'"type":"update"' in others[0][0].payloads[-1]


def test_a_heartbeat_comes_every_second_once_something_is_subscribed(rig: Rig) -> None:
    for _ in range(3):
        rig.clock.now += 1
        rig.hub.tick()
    assert rig.listener.of("heartbeat") == []
    rig.subscribe("trade", "BTC/USDT")
    for _ in range(20):
        rig.clock.now += 0.1
        rig.hub.tick()
        rig.exchange.trade(BTC, ("100.1", "0.1"))
    assert len(rig.listener.of("heartbeat")) == 2
    assert b'{"channel":"heartbeat"}' in rig.listener.payloads


def test_a_change_of_the_exchange_s_status_reaches_every_client(rig: Rig) -> None:
    rig.subscribe("instrument", snapshot=False)
    rig.listener.clear()
    rig.exchange.set_status(None, PairStatus.MAINTENANCE)
    rig.exchange.set_status(BTC, PairStatus.CANCEL_ONLY)
    [status], [update] = rig.listener.of("status"), rig.listener.of("instrument")
    assert status["data"][0]["system"] == "maintenance"
    assert (update["type"], update["data"]["assets"]) == ("update", [])
    assert [(it["symbol"], it["status"]) for it in update["data"]["pairs"]] == [("BTC/USDT", "cancel_only")]


def test_a_status_set_by_a_fault_is_published_when_it_begins_and_when_it_ends(rig: Rig) -> None:
    rig.subscribe("instrument", snapshot=False)
    rig.listener.clear()
    rig.faults.arm(Fault(FaultKind.POST_ONLY, after=10, lasts=10))
    sent = []
    for _ in range(4):
        rig.hub.tick()
        sent.append([it["data"][0]["system"] for it in rig.listener.of("status")])
        rig.clock.now += 6
    assert sent == [[], [], ["post_only"], ["post_only"]]
    rig.hub.tick()
    assert [it["data"][0]["system"] for it in rig.listener.of("status")] == ["post_only", "online"]
    statuses = [
        [it["status"] for it in message["data"]["pairs"]] for message in rig.listener.of("instrument")
    ]
    assert statuses == [["post_only", "post_only"], ["online", "online"]]


def test_a_connection_that_ended_leaves_nothing_behind(rig: Rig) -> None:
    rig.subscribe("book", "BTC/USDT")
    rig.subscribe("ticker", "BTC/USDT", event_trigger="bbo")
    rig.subscribe("executions", token="good")
    assert rig.tokens.in_use == 1
    rig.hub.detach(rig.conversation.client)
    rig.hub.detach(rig.conversation.client)
    assert rig.tokens.in_use == 0
    assert not rig.hub.clients
    rig.listener.clear()
    rig.exchange.quote(BTC, {"99.8": "5"}, {})
    assert rig.listener.payloads == []


def test_a_delayed_frame_is_sent_although_its_fault_is_gone(rig: Rig) -> None:
    rig.subscribe("trade", "BTC/USDT")
    rig.faults.arm(Fault(FaultKind.REORDERED_MESSAGES, channel="trade", count=1))
    rig.exchange.trade(BTC, ("100.1", "0.1"))
    assert rig.listener.of("trade") == []
    rig.faults.clear()
    rig.exchange.trade(BTC, ("100.1", "0.2"))
    assert [it["data"][0]["trade_id"] for it in rig.listener.of("trade")] == [3, 2]
