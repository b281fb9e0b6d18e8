"""What the database itself refuses: plain SQL, past every line of Python, tries to break it."""

import threading
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.contracts.trade import (
    HOUR,
    MINUTE,
    NOON,
    bought,
    closing,
    decided,
    exiting,
    fill,
    leased,
    opened,
    order,
    sent,
    stop,
)
from trading.orders import FINAL, TRANSITIONS, OrderIntent, OrderStatus, Side
from trading.ports import Journal
from trading.risk import Halt, HaltKind
from trading.stores.order_rules import begun
from trading.stores.postgres import PostgresJournal

S = OrderStatus
Connection = psycopg.Connection[Any]
SEND = (
    "UPDATE orders SET status = 'sent', attempt = attempt + 1, sent_at = %(at)s, void_after = %(at)s, "
    "updated_at = %(at)s, fence = %(fence)s WHERE intent_id = %(id)s"
)


@pytest.fixture
def journal(dsn: str) -> Journal:
    return opened(PostgresJournal(dsn))


@pytest.fixture
def sql(dsn: str) -> Iterator[Connection]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def send(sql: Connection, of: OrderIntent, fence: int) -> None:
    sql.execute(SEND, {"at": NOON + MINUTE, "fence": fence, "id": of.intent_id})


def status(sql: Connection, of: OrderIntent) -> str:
    row = sql.execute("SELECT status FROM orders WHERE intent_id = %s", (of.intent_id,)).fetchone()
    assert row is not None
    name: str = row[0]
    return name


def protected(journal: Journal, number: int = 1, **changes: Any) -> OrderIntent:
    wanted = stop(number, **changes)
    journal.add_order(wanted, begun(wanted), "protect")
    return wanted


# --- one live exit


def test_a_second_live_exit_of_an_account_and_pair_is_refused(journal: Journal, sql: Connection) -> None:
    bought(journal)
    first, second = exiting(journal), closing("")
    journal.record_order(order(first, S.REJECTED, attempt=0), [])
    exiting(journal, "close-2")
    sql.execute(
        "INSERT INTO order_intents (intent_id, account, pair, side, quantity, reduces, created_at, asked) "
        "VALUES ('x', 'paper', 'BTC/USDT', 'sell', 0.01, true, now(), false)"
    )
    add = (
        "INSERT INTO orders (intent_id, account, pair, kind, client_order_id, status, reason, updated_at, changed_at) "
        "VALUES ('x', 'paper', 'BTC/USDT', %s, 'x', 'intended', '', now(), now())"
    )
    with pytest.raises(psycopg.errors.UniqueViolation, match="one_live_exit"):
        sql.execute(add, ("exit",))
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        sql.execute(add, ("stop",))
    with pytest.raises(psycopg.errors.CheckViolation, match="is rejected: it cannot become intended"):
        sql.execute("UPDATE orders SET status = 'intended' WHERE intent_id = %s", (first.intent_id,))
    assert second.kind == "exit"


# --- what closes never adds up to more than the position


@pytest.mark.parametrize(
    ("side", "quantity"), [(Side.SELL, "0.0100001"), (Side.BUY, "0.01")], ids=["too large", "wrong side"]
)
def test_an_exit_beyond_the_position_is_not_sent(
    journal: Journal, sql: Connection, side: Side, quantity: str
) -> None:
    bought(journal)
    wanted = exiting(journal, side=side, quantity=Decimal(quantity))
    with pytest.raises(psycopg.errors.CheckViolation, match="to close a position"):
        send(sql, wanted, leased(journal).fence)
    assert status(sql, wanted) == "intended"


def test_an_exit_without_a_position_is_not_sent(journal: Journal, sql: Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="to close a position of 0"):
        send(sql, exiting(journal), leased(journal).fence)


@pytest.mark.parametrize("state", [S.SENT, S.UNKNOWN, S.ACKNOWLEDGED, S.PARTLY_FILLED])
def test_an_exit_beside_a_live_stop_is_not_sent(journal: Journal, sql: Connection, state: S) -> None:
    bought(journal)
    resting = protected(journal)
    sent(journal, resting)
    if state is not S.SENT:
        part = [fill(resting, quantity=Decimal("0.004"))] if state is S.PARTLY_FILLED else []
        journal.record_order(order(resting, state), part)
    leaving, fence = exiting(journal, quantity=Decimal("0.006")), leased(journal).fence
    with pytest.raises(psycopg.errors.CheckViolation, match="may be on its way already"):
        send(sql, leaving, fence)
    journal.record_order(order(resting, S.CANCELLED), [])
    send(sql, leaving, fence)
    assert status(sql, leaving) == "sent"


def test_two_writers_that_look_at_one_position_do_not_both_send(
    journal: Journal, sql: Connection, dsn: str
) -> None:
    bought(journal)
    first, second, fence = protected(journal, 1), protected(journal, 2), leased(journal).fence
    refused: list[str] = []

    def send_the_second() -> None:
        with psycopg.connect(dsn, autocommit=True) as other:
            other.execute("SET application_name = 'second writer'")
            try:
                send(other, second, fence)
            except psycopg.errors.CheckViolation as error:
                refused.append(str(error))

    with psycopg.connect(dsn) as one:
        send(one, first, fence)
        writer = threading.Thread(target=send_the_second)
        writer.start()
        waits = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'second writer' AND wait_event_type = 'Lock'"
        while sql.execute(waits).fetchone() is None:
            assert writer.is_alive(), refused
        one.commit()
        writer.join()
    assert len(refused) == 1
    assert (status(sql, first), status(sql, second)) == ("sent", "intended")


# --- the newest lease, and halts


def test_an_order_is_not_sent_with_an_older_number_or_none(journal: Journal, sql: Connection) -> None:
    wanted, old, new = decided(journal), leased(journal), leased(journal)
    for fence in (old.fence, new.fence + 1, None):
        with pytest.raises(psycopg.errors.CheckViolation, match="is not the newest"):
            send(sql, wanted, fence)  # type: ignore[arg-type]
    journal.release_lease(new)
    with pytest.raises(psycopg.errors.CheckViolation, match="is not the newest"):
        send(sql, wanted, new.fence)
    send(sql, wanted, leased(journal, "you").fence)
    assert status(sql, wanted) == "sent"


def test_a_trigger_is_not_moved_with_an_older_number(journal: Journal, sql: Connection) -> None:
    bought(journal)
    resting, old = protected(journal), leased(journal)
    sent(journal, resting, old)
    journal.record_order(order(resting, S.ACKNOWLEDGED), [])
    leased(journal)
    with pytest.raises(psycopg.errors.CheckViolation, match="is not the newest"):
        sql.execute("UPDATE orders SET trigger = 9900 WHERE intent_id = %s", (resting.intent_id,))


@pytest.mark.parametrize("converts", [False, True])
@pytest.mark.parametrize("since", [NOON, NOON + HOUR])
def test_what_closes_nothing_is_not_sent_during_a_halt_that_may_be_younger_than_the_sender_s_clock(
    journal: Journal, sql: Connection, converts: bool, since: datetime
) -> None:
    wanted, fence = decided(journal, converts=converts), leased(journal).fence
    journal.begin_halts("paper", [Halt(HaltKind.DAILY_LOSS, since, NOON + 2 * HOUR, "3 % lost")])
    with pytest.raises(psycopg.errors.CheckViolation, match="account paper is halted"):
        send(sql, wanted, fence)


def test_what_is_to_be_cancelled_is_not_sent(journal: Journal, sql: Connection) -> None:
    wanted, fence = decided(journal), leased(journal).fence
    sql.execute("UPDATE orders SET cancel_reason = 'a turn' WHERE intent_id = %s", (wanted.intent_id,))
    with pytest.raises(psycopg.errors.CheckViolation, match="is to be cancelled"):
        send(sql, wanted, fence)


# --- states


def brought_to(journal: Journal, state: OrderStatus) -> OrderIntent:
    wanted = decided(journal)
    if state is S.INTENDED:
        return wanted
    sent(journal, wanted)
    parts = {S.FILLED: "0.01", S.PARTLY_FILLED: "0.004"}
    fills = [fill(wanted, quantity=Decimal(parts[state]))] if state in parts else []
    if state is not S.SENT:
        assert journal.record_order(order(wanted, state), fills).status is state
    return wanted


@pytest.mark.parametrize("before", list(S))
def test_a_state_is_followed_by_those_alone_that_may_follow_it(
    journal: Journal, sql: Connection, before: OrderStatus
) -> None:
    wanted = brought_to(journal, before)
    for after in S:
        if after is before or after in TRANSITIONS[before]:
            continue
        with pytest.raises(psycopg.errors.CheckViolation, match="cannot become"):
            sql.execute("UPDATE orders SET status = %s WHERE intent_id = %s", (after, wanted.intent_id))
    assert status(sql, wanted) == before


@pytest.mark.parametrize("before", sorted(set(S) - FINAL))
def test_a_state_that_may_follow_does(journal: Journal, sql: Connection, before: OrderStatus) -> None:
    """With a whole fill behind it where one is needed, and taken back after each."""
    wanted = brought_to(journal, before)
    fence = leased(journal).fence
    for after in TRANSITIONS[before] - {before}:
        with sql.transaction(force_rollback=True):
            if after is S.SENT:
                send(sql, wanted, fence)
            else:
                if after is S.FILLED or (before, after) == (S.INTENDED, S.UNKNOWN):
                    sql.execute(
                        "INSERT INTO fills (fill_id, intent_id, account, pair, side, price, quantity, fee, fee_asset, "
                        "filled_at) VALUES ('w', %s, 'paper', 'BTC/USDT', 'buy', 1, 1, 0, 'USDT', now())",
                        (wanted.intent_id,),
                    )
                sql.execute(
                    "UPDATE orders SET status = %(after)s, filled = "
                    "(SELECT coalesce(sum(quantity), 0) FROM fills WHERE intent_id = %(id)s) WHERE intent_id = %(id)s",
                    {"after": after, "id": wanted.intent_id},
                )
            assert status(sql, wanted) == after


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("status = 'filled'", "cannot be filled with 0"),
        ("status = 'nonsense'", "cannot become"),
        ("filled = 0.001", "do not add up"),
        ("attempt = attempt + 1", "was sent 1 times"),
        ("attempt = 0", "was sent 1 times"),
        ("pair = 'XRP/USDT'", "another one"),
        ("client_order_id = 'x'", "another one"),
    ],
)
def test_an_order_that_says_what_is_not_so_is_refused(
    journal: Journal, sql: Connection, change: str, words: str
) -> None:
    wanted = brought_to(journal, S.SENT)
    with pytest.raises(psycopg.errors.CheckViolation, match=words):
        sql.execute(f"UPDATE orders SET {change} WHERE intent_id = %s".encode(), (wanted.intent_id,))


def test_what_is_filled_in_part_was_not_never_taken(journal: Journal, sql: Connection) -> None:
    wanted = brought_to(journal, S.SENT)
    journal.record_order(order(wanted, S.UNKNOWN), [fill(wanted, quantity=Decimal("0.004"))])
    with pytest.raises(psycopg.errors.CheckViolation, match=r"cannot be intended with 0\.004"):
        sql.execute("UPDATE orders SET status = 'intended' WHERE intent_id = %s", (wanted.intent_id,))


@pytest.mark.parametrize("state", ["sent", "unknown"])
def test_an_order_does_not_begin_as_sent(journal: Journal, sql: Connection, state: str) -> None:
    decided(journal)
    sql.execute(
        "INSERT INTO order_intents (intent_id, account, pair, side, quantity, reduces, created_at, asked) "
        "VALUES ('x', 'paper', 'BTC/USDT', 'sell', 0.01, true, now(), false)"
    )
    with pytest.raises(psycopg.errors.CheckViolation, match="cannot begin"):
        sql.execute(
            "INSERT INTO orders (intent_id, account, pair, kind, client_order_id, status, reason, updated_at, "
            "changed_at, sent_at, void_after) "
            "VALUES ('x', 'paper', 'BTC/USDT', 'exit', 'x', %s, '', now(), now(), now(), now())",
            (state,),
        )


def test_a_change_past_the_journal_is_kept_too(journal: Journal, sql: Connection) -> None:
    wanted = brought_to(journal, S.SENT)
    sql.execute(
        "UPDATE orders SET status = 'cancelled', cause = 'by hand' WHERE intent_id = %s", (wanted.intent_id,)
    )
    last = journal.order_changes(wanted.intent_id)[-1]
    assert (last.status, last.cause) == (S.CANCELLED, "by hand")


@pytest.mark.parametrize("table", ["order_changes", "fills", "ledger_entries"])
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET number = DEFAULT"])
def test_facts_are_never_changed(journal: Journal, sql: Connection, table: str, statement: str) -> None:
    bought(journal)
    with pytest.raises(psycopg.errors.CheckViolation, match="are facts"):
        sql.execute(statement.format(table).encode())


# --- positions

POSITION = (
    "INSERT INTO positions (account, pair, quantity, entry_price, opened_at, entry_id) "
    "VALUES ('paper', %s, %s, 10000, now(), %s)"
)


def test_a_position_is_opened_by_a_filled_entry_alone(journal: Journal, sql: Connection) -> None:
    entry = bought(journal)
    leaving = exiting(journal)
    sent(journal, leaving)
    journal.record_order(order(leaving, S.FILLED), [fill(leaving)])
    unfilled = decided(journal, "decision-2")
    converted = decided(journal, "decision-3", converts=True)
    sent(journal, converted)
    journal.record_order(order(converted, S.FILLED), [fill(converted)])
    for pair, quantity, entry_id in (
        ("BTC/USDT", "0.01", None),
        ("BTC/USDT", "-0.01", leaving.intent_id),
        ("BTC/USDT", "0.01", leaving.intent_id),
        ("BTC/USDT", "0.01", unfilled.intent_id),
        ("BTC/USDT", "0.01", converted.intent_id),
        ("BTC/USDT", "-0.01", entry.intent_id),
        ("XRP/USDT", "0.01", entry.intent_id),
    ):
        with pytest.raises(psycopg.errors.CheckViolation, match="no entry of account paper"):
            sql.execute(POSITION, (pair, quantity, entry_id))
    sql.execute(POSITION, ("BTC/USDT", "0.01", entry.intent_id))


@pytest.mark.parametrize("quantity", ["-0.001", "-0.01", "0", "'NaN'", "'Infinity'"])
def test_a_position_never_turns(journal: Journal, sql: Connection, quantity: str) -> None:
    bought(journal)
    with pytest.raises(psycopg.errors.CheckViolation):
        sql.execute(f"UPDATE positions SET quantity = {quantity}".encode())
    sql.execute("UPDATE positions SET quantity = 0.004")


def test_a_position_does_not_grow_by_what_reduces(journal: Journal, sql: Connection) -> None:
    bought(journal)
    leaving = exiting(journal)
    with pytest.raises(psycopg.errors.CheckViolation, match="no entry"):
        sql.execute("UPDATE positions SET quantity = 0.02, entry_id = %s", (leaving.intent_id,))
