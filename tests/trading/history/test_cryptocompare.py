import json
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trading.history.page_server import PageServer, Query, Reply, serving
from tests.trading.history.vendor_candles import (
    FIRST,
    MINUTE,
    NOW,
    Market,
    legacy_answer,
    legacy_candle,
    modern_candle,
    rows_of,
    seconds,
)
from trading.candles import violations
from trading.errors import (
    InvalidMessage,
    InvalidValue,
    MarketloomError,
    NotAuthorised,
    NotStored,
    RateLimited,
    VenueRefused,
    VenueUnreachable,
)
from trading.history.candle_rows import candle_table
from trading.history.cryptocompare import CryptoCompareCandles
from trading.history.cryptocompare_responses import CandleResponse, legacy_candles, modern_candles
from trading.history.page_cache import PageCache
from trading.market import CANDLE_SCHEMA, Pair, Timeframe
from trading.ports import CandleSource, Quote

BTC = Pair("BTC", "USDT")
RECORDED = Path(__file__).parents[4] / "shared" / "data" / "rest"
KEY = "k3y-that-nobody-may-see"


def recorded(name: str) -> bytes:
    file = RECORDED / name
    if not file.exists():
        pytest.skip(f"the recorded answer {file} is not here")
    return file.read_bytes()


@dataclass(frozen=True)
class Rig:
    """A server that answers about the market as CryptoCompare would, and sources that ask it."""

    market: Market
    server: PageServer
    http: httpx.Client
    folder: Path

    def source(
        self, market: str = "kraken", timeframe: Timeframe = Timeframe.M1, **more: Any
    ) -> CryptoCompareCandles:
        given: dict[str, Any] = {"clock": lambda: NOW, "key": KEY, "http": self.http, "url": self.server.url}
        given |= {"sleep": lambda _: None}
        return CryptoCompareCandles(market, timeframe, PageCache(self.folder), **(given | more))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    market = Market()
    with serving(PageServer(market.modern)) as server, httpx.Client() as http:
        yield Rig(market, server, http, tmp_path)


def test_all_candles_arrive_once_from_pages_that_go_backwards(rig: Rig) -> None:
    source: CandleSource = rig.source()
    first, last = source.span(BTC)
    assert (first, last) == (FIRST, NOW - timedelta(seconds=20))
    candles = source.candles(BTC, first, last)
    assert rows_of(candles) == rig.market.closed(first, last)
    assert candles.schema == CANDLE_SCHEMA
    assert set(candles["origin"]) == {"cryptocompare-kraken"}
    assert violations(candles, Timeframe.M1).is_empty()


def test_requests_say_what_the_interface_wants_and_the_key_goes_into_the_header(rig: Rig) -> None:
    rig.source().candles(BTC, FIRST, NOW)
    path, query = rig.server.asked[-1]
    assert path == "/spot/v1/historical/minutes"
    assert query.items() >= {
        "market": "kraken", "instrument": "BTC-USDT", "aggregate": "1", "fill": "false", "apply_mapping": "true",
    }.items()  # fmt: skip
    assert set(rig.server.authorisations) == {f"Apikey {KEY}"}
    assert KEY not in json.dumps(rig.server.asked)


@pytest.mark.parametrize(
    ("name", "timeframe", "path", "aggregate"),
    [
        ("cadli", Timeframe.H1, "/index/cc/v1/historical/hours", "1"),
        ("kraken", Timeframe.M15, "/spot/v1/historical/minutes", "15"),
        ("kraken", Timeframe.H4, "/spot/v1/historical/hours", "4"),
        ("kraken", Timeframe.D1, "/spot/v1/historical/days", "1"),
    ],
)
def test_each_timeframe_and_market_has_its_path(
    rig: Rig, name: str, timeframe: Timeframe, path: str, aggregate: str
) -> None:
    source = rig.source(name, timeframe)
    candles = source.candles(BTC, *source.span(BTC))
    assert (rig.server.asked[-1][0], rig.server.asked[-1][1]["aggregate"]) == (path, aggregate)
    assert candles.height > 0
    assert violations(candles, timeframe).is_empty()


def test_an_open_candle_is_never_given(rig: Rig) -> None:
    candles = rig.source().candles(BTC, NOW - 5 * MINUTE, NOW + MINUTE)
    assert candles["close_time"].max() == NOW - timedelta(seconds=20)


def test_fetched_candles_are_not_requested_again_and_a_killed_download_continues(rig: Rig) -> None:
    end = NOW - 60 * MINUTE
    pages_until_the_end = iter(range(3))  # one finds a later candle than the end

    def dies(path: str, query: Query) -> Reply:
        probes = path.endswith("days") or query["limit"] == "1440"
        if not probes and next(pages_until_the_end, None) is None:
            return Reply(None)
        return rig.market.modern(path, query)

    rig.server.answer = dies
    with pytest.raises(VenueUnreachable):
        rig.source().candles(BTC, FIRST, end)
    rig.server.answer = rig.market.modern
    already = len(rig.server.asked)
    source = rig.source()
    source.span(BTC)
    probing = len(rig.server.asked) - already
    assert rows_of(source.candles(BTC, FIRST, end)) == rig.market.closed(FIRST, end)
    resumed = [int(query["to_ts"]) for _, query in rig.server.asked[already + probing :]]
    assert max(resumed) < seconds(end) - 2 * 2000 * 60 + 60  # both pages of the killed download stayed
    count = len(rig.server.asked)
    assert rows_of(source.candles(BTC, FIRST, end)) == rig.market.closed(FIRST, end)
    assert len(rig.server.asked) == count


def test_the_newest_candles_are_asked_for_again_until_they_have_settled(rig: Rig) -> None:
    late = FIRST + 4999 * MINUTE
    rig.market.silent |= {4999}  # not published yet
    assert rig.source().candles(BTC, late, NOW).is_empty()
    rig.market.silent -= {4999}
    assert rig.source().candles(BTC, late, NOW)["open_time"].to_list() == [late]


def test_a_page_without_a_trade_is_skipped_and_stays_a_gap(rig: Rig) -> None:
    silent = Market(silent=range(490, 4500))  # two empty pages end just after the trades
    rig.server.answer = silent.modern
    candles = rig.source().candles(BTC, FIRST, NOW - 60 * MINUTE)
    assert rows_of(candles) == silent.closed(FIRST, NOW - 60 * MINUTE)
    assert len(rig.server.asked) < 15


def test_a_response_may_reach_back_further_than_requested(rig: Rig) -> None:
    rig.server.answer = lambda path, query: rig.market.modern(path, query | {"limit": "2000"})
    start, end = FIRST + 4000 * MINUTE, FIRST + 4005 * MINUTE
    assert rows_of(rig.source().candles(BTC, start, end)) == rig.market.closed(start, end)


def test_a_quote_is_the_first_open_at_or_after_a_time_even_of_an_open_candle(rig: Rig) -> None:
    source = rig.source()
    assert source.quote_after(BTC, FIRST + 10 * MINUTE) == Quote(112.0, FIRST + 12 * MINUTE)
    assert source.quote_after(BTC, FIRST + 3000 * MINUTE) == Quote(3500.0, FIRST + 3400 * MINUTE)
    assert source.quote_after(BTC, NOW - timedelta(seconds=30)) == Quote(5100.0, FIRST + 5000 * MINUTE)
    assert source.quote_after(BTC, NOW) is None


def test_progress_is_logged_page_by_page(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    rig.source().candles(BTC, FIRST, NOW - 60 * MINUTE)
    told = [record.getMessage() for record in caplog.records if record.name == "marketloom.history"]
    assert len(told) >= 3
    assert told[-1].startswith("cryptocompare-kraken BTC/USDT 1m candles: ")
    assert "100 % of 2023-11-01 00:03 to " in told[-1]
    assert KEY not in caplog.text


def test_without_a_key_nothing_is_asked_and_the_variable_is_named(rig: Rig) -> None:
    with pytest.raises(NotAuthorised, match=r"developers\.coindesk\.com.*CRYPTOCOMPARE_API_KEY"):
        rig.source(key="").span(BTC)
    assert rig.server.asked == []


def failure(status: int, kind: int, message: str, **headers: str) -> Reply:
    error = {"type": kind, "message": message, "http_status_code": status, "frontend": {}}
    return Reply(json.dumps({"Data": {}, "Err": error}).encode(), status, headers)


LEGACY_LIMIT = {"Response": "Error", "Message": "You are over your rate limit please upgrade your account!",
                "HasWarning": False, "Type": 99, "RateLimit": {}, "Data": {}}  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (failure(401, 2, "API key required, please refer"), NotAuthorised, "CRYPTOCOMPARE_API_KEY"),
        (failure(200, 2, "API key required"), NotAuthorised, "API key required"),
        (failure(403, 1, "no"), NotAuthorised, "subscription"),
        (failure(404, 1, "no such instrument"), NotStored, "no such instrument"),
        (failure(400, 1, "bad parameter"), VenueRefused, "bad parameter"),
        (failure(400, 1, "the market is closed"), VenueRefused, "the market is closed"),
        (failure(200, 1, "instrument BTC-XYZ does not exist on kraken"), NotStored, "BTC-XYZ"),
        (Reply(b"<html>gateway</html>", 302), VenueRefused, "HTTP 302"),
        (Reply(b"<html>hello</html>"), InvalidMessage, "not an answer"),
        (Reply(b'{"Data":{},"Err":{}}'), InvalidMessage, "neither candles nor an error"),
        (Reply(b"\xff\xfe"), InvalidMessage, "not an answer"),
        (Reply(b"no gzip", headers={"Content-Encoding": "gzip"}), InvalidMessage, "unreadable"),
    ],
)  # fmt: skip
def test_each_refusal_is_one_typed_error_and_is_not_repeated(
    rig: Rig, reply: Reply, error: type[MarketloomError], words: str
) -> None:
    rig.server.answer = lambda path, query: reply
    with pytest.raises(error, match=words) as raised:
        rig.source().span(BTC)
    assert len(rig.server.asked) == 1
    assert KEY not in str(raised.value)


def refused_after_a_page(market: Market, reply: Reply) -> Callable[[str, Query], Reply]:
    """The newest days are answered for; what is asked of older ones gets `reply`."""

    def answer(path: str, query: Query) -> Reply:
        newest = int(query["to_ts"]) >= seconds(FIRST)
        return market.modern(path, query) if newest else reply

    return answer


@pytest.mark.parametrize(
    "reply",
    [
        failure(404, 1, "not found"),
        failure(404, 1, "no such instrument"),
        failure(400, 1, "the market parameter is wrong"),
        failure(200, 1, "instrument BTC-USDT does not exist on kraken"),
        failure(200, 1, "no data: we are working on it"),
    ],
)
def test_a_refusal_in_the_middle_of_the_search_is_no_beginning_of_the_history(rig: Rig, reply: Reply) -> None:
    rig.server.answer = refused_after_a_page(rig.market, reply)
    with pytest.raises(
        VenueRefused, match=r"candles from 2023-11-01 on were there|'the market parameter is wrong'"
    ):
        rig.source().span(BTC)


def test_data_that_the_subscription_leaves_out_is_no_beginning_of_the_history(rig: Rig) -> None:
    rig.server.answer = refused_after_a_page(
        rig.market, failure(400, 1, "No data before 2023 in your subscription")
    )
    with pytest.raises(NotAuthorised, match="subscription that includes this data"):
        rig.source().span(BTC)


@pytest.mark.parametrize(
    "words",
    [
        "There is no data available before 1698796800",
        "No historical data for BTC-USDT earlier than 2023-11-01",
        "to_ts lies before the first candle",
    ],
)
def test_a_refusal_for_lack_of_older_candles_marks_the_beginning(rig: Rig, words: str) -> None:
    rig.server.answer = refused_after_a_page(rig.market, failure(404, 1, words))
    assert rig.source().span(BTC)[0] == FIRST


@pytest.mark.parametrize(
    "reply",
    [
        Reply(None), Reply(b"", 500), Reply(b"<html>bad gateway</html>", 502), failure(503, 5, "maintenance"),
        failure(429, 99, "slow down"), Reply(json.dumps(LEGACY_LIMIT).encode(), 429, {"Retry-After": "2"}),
    ],
)  # fmt: skip
def test_what_may_pass_is_asked_again(rig: Rig, reply: Reply) -> None:
    rig.server.first = [reply, reply]
    waits: list[float] = []
    assert rig.source(sleep=waits.append).span(BTC)[0] == FIRST
    assert len(waits) == 2
    if reply.headers:
        assert waits == [2.0, 2.0]


def test_an_error_that_lasts_is_raised_after_the_retries(rig: Rig) -> None:
    rig.server.answer = lambda path, query: Reply(b"", 503)
    with pytest.raises(VenueUnreachable, match="HTTP 503"):
        rig.source().span(BTC)
    assert len(rig.server.asked) == 5


def test_a_long_wait_is_left_to_the_caller(rig: Rig) -> None:
    rig.server.answer = lambda path, query: failure(429, 99, "too many", **{"Retry-After": "3600"})
    with pytest.raises(RateLimited, match="wait 3600 s"):
        rig.source().span(BTC)
    assert len(rig.server.asked) == 1


def test_a_server_that_is_not_there_is_unreachable(rig: Rig) -> None:
    with pytest.raises(VenueUnreachable, match=r"no answer .*; check the internet connection"):
        rig.source(url="http://127.0.0.1:1").span(BTC)


def answer(**changes: object) -> bytes:
    candle = modern_candle("kraken", "BTC-USDT", "minutes", seconds(FIRST), (1.0, 2.0, 0.5, 1.5, 3.0))
    return json.dumps({"Data": [candle | changes], "Err": {}}).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"MARKET": "binance"}, {"MAPPED_INSTRUMENT": "ETH-USDT"}, {"UNIT": "HOUR"}, {"TIMESTAMP": "soon"},
        {"VOLUME": None}, {"LOW_TRADE_PRICE": "1.5"}, {"VOLUME": -1.0}, {"HIGH_TRADE_PRICE": 0.1},
        {"FIRST_TRADE_PRICE": 0.0}, {"TIMESTAMP": 10**18}, {"TIMESTAMP": -60}, {"TIMESTAMP": seconds(FIRST) + 1},
        {"TIMESTAMP": seconds(NOW) + 60},
    ],
)  # fmt: skip
def test_an_impossible_candle_is_refused_and_nothing_is_cached(
    rig: Rig, tmp_path: Path, changes: dict[str, object]
) -> None:
    source = rig.source()
    source.span(BTC)
    rig.server.answer = lambda path, query: Reply(answer(**changes))
    with pytest.raises(InvalidMessage, match="cryptocompare-kraken BTC/USDT candles"):
        source.candles(BTC, FIRST, FIRST + 5 * MINUTE)
    assert list(tmp_path.rglob("*.parquet")) == []


def test_a_candle_opens_with_its_own_first_trade_and_a_window_without_one_is_left_out() -> None:
    empty = modern_candle("kraken", "BTC-USDT", "minutes", seconds(FIRST) + 60, (7.0, 7.0, 7.0, 7.0, 0.0))
    candles = json.loads(answer(OPEN=99.0))["Data"] + [empty | {"TOTAL_TRADES": 0, "FIRST_TRADE_PRICE": None}]
    body = json.dumps({"Data": candles, "Err": {}}).encode()
    answered = modern_candles(body, "kraken", "BTC-USDT", "MINUTE", "test")
    assert answered.times == [seconds(FIRST), seconds(FIRST) + 60]
    assert answered.candles == [(seconds(FIRST) * 1_000_000, 1.0, 2.0, 0.5, 1.5, 3.0)]


def test_the_old_index_comes_from_the_legacy_interface_without_its_filled_candles(rig: Rig) -> None:
    rig.server.answer = rig.market.legacy
    source = rig.source("CCCAGG")
    candles = source.candles(BTC, *source.span(BTC))
    assert rows_of(candles) == rig.market.closed(FIRST, NOW)
    path, query = rig.server.asked[-1]
    assert path == "/data/v2/histominute"
    assert query["tryConversion"] == "false"
    assert source.origin == "cryptocompare-cccagg"


@pytest.mark.parametrize("name", ["", "kra ken", "../x", "krakén"])
def test_a_market_that_cannot_be_one_is_refused_at_once(rig: Rig, name: str) -> None:
    with pytest.raises(InvalidValue, match="no market"):
        rig.source(name)


def test_recorded_responses_of_both_legacy_versions_are_decoded() -> None:
    days = legacy_candles(recorded("cryptocompare_histoday_v2_BTC-USD_2022-05.json"), "recorded")
    assert candle_table(days.candles, Timeframe.D1, "recorded").height == 12
    assert days.candles[0] == (1652140800_000_000, 30076.9, 32625.41, 29836.19, 31013.12, 103840.6)
    hours = legacy_candles(recorded("cryptocompare_histohour_v1_BTC-USD_2017-12.json"), "recorded")
    table = candle_table(hours.candles, Timeframe.H1, "recorded")
    assert table["open_time"][0] == datetime(2017, 12, 5, 23, tzinfo=UTC)
    assert (table.height, table["volume"][-1]) == (25, 5634.67)


def test_a_recorded_response_with_converted_prices_is_refused() -> None:
    body = recorded("cryptocompare_histominute_v1_aggregate10_2017-11.json")
    with pytest.raises(InvalidMessage, match=r"made up by conversion.*invert"):
        legacy_candles(body, "recorded")


def test_one_converted_candle_makes_the_response_unusable() -> None:
    candles = [legacy_candle(60, (1, 1, 1, 1, 1)), legacy_candle(120, (1, 1, 1, 1, 1))]
    candles[1]["conversionType"] = "multiply"
    with pytest.raises(InvalidMessage, match="multiply"):
        legacy_candles(legacy_answer(candles), "test")


def parse(body: bytes) -> None:
    """Whatever the bytes: candles that can be, or InvalidMessage or a refusal in the answer's own words."""
    with suppress(MarketloomError):
        sane(modern_candles(body, "kraken", "BTC-USDT", "MINUTE", "fuzz"))
    with suppress(MarketloomError):
        sane(legacy_candles(body, "fuzz"))


def sane(answered: CandleResponse) -> None:
    table = candle_table(answered.candles, Timeframe.M1, "fuzz")
    assert violations(table, Timeframe.M1).is_empty()


GOOD = [
    answer(),
    legacy_answer([legacy_candle(60, (1.0, 2.0, 0.5, 1.5, 3.0))]),
    json.dumps(LEGACY_LIMIT).encode(),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(body=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_candles_or_a_typed_error(body: bytes) -> None:
    parse(body)


@settings(max_examples=300, deadline=None)
@given(good=st.sampled_from(GOOD), at=st.integers(0), junk=st.binary(max_size=4), cut=st.integers(0, 6))
def test_a_damaged_response_gives_candles_or_a_typed_error(
    good: bytes, at: int, junk: bytes, cut: int
) -> None:
    at %= len(good)
    parse(good[:at] + junk + good[at + cut :])


@settings(max_examples=200, deadline=None)
@given(good=st.sampled_from(GOOD[:2]), name=st.integers(0), value=JSON)
def test_any_value_in_any_field_is_candles_or_a_typed_error(good: bytes, name: int, value: object) -> None:
    document = json.loads(good)
    data = document["Data"]["Data"] if isinstance(document["Data"], dict) else document["Data"]
    for target in (data[0], document):
        names = sorted(target)
        parse(json.dumps(document | {"Data": data}).encode())
        target[names[name % len(names)]] = value
        parse(json.dumps(document).encode())
