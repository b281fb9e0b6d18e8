"""The market monitor: what it shows of a stream and its stores, and that nothing which goes away ends it."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from rich.console import Console

from orchestration.commands.status_view import picture, plain_lines
from orchestration.commands.status_watch import Monitor
from orchestration.commands.stream_status import read_stream
from orchestration.json_output import as_json_line
from orchestration.postgres.embedded import EmbeddedPostgres
from orchestration.settings import load_settings
from orchestration.settings_schema import Settings
from tests.contracts.trade import BTC
from tests.doubles.http import serving
from trading.closed_candles import Basis, ClosedCandle
from trading.feed_gaps import FeedGap, MissingKind
from trading.market import Timeframe
from trading.ports import Message
from trading.stores.postgres import PostgresMarketData, migrate
from trading.stores.postgres.gaps import PostgresGaps
from trading.stores.postgres.stream import StreamOutbox

NOON = datetime(2024, 3, 14, 12, tzinfo=UTC)
PAIR_FACTS = {
    "price": 32000.5, "bid": 31990.0, "ask": 32010.0, "spread": 20.0, "listed": "online",
    "age_seconds": {"trade": 75.2, "ticker": 90.0}, "interrupted": {}, "refused": {}, "book": "verified",
    "trades": "not live",
}  # fmt: skip
FACTS = {
    "origin": "sandbox", "venue_status": "online", "venue_time": NOON.isoformat(), "health": [], "queue": 0,
    "uptime_seconds": 7384.0, "pairs": {"BTC/USDT": PAIR_FACTS},
}  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"MARKETLOOM_HOME": str(tmp_path), "MARKETLOOM__MARKET__SOURCE": "sandbox"})


def answering(facts: dict[str, Any]) -> AbstractContextManager[str]:
    """Serve /status as a stream does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(facts).encode())

        def log_message(self, *_: object) -> None: ...

    return serving(Handler)


@contextmanager
def stream_of(dsn: str, address: str) -> Iterator[StreamOutbox]:
    """Hold the lease as a running stream does."""
    outbox = StreamOutbox(dsn, "sandbox", "account demo, host here, process 7")
    outbox.open()
    outbox.announce(address)
    try:
        yield outbox
    finally:
        outbox.close()


def drawn(facts: dict[str, Any], width: int) -> list[str]:
    out = Console(file=StringIO(), width=width, force_terminal=False)
    out.print(picture(facts, width))
    return out.file.getvalue().splitlines()  # type: ignore[attr-defined]


def candle(opens: datetime, known_at: datetime, close: float = 101.0) -> ClosedCandle:
    return ClosedCandle(
        "sandbox", BTC, Timeframe.H1, opens, 100.0, 102.0, 99.0, close, 5.0, 3, 1, 3, Basis.TRADES, known_at
    )


def test_what_runs_and_what_is_stored_is_shown_in_one_picture(
    dsn: str, settings: Settings, tmp_path: Path
) -> None:
    store = PostgresMarketData(dsn, "sandbox", settings.market.universe.dataset, Timeframe.H1)
    hour = timedelta(hours=1)
    store.store([candle(NOON - hour, NOON), candle(NOON, NOON + hour)])
    store.store([candle(NOON, NOON + 2 * hour, close=100.5)])
    gap = FeedGap("sandbox", BTC, NOON, None, 3, None, MissingKind.FEED_GAP, "the stream did not run", NOON)
    PostgresGaps(dsn).open([gap])
    with psycopg.connect(dsn) as connection:
        connection.execute(
            'INSERT INTO bus_groups ("group", topic, "offset", holder, committed_at, seen_at) '
            "VALUES ('operational', 'ohlcv-raw', 0, '', now(), now())"
        )
    with answering(FACTS) as address, stream_of(dsn, address) as outbox:
        outbox.commit([Message("ohlcv-raw", "BTC-USDT", b"{}")] * 3, {})
        facts = Monitor(settings, tmp_path, dsn).read()
        shown = drawn(facts, 120)
    assert "sandbox streams for 2 h 3 min, market time 2024-03-14 12:00:00 UTC, venue online" in shown[0]
    [row] = [line for line in shown if "BTC/USDT" in line]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells == [
        "BTC/USDT", "32000.5", "1 min 15 s", "6.3 bp", "1", "verified", "not live", "1", "03-14 13:00",
    ]  # fmt: skip
    assert "records not yet read: operational 3" in shown
    assert any("market_data 3, market_features 0, tape trades 0" in line for line in shown)
    document = json.loads(as_json_line(facts))
    assert document["stored"]["consumers"] == {"operational": {"ohlcv-raw": 3}}
    assert document["at"] == facts["at"].isoformat()
    assert document["stored"]["pairs"]["BTC/USDT"]["newest_candle"] == "2024-03-14T13:00:00+00:00"


@pytest.mark.parametrize(("width", "columns"), [(120, 9), (80, 7), (60, 5), (40, 3)])
def test_a_narrow_terminal_shows_fewer_columns_and_no_line_is_cut(width: int, columns: int) -> None:
    facts = {
        "at": NOON, "origin": "sandbox", "problem": "", "stored_at": NOON,
        "stream": {"running": True, "problem": "", "facts": FACTS},
        "stored": {
            "pairs": {"BTC/USDT": {"gaps": 0, "restatements": 0, "newest_candle": NOON}},
            "consumers": {"operational": {"ohlcv-raw": 12345}}, "rows": {"market_data": 1},
            "decision": {
                "decision_id": "1f0c2ab7-99", "pair": "BTC/USDT", "decided_at": NOON.isoformat(), "action": "HOLD",
            },
            "halts": [{"kind": "drawdown", "reason": "10 % lost", "ended_by": "`marketloom resume` ends it"}],
        },
    }  # fmt: skip
    shown = drawn(facts, width)
    assert max(map(len, shown)) <= width
    [row] = [line for line in shown if line.startswith("│") and "BTC/USDT" in line]
    assert row.count("│") == columns + 1
    whole = "".join(line.strip() for line in shown).replace(" ", "")
    for words in ("operational12,345", "lastdecision:1f0c2ab7", "halted,drawdown:10%lost"):
        assert words in whole
    lines = list(plain_lines(facts))
    assert "last decision: 1f0c2ab7" in lines[0]
    assert "price 32000.5, age 1 min 15 s" in lines[1]


def test_that_no_stream_runs_is_said_and_the_stores_are_shown_all_the_same(
    dsn: str, settings: Settings, tmp_path: Path
) -> None:
    facts = Monitor(settings, tmp_path, dsn).read()
    shown = "\n".join(drawn(facts, 120))
    assert "no stream of sandbox runs: `marketloom stream` starts one" in shown
    assert "BTC/USDT" in shown


def test_a_stream_that_has_ended_is_no_running_one(dsn: str, settings: Settings) -> None:
    with stream_of(dsn, "http://127.0.0.1:9"):
        view = read_stream(settings, dsn)
        assert view.running
        assert "does not answer on http://127.0.0.1:9" in view.problem
    assert not read_stream(settings, dsn).running


def test_a_source_without_a_stream_says_which_have_one(dsn: str, tmp_path: Path) -> None:
    settings = load_settings({"MARKETLOOM_HOME": str(tmp_path)})
    shown = drawn(Monitor(settings, tmp_path, dsn).read(), 120)
    assert '[market] source = "simulator" has no stream' in shown[0]


def test_postgresql_may_go_away_and_come_back_while_the_monitor_runs(settings: Settings) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="loom-") as folder:
        home = Path(folder)
        server = EmbeddedPostgres(home)
        with answering(FACTS) as address:
            port = int(address.rpartition(":")[2])
            stream = settings.stream.model_copy(update={"metrics_port": port})
            monitor = Monitor(settings.model_copy(update={"stream": stream}), home, server.dsn)
            with server:
                migrate(server.dsn)
                assert monitor.read()["problem"] == ""
            away = monitor.read()
            assert "PostgreSQL does not answer" in away["problem"]
            assert away["stored"]["pairs"]  # what was read last, and when
            assert away["stored_at"] < away["at"]
            assert away["stream"]["facts"]["pairs"]  # a stream that waits for PostgreSQL answers all the same
            assert "stored facts are those of" in " ".join(drawn(away, 200))
            with EmbeddedPostgres(home):
                assert monitor.read()["problem"] == ""
