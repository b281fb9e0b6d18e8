"""What a journal in PostgreSQL promises beyond the contract: several processes, and SQL."""

from decimal import Decimal

import psycopg
import pytest

from streaming.bus.postgres import PostgresBus
from streaming.messages import ALERTS, DECISIONS, AlertMessage, DecisionMessage, decode
from tests.contracts.trade import (
    HOUR,
    NOON,
    bought,
    decided,
    exiting,
    fill,
    intent,
    leased,
    opened,
    order,
    receipt,
    sent,
)
from tests.doubles.threads import at_once
from trading.errors import Permanent, StoreUnreachable
from trading.orders import OrderStatus
from trading.ports import Journal, Record
from trading.risk import Halt, HaltKind
from trading.stores.postgres import Database, PostgresJournal


@pytest.fixture
def journal(dsn: str) -> Journal:
    return PostgresJournal(dsn)


def test_while_another_process_books_on_the_account_an_order_waits(dsn: str, journal: Journal) -> None:
    wanted = decided(opened(journal))
    impatient = PostgresJournal(f"{dsn}&options=-c%20lock_timeout%3D20ms")
    with psycopg.connect(dsn) as other:
        other.execute("SELECT 1 FROM accounts WHERE account = 'paper' FOR NO KEY UPDATE")
        with pytest.raises(StoreUnreachable, match="another process holds"):
            impatient.record_order(order(wanted, OrderStatus.FILLED), [fill(wanted)])
        with pytest.raises(StoreUnreachable, match="another process holds"), impatient.exclusive("paper"):
            pass
    impatient.record_order(order(wanted, OrderStatus.FILLED), [fill(wanted)])
    assert len(journal.fills("paper")) == 1


def test_a_shadow_decision_is_stored_and_not_published(dsn: str, journal: Journal) -> None:
    journal.record_decision(receipt("decision-1") | {"account": "paper shadow", "shadow": True}, None)
    assert journal.decision("decision-1")["shadow"] is True
    assert published(dsn, DECISIONS) == []


def test_a_decision_can_be_asked_for_in_sql(dsn: str, journal: Journal) -> None:
    bought(opened(journal))
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT d.action, position_size, stop_loss, executed, receipt ->> 'account', agent, evidence ->> 'adx' "
            "FROM trade_decisions d JOIN agent_opinions USING (decision_id)"
        ).fetchone()
    assert row == ("LONG", Decimal("0.01"), Decimal(9800), True, "paper", "technical", "12.5")


def test_what_models_answered_can_be_asked_for_in_sql(dsn: str, journal: Journal) -> None:
    """Opinion, raw answer, tokens and cost; and the log says of each model how it ended."""
    said = {
        "model": "openai/mini",
        "prompt": "trader-balanced/1",
        "prompt_hash": "ab",
        "tokens": 310,
        "reused": False,
    }
    voted = said | {
        "outcome": "valid",
        "problem": "",
        "cost_usd": 0.002,
        "answer": '{"text": "{}", "calls": []}',
    }
    late = said | {"outcome": "timeout", "problem": "too late", "cost_usd": 0.001, "answer": ""}
    opinion = receipt()["opinions"][0]
    opinions = [
        opinion,
        opinion | {"agent": "trader-a", "action": "LONG", "confidence": 0.5},
        opinion | {"agent": "trader-b", "reasoning": "timeout: too late"},
    ]
    made = receipt(
        opinions=opinions, dataset="d", inputs={"judgements": {"trader-a": voted, "trader-b": late}}
    )
    assert opened(journal).record_decision(made, None)
    assert not journal.record_decision(made, None)
    with psycopg.connect(dsn) as connection:
        raw = connection.execute("SELECT raw_response FROM trade_decisions").fetchall()
        rows = connection.execute(
            "SELECT agent, outcome, prompt_hash, tokens, cost_usd, raw_response ->> 'text' FROM agent_opinions "
            "ORDER BY number"
        ).fetchall()
        log = connection.execute(
            "SELECT dataset, agent, level, message, details ->> 'decision_id' FROM agent_logs ORDER BY number"
        ).fetchall()
    assert raw == [({"trader-a": {"text": "{}", "calls": []}},)]
    assert rows == [
        ("technical", None, None, None, None, None),
        ("trader-a", "valid", "ab", 310, 0.002, "{}"),
        ("trader-b", "timeout", "ab", 310, 0.001, None),
    ]
    assert log == [
        ("d", "trader-a", "info", "BTC/USDT: LONG", "decision-1"),
        ("d", "trader-b", "warning", "BTC/USDT: abstains: timeout: too late", "decision-1"),
    ]


def test_halts_and_peak_are_there_for_the_next_process(dsn: str, journal: Journal) -> None:
    pause = Halt(HaltKind.DRAWDOWN, NOON, None, "10 % lost")
    journal.begin_halts("paper", [pause])
    journal.raise_peak("paper", Decimal("1234.56789"))
    restarted = PostgresJournal(dsn)
    assert restarted.halts("paper") == [pause]
    assert restarted.peak("paper") == Decimal("1234.56789")


def test_processes_that_find_the_same_drawdown_pause_once_and_store_the_higher_peak(dsn: str) -> None:
    def find(number: int) -> Decimal:
        own = PostgresJournal(dsn)
        own.begin_halts("paper", [Halt(HaltKind.DRAWDOWN, NOON + number * HOUR, None, "10 % lost")])
        return own.raise_peak("paper", Decimal(number))

    peaks = at_once(find, range(4))
    journal = PostgresJournal(dsn)
    assert len(journal.halts("paper")) == 1
    assert journal.peak("paper") == max(peaks) == 3


def test_a_block_whose_session_ended_goes_on_in_no_other_one(dsn: str, journal: Journal) -> None:
    opened(journal)

    def decide_twice() -> None:
        with journal.exclusive("paper"):
            decided(journal)
            with psycopg.connect(dsn, autocommit=True) as other:
                holds = "SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction'"
                rows = other.execute(holds).fetchall()
                assert len(rows) == 1
                other.execute("SELECT pg_terminate_backend(%s, 10000)", rows[0])
            decided(journal, "decision-2")

    with pytest.raises(StoreUnreachable):
        decide_twice()
    assert journal.decisions("paper") == []
    decided(journal)
    assert len(journal.decisions("paper")) == 1


def test_a_holder_in_whose_block_nothing_happens_is_ended_by_the_server(dsn: str, journal: Journal) -> None:
    opened(journal)
    stuck = PostgresJournal(f"{dsn}&options=-c%20idle_in_transaction_session_timeout%3D20ms")

    def wait_in_the_block() -> None:
        with stuck.exclusive("paper"):
            with journal.exclusive("paper"):  # waits for the stuck one's end
                decided(journal)
            decided(stuck, "decision-2")

    with pytest.raises(StoreUnreachable):
        wait_in_the_block()
    assert [each["decision_id"] for each in journal.decisions("paper")] == ["decision-1"]


def test_no_transaction_waits_or_stands_idle_for_ever(dsn: str) -> None:
    with Database(dsn).transaction() as connection:
        limits = [
            connection.execute(f"SHOW {name}".encode()).fetchone()
            for name in ("lock_timeout", "idle_in_transaction_session_timeout", "timezone")
        ]
    assert [list(each.values()) for each in limits if each] == [["10s"], ["1min"], ["UTC"]]


def test_the_plan_and_history_of_an_order_can_be_asked_for_in_sql(dsn: str, journal: Journal) -> None:
    wanted = bought(opened(journal))
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT kind, status, attempt, filled, client_order_id, sent_at IS NOT NULL, fence > 0 FROM orders"
        ).fetchone()
        changes = connection.execute(
            "SELECT status, filled, cause FROM order_changes ORDER BY number"
        ).fetchall()
    assert row == ("entry", "filled", 1, Decimal("0.01"), wanted.client_order_id, True, True)
    assert [each[:2] for each in changes] == [("intended", 0), ("sent", 0), ("filled", Decimal("0.01"))]


def test_a_lease_is_seen_by_other_processes(dsn: str, journal: Journal) -> None:
    lease = leased(opened(journal))
    other = PostgresJournal(dsn)
    assert other.acquire_lease("paper", "you", 60) is None
    journal.release_lease(lease)
    taken = other.acquire_lease("paper", "you", 60)
    assert taken is not None
    assert not journal.renew_lease(lease, 60)


def published(dsn: str, topic: str) -> list[Record]:
    reader = PostgresBus(dsn).reader([topic], from_start=True)
    try:
        return reader.poll(100, 0)
    finally:
        reader.close()


def test_a_decision_is_published_once_in_the_transaction_that_commits_it(dsn: str, journal: Journal) -> None:
    wanted = intent()
    assert opened(journal).record_decision(receipt(why="the trend is up"), wanted)
    assert not journal.record_decision(receipt(), wanted)  # known already
    with pytest.raises(Permanent):  # rolled back
        journal.record_decision(receipt("decision-2"), intent("decision-2"), cancels=["nobody's"])
    journal.record_decision(receipt("decision-3", action="HOLD"), None)
    messages = [decode(record, DecisionMessage) for record in published(dsn, DECISIONS)]
    assert messages == [
        DecisionMessage(
            decision_id="decision-1", account="paper", pair="BTC/USDT", action="LONG", confidence=0.75,
            reasoning="the trend is up", decided_at=NOON, intent_id=wanted.intent_id,
        ),
        DecisionMessage(
            decision_id="decision-3", account="paper", pair="BTC/USDT", action="HOLD", confidence=0.75,
            reasoning="", decided_at=NOON, intent_id=None,
        ),
    ]  # fmt: skip


def test_a_halt_is_published_as_an_alert_once(dsn: str, journal: Journal) -> None:
    pause = Halt(HaltKind.RECONCILIATION, NOON, None, "0.1 BTC are missing")
    for _ in range(2):
        opened(journal).begin_halts("paper", [pause])
    journal.begin_halts("paper", [Halt(HaltKind.DAILY_LOSS, NOON, NOON + HOUR, "3 % lost today")])
    alerts = [decode(record, AlertMessage) for record in published(dsn, ALERTS)]
    assert [(each.kind, each.severity, each.at, each.pair) for each in alerts] == [
        (HaltKind.RECONCILIATION.value, "error", NOON, None),
        (HaltKind.DAILY_LOSS.value, "warning", NOON, None),
    ]
    assert "account paper is halted" in alerts[0].text
    assert "0.1 BTC are missing" in alerts[0].text


def test_a_person_is_told_of_each_fill_once_however_often_it_is_reported(dsn: str, journal: Journal) -> None:
    wanted = decided(opened(journal))
    sent(journal, wanted)
    fills = [fill(wanted, number, quantity=Decimal("0.005")) for number in (1, 2)]
    journal.record_order(order(wanted, OrderStatus.PARTLY_FILLED), fills[:1])
    for _ in range(2):
        journal.record_order(order(wanted, OrderStatus.FILLED), fills)
    reader = PostgresBus(dsn).reader([ALERTS], from_start=True)
    told = [decode(record, AlertMessage) for record in reader.poll(100, 0)]
    reader.close()
    assert [each.about for each in told] == [each.fill_id for each in fills]
    assert {(each.kind, each.severity, each.pair) for each in told} == {("fill", "info", "BTC/USDT")}
    assert told[0].text.startswith("account paper bought 0.005 BTC at 10000 USDT (entry, fee ")


@pytest.mark.parametrize("status", [OrderStatus.REJECTED, OrderStatus.EXPIRED, OrderStatus.UNKNOWN])
def test_a_person_is_told_once_of_an_entry_that_went_otherwise(
    dsn: str, journal: Journal, status: OrderStatus
) -> None:
    wanted = decided(opened(journal))
    sent(journal, wanted)
    for _ in range(2):
        journal.record_order(order(wanted, status, "EOrder:Insufficient funds"), [])
    [told] = [decode(record, AlertMessage) for record in published(dsn, ALERTS)]
    assert (told.kind, told.severity, told.pair) == ("order problem", "warning", "BTC/USDT")
    assert "entry buy 0.01 BTC/USDT" in told.text
    assert "EOrder:Insufficient funds" in told.text


def test_an_exit_that_the_venue_refuses_is_an_error_and_one_that_it_took_is_no_problem(
    dsn: str, journal: Journal
) -> None:
    bought(opened(journal))
    leaving = exiting(journal)
    sent(journal, leaving)
    before = len(published(dsn, ALERTS))
    journal.record_order(order(leaving, OrderStatus.ACKNOWLEDGED), [])
    assert len(published(dsn, ALERTS)) == before
    journal.record_order(order(leaving, OrderStatus.CANCELLED), [])
    again = exiting(journal, "close-2")
    sent(journal, again)
    journal.record_order(order(again, OrderStatus.REJECTED, "EOrder:no"), [])
    [told] = [decode(record, AlertMessage) for record in published(dsn, ALERTS)[before:]]
    assert (told.severity, told.text.startswith("account paper: exit sell 0.01 BTC/USDT")) == ("error", True)
