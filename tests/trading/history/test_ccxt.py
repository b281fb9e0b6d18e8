import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.trading.history.page_server import PageServer, Query, Reply, serving
from tests.trading.history.vendor_candles import (
    FIRST,
    MINUTE,
    NOW,
    Market,
    exchange_info,
    kline,
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
from trading.history.ccxt_candles import CcxtCandles
from trading.history.ccxt_responses import ccxt_library, translate_error
from trading.history.finer_quotes import FinerQuotes
from trading.history.page_cache import PageCache
from trading.market import CANDLE_SCHEMA, Pair, Timeframe
from trading.ports import CandleSource, Quote

BTC = Pair("BTC", "USDT")
PAIRS = (("BTC", "USDT"), ("XRP", "USDT"), ("XRP", "BTC"))


def binance(klines: Callable[[str, Query], Reply]) -> Callable[[str, Query], Reply]:
    def answer(path: str, query: Query) -> Reply:
        return Reply(exchange_info(*PAIRS)) if path.endswith("/exchangeInfo") else klines(path, query)

    return answer


@dataclass
class Rig:
    """A server that answers about the market as Binance would, and ccxt's own class turned to it."""

    market: Market
    server: PageServer
    folder: Path

    def source(self, **more: Any) -> CcxtCandles:
        config = {
            "urls": {"api": {"public": f"{self.server.url}/api/v3"}},
            "options": {"fetchMarkets": {"types": ["spot"]}},
            "enableRateLimit": False,  # nobody is hurt here
        }
        given: dict[str, Any] = {"venue": "binance", "timeframe": Timeframe.M1, "clock": lambda: NOW}
        given |= {"cache": PageCache(self.folder), "config": config, "sleep": lambda _: None}
        return CcxtCandles(**(given | more))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    market = Market()
    with serving(PageServer(binance(market.klines))) as server:
        yield Rig(market, server, tmp_path)


def klines_asked(server: PageServer) -> list[Query]:
    return [query for path, query in server.asked if path.endswith("/klines")]


def test_all_closed_candles_arrive_once_from_pages_of_the_venues_own_limit(rig: Rig) -> None:
    binance: CandleSource = rig.source()
    first, last = binance.span(BTC)
    assert (first, last) == (FIRST, NOW - timedelta(seconds=20))
    candles = binance.candles(BTC, first, last)
    assert rows_of(candles) == rig.market.closed(first, last)
    assert candles.schema == CANDLE_SCHEMA
    assert set(candles["origin"]) == {"binance"}
    assert {query["limit"] for query in klines_asked(rig.server)} == {"1000"}


@pytest.mark.parametrize("timeframe", [Timeframe.H1, Timeframe.D1])
def test_longer_timeframes_are_asked_for_by_their_name(rig: Rig, timeframe: Timeframe) -> None:
    binance = rig.source(timeframe=timeframe)
    candles = binance.candles(BTC, *binance.span(BTC))
    assert klines_asked(rig.server)[-1]["interval"] == timeframe.value
    length = timeframe.duration // timedelta(seconds=1)
    assert candles.height == len(rig.market.candles(length)) - 1  # the last one is open
    assert violations(candles, timeframe).is_empty()


def test_fetched_candles_are_not_requested_again_and_a_killed_download_continues(rig: Rig) -> None:
    end = NOW - 60 * MINUTE
    pages_until_the_end = iter(range(4))  # one finds the first candle, one a later candle than the end

    def dies(path: str, query: Query) -> Reply:
        if query["interval"] == "1m" and next(pages_until_the_end, None) is None:
            return Reply(None)
        return rig.market.klines(path, query)

    rig.server.answer = binance(dies)
    with pytest.raises(VenueUnreachable):
        rig.source().candles(BTC, FIRST, end)
    rig.server.answer = binance(rig.market.klines)
    again = rig.source()
    again.span(BTC)
    probing = len(rig.server.asked)
    assert rows_of(again.candles(BTC, FIRST, end)) == rig.market.closed(FIRST, end)
    resumed = [int(query["startTime"]) // 1000 for _, query in rig.server.asked[probing:]]
    assert min(resumed) == seconds(FIRST) + 2002 * 60  # two minutes of the first page were silent
    count = len(rig.server.asked)
    assert rows_of(again.candles(BTC, FIRST, end)) == rig.market.closed(FIRST, end)
    assert len(rig.server.asked) == count


def test_an_open_candle_is_never_given_but_its_open_is_a_quote(rig: Rig) -> None:
    binance = rig.source()
    candles = binance.candles(BTC, NOW - 5 * MINUTE, NOW + MINUTE)
    assert candles["close_time"].max() == NOW - timedelta(seconds=20)
    assert binance.quote_after(BTC, NOW - timedelta(seconds=30)) == Quote(5100.0, FIRST + 5000 * MINUTE)
    assert binance.quote_after(BTC, NOW) is None


def test_hourly_candles_may_have_the_quotes_of_minutes(rig: Rig) -> None:
    hours, begun = rig.source(timeframe=Timeframe.H1), NOW - timedelta(seconds=30)
    both = FinerQuotes(hours, rig.source())
    assert hours.quote_after(BTC, begun) is None  # until the next hour
    assert both.quote_after(BTC, begun) == Quote(5100.0, FIRST + 5000 * MINUTE)
    assert both.span(BTC) == hours.span(BTC)
    assert both.candles(BTC, *both.span(BTC)).equals(hours.candles(BTC, *hours.span(BTC)))
    assert both.origin == "binance"


def test_a_quote_is_found_beyond_a_silence_and_before_the_first_candle(rig: Rig) -> None:
    binance = rig.source()
    assert binance.quote_after(BTC, FIRST + 3000 * MINUTE) == Quote(3500.0, FIRST + 3400 * MINUTE)
    assert binance.quote_after(BTC, datetime(2015, 1, 1, tzinfo=UTC)) == Quote(100.0, FIRST)


def test_the_newest_candles_are_asked_for_again_until_they_have_settled(rig: Rig) -> None:
    late = FIRST + 4999 * MINUTE
    rig.market.silent |= {4999}  # not published yet
    assert rig.source().candles(BTC, late, NOW).is_empty()
    rig.market.silent -= {4999}
    assert rig.source().candles(BTC, late, NOW)["open_time"].to_list() == [late]


def test_silence_longer_than_a_page_stays_a_gap_and_ends(rig: Rig) -> None:
    """Some venues give what lies within `limit` candles of the beginning, which may be nothing."""
    silent = Market(silent=range(5, 4500))

    def within(path: str, query: Query) -> Reply:
        length = {"1m": 60, "1d": 86400}[query["interval"]]
        end = int(query["startTime"]) + 1000 * length * int(query["limit"])
        page = json.loads(silent.klines(path, query).body or b"")
        return Reply(json.dumps([entry for entry in page if entry[0] < end]).encode())

    rig.server.answer = binance(within)
    assert rows_of(rig.source().candles(BTC, FIRST, NOW)) == silent.closed(FIRST, NOW)
    assert len(rig.server.asked) < 20


def test_candles_that_come_twice_count_once(rig: Rig) -> None:
    def doubled(path: str, query: Query) -> Reply:
        page = json.loads(rig.market.klines(path, query).body or b"")
        return Reply(json.dumps(page[:1] + page + page[-1:]).encode())

    rig.server.answer = binance(doubled)
    assert rows_of(rig.source().candles(BTC, FIRST, NOW)) == rig.market.closed(FIRST, NOW)


def newest_only(market: Market, count: int | None = None) -> Callable[[str, Query], Reply]:
    """The newest `count` candles, or as many as are asked for, whatever the request begins with."""

    def answer(path: str, query: Query) -> Reply:
        page = json.loads(market.klines(path, query | {"startTime": "0", "limit": "999999"}).body or b"")
        return Reply(json.dumps(page[-(count or int(query["limit"])) :]).encode())

    return answer


def test_a_venue_that_stores_only_its_newest_minutes_is_refused(rig: Rig) -> None:
    rig.server.answer = binance(newest_only(rig.market))
    with pytest.raises(VenueRefused, match="ignores where to begin or keeps no older ones"):
        rig.source().span(BTC)


def test_a_venue_that_stores_less_than_a_page_is_detected_by_its_daily_candles(rig: Rig) -> None:
    rig.server.answer = binance(newest_only(rig.market, 300))
    with pytest.raises(VenueRefused, match="traded on 2023-11-01, yet the candles of 1m begin 2023-11-04"):
        rig.source().span(BTC)


def test_a_venue_that_ignores_where_to_begin_is_refused_by_its_days(rig: Rig) -> None:
    today = seconds(NOW) - seconds(NOW) % 86400
    days = [kline(today - 86400 * back, (1.0, 2.0, 0.5, 1.0, 3.0), 86400) for back in range(999, -1, -1)]
    rig.server.answer = binance(lambda path, query: Reply(json.dumps(days).encode()))
    with pytest.raises(VenueRefused, match="asked for 1d candles from 2010-01-01 on, got the newest 1000"):
        rig.source(timeframe=Timeframe.D1).span(BTC)


def test_an_unknown_venue_is_an_error_with_suggestions_before_any_request(rig: Rig) -> None:
    with pytest.raises(InvalidValue, match="ccxt knows no venue 'binanse': did you mean binance"):
        rig.source(venue="binanse").span(BTC)
    with pytest.raises(InvalidValue, match="ccxt knows no venue 'Exchange'"):
        rig.source(venue="Exchange").span(BTC)
    assert rig.server.asked == []


def test_an_unlisted_pair_is_an_error_with_suggestions(rig: Rig) -> None:
    with pytest.raises(NotStored, match="binance does not list BTC/USD; near to it are BTC/USDT"):
        rig.source().span(Pair("BTC", "USD"))


def test_a_timeframe_that_the_venue_lacks_is_an_error_with_those_it_has(rig: Rig) -> None:
    with pytest.raises(InvalidValue, match="btcmarkets has no candles of 15m; it has 1m, 1h, 1d"):
        rig.source(venue="btcmarkets", timeframe=Timeframe.M15).span(BTC)


def test_a_venue_that_publishes_no_candles_is_refused(rig: Rig) -> None:
    with pytest.raises(InvalidValue, match="coinmate publishes no candles"):
        rig.source(venue="coinmate").span(BTC)


def test_a_pair_that_never_traded_is_not_stored(rig: Rig) -> None:
    rig.server.answer = binance(lambda path, query: Reply(b"[]"))
    with pytest.raises(NotStored, match="has no candle of it"):
        rig.source().span(BTC)
    assert len(rig.server.asked) < 20


def refusal(code: int, words: str, status: int = 400) -> Reply:
    return Reply(json.dumps({"code": code, "msg": words}).encode(), status)


@pytest.mark.parametrize(
    ("reply", "error", "requests"),
    [
        (refusal(-1121, "Invalid symbol."), NotStored, 1),
        (refusal(-2015, "Invalid API-key, IP, or permissions for action."), NotAuthorised, 1),
        (refusal(-1100, "Illegal characters"), VenueRefused, 1),
        (refusal(-1003, "Too much request weight used", 429), RateLimited, 5),
        (Reply(b"teapot", 418), RateLimited, 5),
        (Reply(b"<html>bad gateway</html>", 502), VenueUnreachable, 5),
        (Reply(None), VenueUnreachable, 5),
        (Reply(b"<html>hello</html>"), InvalidMessage, 1),
        (Reply(b'{"lines": 3}'), InvalidMessage, 1),
        (Reply(b"3"), InvalidMessage, 1),
        (Reply(b"[[1698797000000]]"), InvalidMessage, 1),
        (Reply(b'[[null,"1","2","1","1","5"]]'), InvalidMessage, 1),
        (Reply(b'[[1698796800000,"1","2","1","1","5"],{"time":5}]'), InvalidMessage, 1),
        (Reply(b'[[1698796800000,"1","2","3","1","5"]]'), InvalidMessage, 1),
        (Reply(b'[[1698796800000,"1","2","NaN","1","5"]]'), InvalidMessage, 1),
        (Reply(b'[[1698796800000,"1","1e999","1","1","5"]]'), InvalidMessage, 1),
        (Reply(b'[[1698796800007,"1","2","1","1","5"]]'), InvalidMessage, 1),
        (Reply(b'[[9e99,"1","2","1","1","5"]]'), InvalidMessage, 1),
    ],
)
def test_each_failure_is_one_typed_error_and_only_what_may_pass_is_repeated(
    rig: Rig, tmp_path: Path, reply: Reply, error: type[MarketloomError], requests: int
) -> None:
    rig.server.answer = binance(lambda path, query: reply)
    with pytest.raises(error, match="binance BTC/USDT candles"):
        rig.source().span(BTC)
    assert len(klines_asked(rig.server)) == requests
    assert list(tmp_path.rglob("*.parquet")) == []


def test_a_failure_that_passes_is_overcome(rig: Rig) -> None:
    rig.server.first = [Reply(b"", 503), Reply(None)]
    waits: list[float] = []
    assert rig.source(sleep=waits.append).span(BTC)[0] == FIRST
    assert len(waits) == 2


def test_the_venues_rate_limit_is_respected_by_default(tmp_path: Path) -> None:
    asked: list[tuple[bool, int]] = []

    class Slow(ccxt_library().binance):  # type: ignore[misc]
        def load_markets(self, *_: object) -> None:
            asked.append((self.enableRateLimit, self.timeout))
            raise ccxt_library().NetworkError("no network in tests")

    exchange, ccxt_library().binance = ccxt_library().binance, Slow
    try:
        candles = CcxtCandles("binance", Timeframe.M1, PageCache(tmp_path), lambda: NOW, sleep=lambda _: None)
        with pytest.raises(VenueUnreachable):
            candles.span(BTC)
    finally:
        ccxt_library().binance = exchange
    assert set(asked) == {(True, 20_000)}


def test_ccxt_is_not_imported_until_a_venue_is_asked() -> None:
    code = (
        "import sys, pathlib; from trading.history.ccxt_candles import CcxtCandles as C;"
        "from trading.history.page_cache import PageCache as S; from trading.market import Timeframe as T;"
        "C('binance', T.M1, S(pathlib.Path('.')), lambda: None); print('ccxt' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


GOOD = json.dumps([kline(seconds(FIRST) + 60 * i, (1.0, 2.0, 0.5, 1.5, 3.0), 60) for i in range(3)]).encode()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, len(GOOD) - 1), junk=st.binary(max_size=4), cut=st.integers(0, 6))
def test_a_damaged_response_gives_candles_or_a_typed_error(
    rig: Rig, tmp_path_factory: pytest.TempPathFactory, at: int, junk: bytes, cut: int
) -> None:
    rig.server.answer = binance(rig.market.klines)
    binance_candles = replace(rig, folder=tmp_path_factory.mktemp("cache")).source()
    binance_candles.span(BTC)
    rig.server.answer = binance(lambda path, query: Reply(GOOD[:at] + junk + GOOD[at + cut :]))
    try:
        candles = binance_candles.candles(BTC, FIRST, FIRST + 3 * MINUTE)
    except MarketloomError:
        return
    assert violations(candles, Timeframe.M1).is_empty()


def test_no_network_says_what_to_do() -> None:
    error = translate_error(ccxt_library().ExchangeNotAvailable("binance GET https://api"), "binance candles")
    assert isinstance(error, VenueUnreachable)
    assert "check the internet connection" in str(error)
