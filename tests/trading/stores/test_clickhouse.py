"""ClickHouse as a server: what it refuses, what it lacks, and what is asked of it."""

import datetime as dt
import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.doubles.http import serving
from tests.services import needs_module
from trading.errors import InvalidValue, MarketloomError, NotAuthorised, NotStored, StoreUnreachable
from trading.market import Pair
from trading.ports import TapeTable
from trading.ports.market_data import TAPE_SCHEMAS
from trading.stores.clickhouse import ClickHouse, ClickHouseTape
from trading.stores.clickhouse.connection import quoted
from trading.stores.clickhouse.rights import check_server

ENVIRONMENT = {"CLICKHOUSE_USER": "trader", "CLICKHOUSE_PASSWORD": "hunter2-secret"}
BTC = Pair("BTC", "USDT")
NOON = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)


class Engine:
    """A client that notes what it is asked, and answers with one value."""

    def __init__(self, answer: object = "") -> None:
        self.answer = answer
        self.inserts: list[dict[str, Any]] = []

    def command(self, statement: str, parameters: object) -> object:
        return self.answer

    def query_arrow(self, query: str, parameters: object, settings: object) -> object:
        return pl.DataFrame({"name": ["tape"]}).to_arrow()

    def insert_arrow(self, table: str, rows: object, database: str, settings: dict[str, Any]) -> None:
        self.inserts.append(settings)


def test_a_server_that_does_not_answer_is_named_without_the_password() -> None:
    server = ClickHouse.at("http://127.0.0.1:1", "marketloom", ENVIRONMENT)
    with pytest.raises(
        StoreUnreachable, match=r"127\.0\.0\.1:1, database marketloom, does not answer"
    ) as error:
        server.execute("SELECT 1")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (
            403,
            "Code: 516. DB::Exception: trader: Authentication failed. (AUTHENTICATION_FAILED)",
            NotAuthorised,
        ),
        (403, "Code: 497. DB::Exception: trader: Not enough privileges. (ACCESS_DENIED)", NotAuthorised),
        (404, "Code: 60. DB::Exception: Table marketloom.x does not exist. (UNKNOWN_TABLE)", NotStored),
        (500, "Code: 252. DB::Exception: Too many parts (300). (TOO_MANY_PARTS)", StoreUnreachable),
        (500, "Code: 243. DB::Exception: Cannot reserve 1.00 MiB. (NOT_ENOUGH_SPACE)", StoreUnreachable),
        (400, "Code: 62. DB::Exception: Syntax error. (SYNTAX_ERROR)", InvalidValue),
    ],
)
def test_what_the_server_refuses_is_said_in_its_words_and_without_the_password(
    status: int, text: str, kind: type[MarketloomError]
) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("X-ClickHouse-Exception-Code", text.split()[1].rstrip("."))
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None: ...

    with serving(Handler) as url:
        with pytest.raises(kind) as error:
            ClickHouse.at(url, "marketloom", ENVIRONMENT).execute("SELECT 1")
        assert text.rpartition("(")[2] in str(error.value)
        assert "secret" not in str(error.value)
        if kind is NotAuthorised:
            assert "CLICKHOUSE_PASSWORD" in str(error.value)


def test_a_batch_is_durable_before_it_counts() -> None:
    """The server may gather inserts of several writers, and answers only when they are stored."""
    engine = Engine()
    tape = ClickHouseTape(ClickHouse(lambda: engine, "tape", "a server"))
    tape.append(TapeTable.TRADES, _trade(), "0-1")
    assert engine.inserts == [{"async_insert": 1, "wait_for_async_insert": 1}]


def test_a_server_that_is_too_old_is_refused() -> None:
    with pytest.raises(NotStored, match=r"is 22\.8\.1\.1: use 23\.3 or newer"):
        check_server(ClickHouse(lambda: Engine("22.8.1.1"), "tape", "a server"))


@pytest.mark.service
def test_the_check_of_a_server_leaves_nothing_behind(clickhouse: ClickHouse) -> None:
    assert check_server(clickhouse).count(".") == 3
    left = clickhouse.query(
        "SELECT name FROM system.tables WHERE database = {name:String}", {"name": clickhouse.database}
    )
    assert left.is_empty()


@pytest.mark.service
def test_a_server_that_came_back_empty_gets_its_tables_again(clickhouse: ClickHouse) -> None:
    tape = ClickHouseTape(clickhouse)
    tape.append(TapeTable.TRADES, _trade(), "0-1")
    clickhouse.execute(f"DROP DATABASE {clickhouse.quoted_database}")
    with pytest.raises(NotStored):
        tape.append(TapeTable.TRADES, _trade(), "0-1")
    tape.append(TapeTable.TRADES, _trade(), "0-1")
    assert tape.rows(TapeTable.TRADES, "kraken") == 1


def test_a_name_cannot_end_its_quotes() -> None:
    with pytest.raises(InvalidValue, match="cannot name"):
        quoted("a`b")


READER = """
import json, sys, clickhouse_connect
from trading.errors import MarketloomError
from trading.stores.clickhouse import ClickHouse
from trading.stores.clickhouse.sql import run_query
clients = []
def connect():
    if clients:
        clients.pop().close()
    clients.append(clickhouse_connect.get_client(interface="chdb", path=sys.argv[1]))
    return clients[0]
server = ClickHouse(connect, "lake", "the engine")
server.make_once("CREATE TABLE IF NOT EXISTS `lake`.`ohlcv` (close Float64) ENGINE = MergeTree ORDER BY close")
server.execute("INSERT INTO `lake`.`ohlcv` VALUES (1.5), (2.5)")
for query in sys.argv[2:]:
    try:
        print(json.dumps(run_query(server, query).to_dicts()))
    except MarketloomError as error:
        print(json.dumps(type(error).__name__ + ": " + str(error)))
"""


@pytest.mark.service
def test_people_may_read_and_change_nothing(tmp_path: Path) -> None:
    """In a process of its own with a connection per query: in this engine, unlike a server, reading alone stays on."""
    needs_module("chdb")
    queries = [
        "SELECT sum(close) AS total FROM ohlcv", "SELECT * FROM nowhere", "INSERT INTO ohlcv VALUES (9)",
        "DROP TABLE ohlcv", "SELECT * FROM file('/etc/passwd', 'LineAsString')", "SELECT * FROM numbers(1000002)",
        "SELECT count() AS rows FROM ohlcv",
    ]  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-c", READER, str(tmp_path), *queries],
        cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True,
    )  # fmt: skip
    answers = [json.loads(line) for line in ended.stdout.splitlines()]
    assert answers[0] == [{"total": 4.0}]
    assert answers[1].startswith("NotStored")
    assert all("READONLY" in answer for answer in answers[2:5])
    assert "more than 1,000,000 rows" in answers[5]
    assert answers[6] == [{"rows": 2}]


def _trade() -> pl.DataFrame:
    row = {
        "origin": "kraken", "pair": BTC.key, "at": NOON, "trade_id": 1, "side": "buy", "price": 1.0, "quantity": 1.0,
        "known_at": NOON,
    }  # fmt: skip
    return pl.DataFrame([row], TAPE_SCHEMAS[TapeTable.TRADES])
