"""What all PostgreSQL stores share: one connection each, errors in our words, the schema."""

import re
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from ml.news.description import describe
from orchestration.postgres.embedded import EmbeddedPostgres
from tests.doubles.threads import at_once
from trading.errors import InvalidSettings, InvalidValue, NotStored, StoreUnreachable
from trading.market import Pair
from trading.stores.postgres import PostgresJournal, PostgresNews, PostgresPromotions, migrate
from trading.stores.postgres.connection import Database, insert
from trading.stores.postgres.schema import pgvector_problem

BTC = Pair("BTC", "USDT")
TABLES = {
    "account_minutes", "accounts", "adjustments", "agent_logs", "agent_opinions", "api_key_counters",
    "api_key_nonces", "bus_event", "bus_groups", "bus_relayed", "bus_replays", "embedding_versions", "equity_peaks",
    "failures_in_a_row", "fills", "halts", "leases", "ledger_entries", "live_checks",
    "live_confirmations", "market_data", "market_features",
    "market_gaps", "marketloom_schema", "model_calls", "model_performance", "news_articles", "news_embeddings",
    "news_sentiment", "order_changes", "order_intents", "orders", "portfolio_snapshots", "positions",
    "promotions", "recorded_inputs", "stream_checkpoints", "stream_leases", "tool_calls",
    "tool_plans", "trade_decisions", "vote_weights",
}  # fmt: skip


@pytest.fixture
def empty(postgres_server: EmbeddedPostgres) -> str:
    """A database without tables."""
    with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS empty WITH (FORCE)")
        connection.execute("CREATE DATABASE empty")
    return postgres_server.dsn.replace("/marketloom?", "/empty?")


def tables(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {name for (name,) in rows}


def test_migrating_creates_every_table_and_again_changes_nothing(empty: str) -> None:
    for _ in range(2):
        migrate(empty)
        assert tables(empty) == TABLES


def test_an_account_from_before_the_halts_table_has_the_peak_of_its_snapshots(empty: str) -> None:
    migrate(empty, "0001")
    with psycopg.connect(empty) as connection:
        for day, equity, peak in (("2024-01-01", 2000, 2150), ("2024-01-02", 1900, 2100)):
            connection.execute(
                "INSERT INTO portfolio_snapshots VALUES ('paper', %s, %s, '{}', %s)",
                (day, equity, f'{{"peak_equity": "{peak}"}}'),
            )
    migrate(empty)
    assert PostgresJournal(empty).peak("paper") == 2150


def test_a_snapshot_of_a_day_from_before_moments_is_still_the_days(empty: str) -> None:
    migrate(empty, "0002")
    with psycopg.connect(empty) as connection:
        for day, snapshot in (
            ("2024-01-01", '{"equity": "5", "balances": {}}'),
            ("2024-01-02", '{"equity": "6", "balances": {}, "at": "2024-01-02T08:00:00+00:00"}'),
        ):
            connection.execute(
                "INSERT INTO portfolio_snapshots VALUES ('paper', %s, 5, '{}', %s)", (day, snapshot)
            )
    migrate(empty)
    journal = PostgresJournal(empty)
    assert [row["equity"] for row in journal.snapshots("paper")] == [5, 6]
    assert [
        row["equity"] for row in journal.snapshots_since("paper", datetime(2024, 1, 2, 8, tzinfo=UTC))
    ] == [6]
    journal.save_snapshot(
        "paper", datetime(2024, 1, 1, 23, tzinfo=UTC), {"equity": Decimal(4), "balances": {}}
    )
    # The old one was the end of its day.
    assert [row["equity"] for row in journal.snapshots("paper")] == [5, 6]


def test_news_from_before_stories_is_still_read_and_described_when_it_is_put_again(empty: str) -> None:
    migrate(empty, "0012")
    noon, day = datetime(2024, 5, 1, 12, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=UTC)
    with psycopg.connect(empty) as connection:
        for name, published, known in (("a", noon, noon), ("b", day, datetime(2024, 5, 2, tzinfo=UTC))):
            connection.execute(
                "INSERT INTO news_articles VALUES ('d', %s, %s, %s, 'Wire', 'XRP listed', 'It was.', '')",
                (name, published, known),
            )
        connection.execute(
            "INSERT INTO news_sentiment VALUES ('d', 'a', 'XRP', %s, 0.5, 0.8, 'lexicon', '', 0)", (noon,)
        )
    migrate(empty)
    news, later = PostgresNews(empty, "d"), datetime(2025, 1, 1, tzinfo=UTC)
    old = news.articles(day, later)
    assert old["date_only"].to_list() == [False, True]
    assert old["story_id"].to_list() == ["a", "b"]
    assert old["assets"].to_list() == [[], []]
    assert news.sentiment("XRP", day, later)["score"].to_list() == [0.5]
    assert news.put_articles(describe(old)) == 0
    again = news.articles(day, later)
    assert again["assets"].to_list() == [["XRP"], ["XRP"]]
    assert again["ingested_at"].equals(old["ingested_at"])


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "has no pgvector: install its package"),
        (("0.7.4", True), "pgvector 0.7.4, and 0.8 or newer is needed.*ALTER EXTENSION vector UPDATE"),
        (("0.5.1", False), "then start again"),
        (("0.8.0", True), "^$"),
        (("1.0", False), "^$"),
    ],
)
def test_a_server_without_pgvector_or_with_an_old_one_is_told_what_to_do(
    found: tuple[str, bool] | None, said: str
) -> None:
    assert re.search(said, pgvector_problem(found))


def test_migrations_that_meet_wait_for_each_other(empty: str) -> None:
    script = "import sys; from trading.stores.postgres import migrate; migrate(sys.argv[1])"
    command = [sys.executable, "-W", "error", "-c", script, empty]
    processes = [subprocess.Popen(command, cwd=Path(__file__).parents[2]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert tables(empty) == TABLES


def test_the_error_for_a_database_without_tables_names_what_creates_them(empty: str) -> None:
    with pytest.raises(NotStored, match="marketloom dev"):
        PostgresPromotions(empty, "test").champion(BTC)


@pytest.mark.parametrize(
    "dsn", ["postgresql://me:secret@127.0.0.1:1/x", "host=/nowhere user=me password=secret dbname=x"]
)
def test_a_server_that_is_not_there_is_named_without_its_password(dsn: str) -> None:
    with pytest.raises(StoreUnreachable, match=r"does not answer at (127\.0\.0\.1:1/x|/nowhere)") as caught:
        PostgresPromotions(dsn, "test").champion(BTC)
    assert "secret" not in str(caught.value)
    assert caught.value.retryable
    with pytest.raises(StoreUnreachable):
        migrate(dsn)


@pytest.mark.parametrize(
    "dsn",
    ["postgresql://me:secret@[half", "nonsense", "colour=blue password=secret", "postgresql://me:a@secret@host/x",
     "postgresql://me:secret/b@host/x", "postgresql://me:1/secret@host/x",
     "postgresql://me:secret%zz@host/x"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_without_its_password(dsn: str) -> None:
    with pytest.raises(InvalidSettings, match="postgresql://user") as caught:
        PostgresPromotions(dsn, "test")
    assert "secret" not in str(caught.value)


def test_a_transaction_that_raises_stores_nothing(dsn: str) -> None:
    database = Database(dsn)

    def half_done() -> None:
        with database.transaction() as connection:
            insert(connection, "accounts", {"account": "paper", "opened_at": "2020-01-01"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_done()
    with database.transaction() as connection:
        assert connection.execute("SELECT * FROM accounts").fetchall() == []


def test_a_session_ended_by_the_server_is_replaced_at_the_next_call(dsn: str) -> None:
    database = Database(dsn)
    with database.transaction() as connection, psycopg.connect(dsn, autocommit=True) as other:
        victim = connection.info.backend_pid
        other.execute("SELECT 1")
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", (victim,))
    with database.transaction() as connection:
        assert connection.info.backend_pid != victim


def test_a_session_ended_in_the_middle_is_unreachable_not_a_crash(dsn: str) -> None:
    database = Database(dsn)

    def cut_off() -> None:
        with database.transaction() as connection:
            with psycopg.connect(dsn, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 10000)", (connection.info.backend_pid,))
            insert(connection, "accounts", {"account": "paper", "opened_at": "2020-01-01"})

    with pytest.raises(StoreUnreachable, match="nothing committed is lost"):
        cut_off()
    with database.transaction() as connection:
        assert connection.execute("SELECT * FROM accounts").fetchall() == []


def test_threads_take_turns_on_one_connection(dsn: str) -> None:
    database = Database(dsn)

    def work(number: int) -> int:
        with database.transaction() as connection:
            insert(connection, "accounts", {"account": f"{number}", "opened_at": "2020-01-01"})
            return connection.info.backend_pid

    assert len(set(at_once(work, range(8)))) == 1


def test_a_value_that_a_column_refuses_is_invalid(dsn: str) -> None:
    database = Database(dsn)
    row = {"account": "nobody", "asset": "USDT", "amount": 1, "entered_at": "2020-01-01"}

    def enter() -> None:
        with database.transaction() as connection:
            insert(connection, "ledger_entries", row)

    with pytest.raises(InvalidValue, match="nothing was kept"):
        enter()


def test_a_reading_begins_no_transaction_and_is_part_of_the_one_around_it(dsn: str) -> None:
    database, other = Database(dsn), Database(dsn)
    names = "SELECT account FROM accounts"
    with database.reading() as connection:
        connection.execute(names)
        assert connection.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
    with database.transaction() as connection:
        insert(connection, "accounts", {"account": "paper", "opened_at": "2020-01-01"})
        with database.reading() as inside, other.reading() as outside:
            assert inside.execute(names).fetchall() == [{"account": "paper"}]
            assert outside.execute(names).fetchall() == []
    with other.reading() as outside:
        assert outside.execute(names).fetchall() == [{"account": "paper"}]


def test_a_reading_after_the_server_ended_its_session_is_one_of_a_new_session(dsn: str) -> None:
    database = Database(dsn)
    with database.reading() as connection:
        victim = connection.info.backend_pid
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", (victim,))
    with database.reading() as connection:
        assert connection.execute("SELECT pg_backend_pid() AS pid").fetchone() != {"pid": victim}
