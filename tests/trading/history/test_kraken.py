import datetime as dt
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.doubles.kraken import (
    Fault,
    KrakenDouble,
    Reply,
    answering,
    html_520_before,
    running,
    saying,
    untouched,
)
from trading.candles import violations
from trading.errors import InvalidCandles, InvalidMessage, NotStored, VenueUnreachable
from trading.history.kraken import MAX_OHLC_ROWS, KrakenHistory, _candle_table, _trade_table
from trading.history.page_cache import PageCache
from trading.history.trade_candles import candles_from_trades
from trading.market import CANDLE_SCHEMA, TIME, Pair, Timeframe
from trading.venues.kraken import KrakenClient, RateLimit
from trading.venues.kraken.decoding import decode_envelope, decode_result
from trading.venues.kraken.market_responses import OhlcRow, TradeRow

RECORDED = Path(__file__).parents[4] / "shared" / "data" / "rest"
BTC = Pair("BTC", "USDT")
START = dt.datetime(2023, 11, 17, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
DAY = dt.timedelta(days=1)
MANY = RateLimit(10_000, 10_000)
Print = tuple[int, Decimal, Decimal]  # nanoseconds since START, price, quantity


def nanoseconds(time: dt.datetime) -> int:
    return (time - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1) * 1000


def tape(prints: Sequence[Print]) -> list[list[Any]]:
    return [[price, quantity, nanoseconds(START) + at] for at, price, quantity in prints]


def naive_candles(
    prints: Sequence[Print], timeframe: Timeframe
) -> dict[dt.datetime, tuple[float, float, float, float, float]]:
    found: dict[dt.datetime, list[tuple[Decimal, Decimal]]] = {}
    length = timeframe.duration // dt.timedelta(microseconds=1) * 1000
    for at, price, quantity in prints:
        ns = nanoseconds(START) + at
        opened = dt.datetime.fromtimestamp((ns - ns % length) // 10**9, dt.UTC)
        found.setdefault(opened, []).append((price, quantity))
    return {
        opened: (
            float(each[0][0]), float(max(price for price, _ in each)), float(min(price for price, _ in each)),
            float(each[-1][0]), float(sum((quantity for _, quantity in each), Decimal(0))),
        )
        for opened, each in found.items()
    }  # fmt: skip


def rows_of(candles: pl.DataFrame) -> dict[dt.datetime, tuple[float, float, float, float, float]]:
    columns = ("open_time", "open", "high", "low", "close", "volume")
    return {row[0]: row[1:] for row in candles.select(columns).iter_rows()}


def ohlc_rows(prints: Sequence[Print], timeframe: Timeframe, now: dt.datetime) -> list[list[Any]]:
    """As Kraken tells them: the newest 720 closed ones, quiet ones too, and the one that is not over yet."""
    candles = naive_candles(prints, timeframe)
    unfinished = now - (now - START) % timeframe.duration
    opened = max(unfinished - MAX_OHLC_ROWS * timeframe.duration, min(candles, default=unfinished))
    rows, last = [], 0.0
    while opened <= unfinished:
        o, h, l, c, v = candles.get(opened, (last, last, last, last, 0.0))  # noqa: E741
        prices = [f"{o}", f"{h}", f"{l}", f"{c}"]
        rows.append([int(opened.timestamp()), *prices, "0.0", f"{v:.8f}", int(opened in candles)])
        last, opened = c, opened + timeframe.duration
    return rows


def steady(count: int, apart: dt.timedelta, first: int = 0) -> list[Print]:
    step = apart // dt.timedelta(microseconds=1) * 1000
    return [
        (first + number * step + 123, Decimal(100 + number % 7), Decimal(1 + number % 3).scaleb(-8))
        for number in range(count)
    ]


@dataclass(frozen=True)
class Rig:
    """The double of Kraken, a client of it, and sources that read through it into one cache."""

    double: KrakenDouble
    client: KrakenClient
    folder: Path

    def history(
        self, now: dt.datetime = START + 30 * DAY, timeframe: Timeframe = Timeframe.M1
    ) -> KrakenHistory:
        return KrakenHistory(self.client, timeframe, PageCache(self.folder), clock=lambda: now)

    def first_day(self) -> pl.DataFrame:
        return self.history().candles(BTC, START, START + DAY)

    def count(self, method: str) -> int:
        return self.double.methods().count(method)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with (
        running(KrakenDouble()) as double,
        KrakenClient(
            tmp_path / "kraken", None, double.url, public=MANY, total=5.0, sleep=lambda _: None
        ) as client,
    ):
        yield Rig(double, client, tmp_path / "pages")


def forgetting(double: KrakenDouble, count: int) -> Fault:
    """The oldest trades are given out this one time more."""

    def fault(act: Callable[[], bytes]) -> Reply:
        body = act()
        double.forgotten = count
        return Reply(body)

    return fault


# --- candles from trades

PRINTS = st.lists(
    st.tuples(
        st.integers(0, 20 * 60 * 10**9),
        st.decimals(Decimal("0.0001"), Decimal(10**6), places=4),
        st.decimals(Decimal("0.00000001"), Decimal(10**6), places=8),
    ),
    max_size=60,
).map(lambda prints: sorted(prints, key=lambda each: each[0]))


@settings(max_examples=100, deadline=None)
@given(PRINTS, st.sampled_from([Timeframe.M1, Timeframe.M5, Timeframe.H1]))
def test_candles_of_trades_are_those_of_a_loop_over_them(prints: list[Print], timeframe: Timeframe) -> None:
    rows = [
        TradeRow(price, quantity, Decimal(nanoseconds(START) + at).scaleb(-9), "b", "m", "", number)
        for number, (at, price, quantity) in enumerate(prints)
    ]
    candles = candles_from_trades(_trade_table(rows), timeframe, "kraken")
    assert candles.schema == CANDLE_SCHEMA
    assert rows_of(candles) == naive_candles(prints, timeframe)
    assert violations(candles, timeframe).is_empty()


def test_candles_of_recorded_trades_are_the_recorded_candles() -> None:
    for name in ("kraken_http_trades.json", "kraken_http_ohlc.json"):
        if not (RECORDED / name).exists():
            pytest.skip(f"no recorded answer {RECORDED / name}")
    trades = _result("kraken_http_trades.json", list[TradeRow])
    ohlc = _result("kraken_http_ohlc.json", list[OhlcRow])
    built = candles_from_trades(_trade_table(trades), Timeframe.M1, "kraken")
    first, last = built["open_time"][1], built["open_time"][-1]  # of the first minute some were not recorded
    between = (pl.col("open_time") >= first, pl.col("open_time") <= last)
    told = _candle_table(ohlc[:-1], Timeframe.M1, "kraken").filter(*between)
    assert told.height == 273
    assert built.filter(*between).equals(told)


def _result(name: str, kind: Any) -> Any:
    found = decode_result(
        name, decode_envelope(name, (RECORDED / name).read_bytes()).result, dict[str, msgspec.Raw]
    )
    return decode_result(name, found["XBTUSDT"], kind)


def test_a_trade_in_the_last_moment_of_a_minute_belongs_to_it() -> None:
    at = Decimal(nanoseconds(START)).scaleb(-9) + Decimal("59.9999999")
    row = TradeRow(Decimal(5), Decimal(1), at, "b", "m", "", 1)
    assert candles_from_trades(_trade_table([row]), Timeframe.M1, "kraken")["open_time"].to_list() == [START]


def test_trades_out_of_order_make_no_candles() -> None:
    frame = pl.DataFrame(
        {"time": [START + MINUTE, START], "price": [1.0, 2.0], "quantity": [1.0, 1.0]},
        schema_overrides={"time": TIME},
    )
    with pytest.raises(InvalidCandles, match="order of time"):
        candles_from_trades(frame, Timeframe.M1, "kraken")


# --- the source


def test_what_the_newest_candles_cover_is_one_call(rig: Rig) -> None:
    prints = steady(300, 2 * MINUTE)
    now = START + dt.timedelta(minutes=600, seconds=5)
    rig.double.tape, rig.double.rows = tape(prints), ohlc_rows(prints, Timeframe.M1, now)
    candles = rig.history(now).candles(BTC, START + 100 * MINUTE, START + DAY)
    assert rows_of(candles) == {
        opened: row
        for opened, row in naive_candles(prints, Timeframe.M1).items()
        if opened >= START + 100 * MINUTE
    }
    assert (rig.count("OHLC"), rig.count("Trades")) == (1, 0)
    assert candles["origin"].unique().to_list() == ["kraken"]


def test_the_candle_that_is_not_over_is_left_out(rig: Rig) -> None:
    prints = steady(10, MINUTE)
    now = START + 9 * MINUTE + dt.timedelta(seconds=30)
    rig.double.tape, rig.double.rows = tape(prints), ohlc_rows(prints, Timeframe.M1, now)
    candles = rig.history(now).candles(BTC, START, START + DAY)
    assert candles["open_time"].to_list() == [START + each * MINUTE for each in range(9)]


def test_a_candle_that_the_venue_has_not_closed_yet_is_no_quiet_minute(rig: Rig) -> None:
    prints = steady(10, MINUTE)
    rig.double.tape = tape(prints)
    rig.double.rows = ohlc_rows(prints, Timeframe.M1, START + dt.timedelta(minutes=8, seconds=59))
    with pytest.raises(VenueUnreachable, match="has not closed the 1m candle"):
        rig.history(START + 9 * MINUTE).candles(BTC, START, START + DAY)


def test_older_candles_are_built_from_trades_and_join_the_newest_without_a_seam(rig: Rig) -> None:
    prints = steady(3500, dt.timedelta(seconds=30))
    now = START + dt.timedelta(minutes=1750)
    rig.double.tape, rig.double.rows = tape(prints), ohlc_rows(prints, Timeframe.M1, now)
    candles = rig.history(now).candles(BTC, START, now)
    assert rows_of(candles) == naive_candles(prints, Timeframe.M1)
    assert violations(candles, Timeframe.M1).is_empty()
    assert rig.count("Trades") == 4  # the first trade, and 1030 minutes of two trades, a thousand a page


def test_downloaded_trades_are_not_requested_again_not_even_for_another_timeframe(rig: Rig) -> None:
    prints = steady(2500, dt.timedelta(seconds=30))
    now = START + 30 * DAY
    rig.double.tape = tape(prints)
    first = rig.history(now).candles(BTC, START, START + DAY)
    pages = rig.count("Trades")
    assert rig.history(now).candles(BTC, START, START + DAY).equals(first)
    hours = rig.history(now - DAY, Timeframe.M5).candles(BTC, START, START + DAY)
    assert rows_of(hours) == naive_candles(prints, Timeframe.M5)
    assert rig.count("Trades") == pages


@pytest.mark.parametrize("killed_after", range(4))
def test_a_killed_download_continues_where_it_stopped(rig: Rig, killed_after: int) -> None:
    prints = steady(3500, dt.timedelta(seconds=20))
    now = START + 30 * DAY
    rig.double.tape = tape(prints)
    truth, calls = rig.client.trades, list[int]()

    def killed(pair: Pair, since: int | None, count: int = 1000) -> Any:
        if since and len(calls) == killed_after:
            raise KeyboardInterrupt
        calls.extend([since] if since else [])
        return truth(pair, since, count)

    rig.client.trades = killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        rig.history(now).candles(BTC, START, START + DAY)
    rig.client.trades = truth  # type: ignore[method-assign]
    candles = rig.history(now).candles(BTC, START, START + DAY)
    assert rows_of(candles) == naive_candles(prints, Timeframe.M1)
    assert len(calls) == killed_after
    pages = [
        fields
        for method, fields in rig.double.calls
        if method == "Trades" and fields.get("since", "0") != "0"
    ]
    assert len(pages) == 5  # as many as without the kill: four pages, and one that finds no more


def test_a_range_in_the_middle_begins_with_its_first_candle(rig: Rig) -> None:
    prints = steady(200, MINUTE)
    rig.double.tape = tape(prints)
    source = rig.history(timeframe=Timeframe.M5)
    for begin in (100, 50):
        candles = source.candles(BTC, START + begin * MINUTE, START + 150 * MINUTE)
        assert candles["open_time"][0] == START + begin * MINUTE
        assert candles.height == (150 - begin) // 5


def test_a_venue_that_drops_old_trades_begins_with_a_complete_candle(rig: Rig) -> None:
    rig.double.tape = tape(steady(200, MINUTE))
    rig.double.forgotten = 7
    source = rig.history(timeframe=Timeframe.M5)
    assert source.span(BTC)[0] == START + 10 * MINUTE
    assert source.candles(BTC, START, START + 60 * MINUTE)["open_time"][0] == START + 10 * MINUTE


def test_trades_that_a_venue_forgot_before_they_were_asked_for_are_no_quiet_market(rig: Rig) -> None:
    rig.double.tape = tape(steady(200, MINUTE))
    source = rig.history()
    source.candles(BTC, START, START + 20 * MINUTE)
    rig.double.forgotten = 50
    assert source.candles(BTC, START, START + 20 * MINUTE).height == 20
    with pytest.raises(
        NotStored, match="gives out no trades of BTC/USDT before 2023-11-17 00:50:00 any more"
    ):
        source.candles(BTC, START, START + 90 * MINUTE)
    assert source.candles(BTC, START + 60 * MINUTE, START + 90 * MINUTE).height == 30


def test_trades_that_the_venue_drops_during_a_download_end_it(rig: Rig) -> None:
    rig.double.tape = tape(steady(2500, dt.timedelta(seconds=20)))
    rig.double.faults["Trades"] = [untouched, forgetting(rig.double, 1500)]
    with pytest.raises(InvalidMessage, match="were there and are gone"):
        rig.first_day()


def no_trades(after: int) -> list[Any]:
    """Answers to Trades: the first ones as they are, then one that has no trade in it."""
    body = msgspec.json.encode({"error": [], "result": {"XBTUSDT": [], "last": "0"}})
    return [untouched] * after + [answering(body)]


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_response_without_trades_is_not_a_quiet_market_while_later_trades_exist(
    rig: Rig, after: int
) -> None:
    prints = steady(2500, dt.timedelta(seconds=20))
    rig.double.tape = tape(prints)
    rig.double.faults["Trades"] = no_trades(after)
    source = rig.history()
    with pytest.raises(VenueUnreachable, match="yet it traded later"):
        source.candles(BTC, START, START + DAY)
    assert rows_of(source.candles(BTC, START, START + DAY)) == naive_candles(prints, Timeframe.M1)


def test_a_range_in_the_middle_without_trades_is_no_quiet_market_while_later_trades_exist(rig: Rig) -> None:
    rig.double.tape = tape(steady(600, MINUTE))
    rig.double.faults["Trades"] = no_trades(1)
    source = rig.history()
    with pytest.raises(VenueUnreachable, match="yet it traded later"):
        source.candles(BTC, START + 100 * MINUTE, START + 200 * MINUTE)
    assert source.candles(BTC, START + 100 * MINUTE, START + 200 * MINUTE).height == 100


def test_a_venue_whose_newest_trades_are_missing_too_is_refused(rig: Rig) -> None:
    rig.double.tape = tape(steady(100, MINUTE))
    rig.double.faults["Trades"] = [*no_trades(1), *no_trades(0)]
    with pytest.raises(VenueUnreachable, match="yet it traded later"):
        rig.history().candles(BTC, START + 50 * MINUTE, START + DAY)


def test_a_market_that_stopped_trading_is_quiet_from_its_last_trade_on(rig: Rig) -> None:
    rig.double.tape = tape(steady(100, MINUTE))
    source = rig.history()
    assert source.candles(BTC, START + 10 * DAY, START + 11 * DAY).is_empty()
    assert source.candles(BTC, START, START + DAY).height == 100


def test_hours_in_the_future_are_not_cached_as_hours_without_trades(rig: Rig) -> None:
    prints = steady(100, MINUTE)
    rig.double.tape, rig.double.rows = tape(prints), ohlc_rows(prints, Timeframe.M1, START + 100 * MINUTE)
    ahead = rig.history()
    with pytest.raises(VenueUnreachable, match="has not closed the 1m candle"):
        ahead.candles(BTC, START, START + DAY)
    prints = steady(200, MINUTE)
    rig.double.tape, rig.double.rows = tape(prints), ohlc_rows(prints, Timeframe.M1, START + 30 * DAY)
    assert rows_of(ahead.candles(BTC, START, START + DAY)) == naive_candles(prints, Timeframe.M1)


def test_first_trades_that_are_forgotten_before_their_page_comes_end_it(rig: Rig) -> None:
    rig.double.tape = tape(steady(200, MINUTE))
    rig.double.faults["Trades"] = [forgetting(rig.double, 50)]
    with pytest.raises(InvalidMessage, match="were there and are gone"):
        rig.first_day()


def test_trades_of_one_moment_that_two_pages_share_are_counted_once(rig: Rig) -> None:
    prints = [*steady(995, dt.timedelta(milliseconds=10)), *[(10**10, Decimal(5), Decimal("1.5"))] * 40]
    prints += steady(50, dt.timedelta(seconds=1), first=2 * 10**10)
    rig.double.tape = tape(prints)
    candles = rig.first_day()
    assert rows_of(candles) == naive_candles(prints, Timeframe.M1)


def test_more_trades_of_one_moment_than_a_page_holds_are_all_counted(rig: Rig) -> None:
    prints: list[Print] = [
        (5 * 10**9 + each % 2500 // 900, Decimal(5), Decimal("0.1")) for each in range(2500)
    ]
    prints += steady(50, dt.timedelta(seconds=1), first=2 * 10**10)
    rig.double.tape = tape(prints)
    candles = rig.first_day()
    assert rows_of(candles) == naive_candles(prints, Timeframe.M1)


def test_a_cursor_that_stands_still_is_an_error_and_no_endless_loop(rig: Rig) -> None:
    rig.double.tape = tape([(10**9, Decimal(5), Decimal("0.1"))] * 1000)
    full = rig.double.Trades({"pair": "XBTUSDT", "since": "0"})
    rig.double.Trades = lambda fields: full  # type: ignore[method-assign]
    with pytest.raises(InvalidMessage, match=r"cursor \d+ does not move"):
        rig.first_day()


def test_a_failed_page_raises_and_is_no_quiet_market(rig: Rig) -> None:
    rig.double.tape = tape(steady(100, MINUTE))
    rig.double.faults["Trades"] = [html_520_before] * 5
    source = rig.history()
    with pytest.raises(VenueUnreachable):
        source.candles(BTC, START, START + DAY)
    rig.double.faults["Trades"] = [saying("EGeneral:Too many requests")]
    assert source.candles(BTC, START, START + DAY).height == 100


@pytest.mark.parametrize(
    ("row", "named"),
    [
        (["0", "1", 1700179200.5, "b", "m", "", 1], "is 1 at 0"),
        (["5", "-1", 1700179200.5, "b", "m", "", 1], "is -1 at 5"),
        (["5", "0.000000001", 1700179200.5, "b", "m", "", 1], "is 1E-9 at 5"),
        (["NaN", "1", 1700179200.5, "b", "m", "", 1], "not a number"),
        (["5", "1", -3, "b", "m", "", 1], "not a time"),
        (["5", "1", 1700179200.5, "x", "m", "", 1], "Invalid enum value"),
        (["5", "1", 1700179200.5], "length"),
    ],
)
def test_a_trade_that_cannot_be_is_refused(rig: Rig, row: list[Any], named: str) -> None:
    body = msgspec.json.encode({"error": [], "result": {"XBTUSDT": [row], "last": "1700179200500000000"}})
    rig.double.tape = tape(steady(1, MINUTE))
    rig.double.faults["Trades"] = [untouched, answering(body)]
    with pytest.raises(InvalidMessage, match=named):
        rig.first_day()


def test_the_span_is_from_the_first_trade_to_the_last_closed_candle(rig: Rig) -> None:
    rig.double.tape = tape(steady(10, MINUTE, first=90 * 10**9))
    now = START + 30 * DAY + dt.timedelta(seconds=59)
    source = rig.history(now)
    assert source.span(BTC) == (START + MINUTE, START + 30 * DAY)
    assert source.span(BTC) == (START + MINUTE, START + 30 * DAY)
    assert rig.count("Trades") == 1


def test_a_pair_that_is_unknown_or_never_traded_has_no_span(rig: Rig) -> None:
    source = rig.history(START)
    with pytest.raises(NotStored, match="does not trade ETH/USDT"):
        source.span(Pair("ETH", "USDT"))
    with pytest.raises(NotStored, match="never traded"):
        source.span(BTC)


def test_nothing_is_asked_for_outside_of_time(rig: Rig) -> None:
    source = rig.history(START)
    assert source.candles(BTC, START, START + DAY).equals(CANDLE_SCHEMA.to_frame())
    assert rig.double.calls == []


def test_a_quote_is_the_first_trade_at_or_after_the_time(rig: Rig) -> None:
    at = 7 * 10**9
    rig.double.tape = tape(
        [(10**9, Decimal(4), Decimal(1)), (at, Decimal(5), Decimal(1)), (at, Decimal(6), Decimal(1))]
    )
    source = rig.history(START + MINUTE)
    for seconds in (2, 7):
        quote = source.quote_after(BTC, START + dt.timedelta(seconds=seconds))
        assert quote is not None
        assert (quote.price, quote.time) == (5.0, START + dt.timedelta(seconds=7))
    assert source.quote_after(BTC, START + dt.timedelta(seconds=8)) is None


def test_a_long_download_logs_its_progress(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.double.tape = tape(steady(2500, dt.timedelta(seconds=30)))
    with caplog.at_level(logging.INFO, "marketloom.history"):
        rig.first_day()
    said = [record.getMessage() for record in caplog.records if "trades" in record.getMessage()]
    assert said[0].startswith("kraken BTC/USDT trades: 2023-11-17 08:19, 34 % of")
    assert "100 %" in said[-1]


def test_the_sandbox_is_named_as_such(rig: Rig) -> None:
    rig.double.tape = tape(steady(10, MINUTE))
    source = KrakenHistory(
        rig.client, Timeframe.M1, PageCache(rig.folder), "sandbox", lambda: START + 30 * DAY
    )
    candles = source.candles(BTC, START, START + DAY)
    assert (source.origin, candles["origin"].unique().to_list()) == ("sandbox", ["sandbox"])
