import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.trading.history.page_server import PageServer, Query, Reply, serving
from tests.trading.importers.vendor_candles import FIRST, Market, exchange_info, kline, seconds
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
from trading.history.ccxt_responses import ccxt_library
from trading.history.page_cache import PageCache
from trading.market import CANDLE_SCHEMA, Pair, Timeframe
from trading.ports import CandleSource, Quote

BTC = Pair("BTC", "USDT")
MINUTE = timedelta(minutes=1)
NOW = FIRST + 5000 * MINUTE + timedelta(seconds=20)
PAIRS = (("BTC", "USDT"), ("XRP", "USDT"), ("XRP", "BTC"))


@pytest.fixture
def market() -> Market:
    return Market(NOW, silent=[10, 11, *range(3000, 3400)])


@pytest.fixture
def server(market: Market) -> Iterator[PageServer]:
    with serving(PageServer(binance(market.klines))) as server:
        yield server


def binance(klines: Callable[[str, Query], Reply]) -> Callable[[str, Query], Reply]:
    def answer(path: str, query: Query) -> Reply:
        return Reply(exchange_info(*PAIRS)) if path.endswith("/exchangeInfo") else klines(path, query)

    return answer


Open = Callable[..., CcxtCandles]


def source(server: PageServer, folder: Path, **more: Any) -> CcxtCandles:
    """ccxt's own Binance class, with its public address turned to the server."""
    config = {
        "urls": {"api": {"public": f"{server.url}/api/v3"}},
        "options": {"fetchMarkets": {"types": ["spot"]}},
        "enableRateLimit": False,  # nobody is hurt here
    }
    given: dict[str, Any] = {
        "venue": "binance",
        "timeframe": Timeframe.M1,
        "clock": lambda: NOW,
        "sleep": lambda _: None,
    }
    return CcxtCandles(cache=PageCache(folder), config=config, **(given | more))


@pytest.fixture
def opened(server: PageServer, tmp_path: Path) -> Open:
    return lambda **more: source(server, tmp_path, **more)


def expected(market: Market, start: datetime, end: datetime) -> list[tuple[int, float, float]]:
    """Open time, open and volume of the closed candles."""
    return [
        (time, first, volume)
        for time, (first, _, _, _, volume) in market.candles(60).items()
        if seconds(start) <= time < min(seconds(end), seconds(NOW) - 60)
    ]


def told(candles: pl.DataFrame) -> list[tuple[int, float, float]]:
    return [(seconds(row["open_time"]), row["open"], row["volume"]) for row in candles.iter_rows(named=True)]


def klines_asked(server: PageServer) -> list[Query]:
    return [query for path, query in server.asked if path.endswith("/klines")]


def test_all_closed_candles_arrive_once_from_pages_of_the_venues_own_limit(
    opened: Open, server: PageServer, market: Market
) -> None:
    binance: CandleSource = opened()
    first, last = binance.span(BTC)
    assert (first, last) == (FIRST, NOW - timedelta(seconds=20))
    candles = binance.candles(BTC, first, last)
    assert told(candles) == expected(market, first, last)
    assert candles.schema == CANDLE_SCHEMA
    assert set(candles["origin"]) == {"binance"}
    assert {query["limit"] for query in klines_asked(server)} == {"1000"}


@pytest.mark.parametrize("timeframe", [Timeframe.H1, Timeframe.D1])
def test_longer_timeframes_are_asked_for_by_their_name(
    opened: Open, server: PageServer, market: Market, timeframe: Timeframe
) -> None:
    binance = opened(timeframe=timeframe)
    candles = binance.candles(BTC, *binance.span(BTC))
    assert klines_asked(server)[-1]["interval"] == timeframe.value
    length = timeframe.duration // timedelta(seconds=1)
    assert candles.height == len(market.candles(length)) - 1  # the last one is open
    assert violations(candles, timeframe).is_empty()


def test_fetched_candles_are_not_requested_again_and_a_killed_download_continues(
    opened: Open, server: PageServer, market: Market
) -> None:
    end = NOW - 60 * MINUTE
    pages_until_the_end = iter(range(4))  # one finds the first candle, one a later candle than the end

    def dies(path: str, query: Query) -> Reply:
        if query["interval"] == "1m" and next(pages_until_the_end, None) is None:
            return Reply(None)
        return market.klines(path, query)

    server.answer = binance(dies)
    with pytest.raises(VenueUnreachable):
        opened().candles(BTC, FIRST, end)
    server.answer = binance(market.klines)
    again = opened()
    again.span(BTC)
    probing = len(server.asked)
    assert told(again.candles(BTC, FIRST, end)) == expected(market, FIRST, end)
    resumed = [int(query["startTime"]) // 1000 for _, query in server.asked[probing:]]
    assert min(resumed) == seconds(FIRST) + 2002 * 60  # two minutes of the first page were silent
    count = len(server.asked)
    assert told(again.candles(BTC, FIRST, end)) == expected(market, FIRST, end)
    assert len(server.asked) == count


def test_an_open_candle_is_never_given_but_its_open_is_a_quote(opened: Open) -> None:
    binance = opened()
    candles = binance.candles(BTC, NOW - 5 * MINUTE, NOW + MINUTE)
    assert candles["close_time"].max() == NOW - timedelta(seconds=20)
    assert binance.quote_after(BTC, NOW - timedelta(seconds=30)) == Quote(5100.0, FIRST + 5000 * MINUTE)
    assert binance.quote_after(BTC, NOW) is None


def test_a_quote_is_found_beyond_a_silence_and_before_the_first_candle(opened: Open) -> None:
    binance = opened()
    assert binance.quote_after(BTC, FIRST + 3000 * MINUTE) == Quote(3500.0, FIRST + 3400 * MINUTE)
    assert binance.quote_after(BTC, datetime(2015, 1, 1, tzinfo=UTC)) == Quote(100.0, FIRST)


def test_the_newest_candles_are_asked_for_again_until_they_have_settled(opened: Open, market: Market) -> None:
    late = FIRST + 4999 * MINUTE
    market.silent |= {4999}  # not published yet
    assert opened().candles(BTC, late, NOW).is_empty()
    market.silent -= {4999}
    assert opened().candles(BTC, late, NOW)["open_time"].to_list() == [late]


def test_silence_longer_than_a_page_stays_a_gap_and_ends(opened: Open, server: PageServer) -> None:
    """Some venues give what lies within `limit` candles of the beginning, which may be nothing."""
    silent = Market(NOW, silent=range(5, 4500))

    def within(path: str, query: Query) -> Reply:
        length = {"1m": 60, "1d": 86400}[query["interval"]]
        end = int(query["startTime"]) + 1000 * length * int(query["limit"])
        page = json.loads(silent.klines(path, query).body or b"")
        return Reply(json.dumps([entry for entry in page if entry[0] < end]).encode())

    server.answer = binance(within)
    assert told(opened().candles(BTC, FIRST, NOW)) == expected(silent, FIRST, NOW)
    assert len(server.asked) < 20


def test_candles_that_come_twice_count_once(opened: Open, server: PageServer, market: Market) -> None:
    def doubled(path: str, query: Query) -> Reply:
        page = json.loads(market.klines(path, query).body or b"")
        return Reply(json.dumps(page[:1] + page + page[-1:]).encode())

    server.answer = binance(doubled)
    assert told(opened().candles(BTC, FIRST, NOW)) == expected(market, FIRST, NOW)


def test_a_venue_that_stores_only_its_newest_minutes_is_refused(
    opened: Open, server: PageServer, market: Market
) -> None:
    def newest(path: str, query: Query) -> Reply:
        page = json.loads(market.klines(path, query | {"startTime": "0", "limit": "999999"}).body or b"")
        return Reply(json.dumps(page[-int(query["limit"]) :]).encode())

    server.answer = binance(newest)
    with pytest.raises(VenueRefused, match="ignores where to begin or keeps no older ones"):
        opened().span(BTC)


def test_a_venue_that_stores_less_than_a_page_is_detected_by_its_daily_candles(
    opened: Open, server: PageServer, market: Market
) -> None:
    def newest(path: str, query: Query) -> Reply:
        page = json.loads(market.klines(path, query | {"startTime": "0", "limit": "999999"}).body or b"")
        return Reply(json.dumps(page[-300:]).encode())

    server.answer = binance(newest)
    with pytest.raises(VenueRefused, match="traded on 2023-11-01, yet the candles of 1m begin 2023-11-04"):
        opened().span(BTC)


def test_a_venue_that_ignores_where_to_begin_is_refused_by_its_days(opened: Open, server: PageServer) -> None:
    today = seconds(NOW) - seconds(NOW) % 86400
    days = [kline(today - 86400 * back, (1.0, 2.0, 0.5, 1.0, 3.0), 86400) for back in range(999, -1, -1)]
    server.answer = binance(lambda path, query: Reply(json.dumps(days).encode()))
    with pytest.raises(VenueRefused, match="asked for 1d candles from 2010-01-01 on, got the newest 1000"):
        opened(timeframe=Timeframe.D1).span(BTC)


def test_an_unknown_venue_is_an_error_with_suggestions_before_any_request(
    opened: Open, server: PageServer
) -> None:
    with pytest.raises(InvalidValue, match="ccxt knows no venue 'binanse': did you mean binance"):
        opened(venue="binanse").span(BTC)
    with pytest.raises(InvalidValue, match="ccxt knows no venue 'Exchange'"):
        opened(venue="Exchange").span(BTC)
    assert server.asked == []


def test_an_unlisted_pair_is_an_error_with_suggestions(opened: Open) -> None:
    with pytest.raises(NotStored, match="binance does not list BTC/USD; near to it are BTC/USDT"):
        opened().span(Pair("BTC", "USD"))


def test_a_timeframe_that_the_venue_lacks_is_an_error_with_those_it_has(opened: Open) -> None:
    with pytest.raises(InvalidValue, match="btcmarkets has no candles of 15m; it has 1m, 1h, 1d"):
        opened(venue="btcmarkets", timeframe=Timeframe.M15).span(BTC)


def test_a_venue_that_publishes_no_candles_is_refused(opened: Open) -> None:
    with pytest.raises(InvalidValue, match="coinmate publishes no candles"):
        opened(venue="coinmate").span(BTC)


def test_a_pair_that_never_traded_is_not_stored(opened: Open, server: PageServer) -> None:
    server.answer = binance(lambda path, query: Reply(b"[]"))
    with pytest.raises(NotStored, match="has no candle of it"):
        opened().span(BTC)
    assert len(server.asked) < 20


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
    opened: Open,
    server: PageServer,
    tmp_path: Path,
    reply: Reply,
    error: type[MarketloomError],
    requests: int,
) -> None:
    server.answer = binance(lambda path, query: reply)
    with pytest.raises(error, match="binance BTC/USDT candles"):
        opened().span(BTC)
    assert len(klines_asked(server)) == requests
    assert list(tmp_path.rglob("*.parquet")) == []


def test_a_failure_that_passes_is_overcome(opened: Open, server: PageServer) -> None:
    server.first = [Reply(b"", 503), Reply(None)]
    waits: list[float] = []
    assert opened(sleep=waits.append).span(BTC)[0] == FIRST
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
    server: PageServer,
    tmp_path_factory: pytest.TempPathFactory,
    market: Market,
    at: int,
    junk: bytes,
    cut: int,
) -> None:
    server.answer = binance(market.klines)
    binance_candles = source(server, tmp_path_factory.mktemp("cache"))
    binance_candles.span(BTC)
    server.answer = binance(lambda path, query: Reply(GOOD[:at] + junk + GOOD[at + cut :]))
    try:
        candles = binance_candles.candles(BTC, FIRST, FIRST + 3 * MINUTE)
    except MarketloomError:
        return
    assert violations(candles, Timeframe.M1).is_empty()
