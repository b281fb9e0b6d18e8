"""The guard writes the account's minutes: at their ends, once, at what it sees then, and nothing is made up."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from streaming.guard.history import LATEST, WAITING, HistoryDuty
from streaming.guard.metrics import GuardMetrics
from tests.streaming.guard.guard_case import BTC, CROSS, ETH, NOON, Case, position, view
from tests.streaming.guard.guarded import ACCOUNT, Guarded
from tests.trading.execution.execution_case import BTC as TRADED
from trading.account_minute import MINUTE, AccountMinute
from trading.errors import StoreUnreachable
from trading.stores.postgres.balance_history import PostgresBalanceHistory, PostgresMinuteWriter

SECOND = timedelta(seconds=1)
EPOCH, FAR = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def duty(case: Case) -> HistoryDuty:
    """One whose minutes wait to be written."""
    writer = PostgresMinuteWriter("", "guarded", "venue", lambda: 1)
    metrics = GuardMetrics(CollectorRegistry())
    return HistoryDuty("guarded", "USDT", writer, case.guard.read_prices, lambda: case.at, metrics)


def minutes_of(made: HistoryDuty) -> list[tuple[datetime, datetime]]:
    return [(each.minute, each.reading.at) for each in made._waiting]


def test_the_first_look_after_a_minute_s_end_reads_its_prices() -> None:
    case = Case()
    made = duty(case)
    looks = [NOON + 58 * SECOND, NOON + 59.9 * SECOND, NOON + MINUTE, NOON + MINUTE + 0.1 * SECOND]
    for at in looks:
        made.look(at)
    assert minutes_of(made) == [(NOON, NOON + MINUTE)]


def test_a_process_that_starts_in_a_minute_leaves_the_one_before_to_whoever_saw_its_end() -> None:
    case = Case()
    made = duty(case)
    made.look(NOON + LATEST + SECOND)
    assert minutes_of(made) == []
    made.look(NOON + MINUTE)
    assert minutes_of(made) == [(NOON, NOON + MINUTE)]


def test_minutes_in_which_nobody_looked_stay_gaps() -> None:
    case = Case()
    made = duty(case)
    for at in (NOON, NOON + 5 * MINUTE + LATEST + SECOND, NOON + 6 * MINUTE + LATEST):
        made.look(at)
    assert minutes_of(made) == [(NOON - MINUTE, NOON), (NOON + 5 * MINUTE, NOON + 6 * MINUTE + LATEST)]


def test_while_the_store_is_away_the_newest_minutes_wait() -> None:
    case = Case()
    made = duty(case)
    for number in range(WAITING + 10):
        made.look(NOON + number * MINUTE)
    waiting = minutes_of(made)
    assert len(waiting) == WAITING
    assert waiting[-1] == (NOON + (WAITING + 8) * MINUTE, NOON + (WAITING + 9) * MINUTE)


def test_the_prices_are_the_middles_of_the_books_and_the_others_say_why_not() -> None:
    case = Case()
    case.guard.learn(view(position(BTC)))
    case.look(100.0, pair=ETH, spread=1.0)
    case.look(10.0, pair=CROSS)
    case.look(10.0, pair=CROSS, spread=8.0)
    case.unseen[BTC] = "feed"
    reading = case.guard.read_prices(NOON)
    assert reading.at == NOON
    assert reading.prices == {ETH: Decimal("100.5")}
    assert reading.unseen == {BTC: "feed", CROSS: "spread"}


def test_what_the_account_does_not_hold_is_no_refusal_of_a_look() -> None:
    case = Case()
    case.guard.learn(view())
    case.look(100.0)
    counted = case.guard.refusals.copy()
    case.guard.read_prices(NOON)
    assert case.guard.refusals == counted


# --- at work


@pytest.fixture
def case(dsn: str) -> Iterator[Guarded]:
    guarded = Guarded(dsn)
    yield guarded
    guarded.outbox.close()


class Clock:
    """The account's clock, which a test moves."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock(case: Guarded) -> Clock:
    """Put the guard on a clock that stands in the middle of a minute, a while after everything that is booked."""
    made = Clock(datetime.now(UTC).replace(second=30) + 5 * MINUTE)
    put_on(case, made)
    return made


def put_on(case: Guarded, clock: Clock) -> None:
    case.loop._now = case.loop._history._now = clock


def end_minute(clock: Clock) -> datetime:
    """Move to just after the minute's end; returns its beginning."""
    begun = clock.at.replace(second=0, microsecond=0)
    clock.at = begun + MINUTE + 0.05 * SECOND
    return begun


def written(case: Guarded) -> list[AccountMinute]:
    return PostgresBalanceHistory(case.dsn).minutes(ACCOUNT, EPOCH, FAR)


pytestmark = pytest.mark.anyio


async def test_each_minute_is_written_once_with_what_it_ended_with(case: Guarded, clock: Clock) -> None:
    case.buy(quantity="2")
    async with case.running():
        case.quote(101.0)
        first = end_minute(clock)
        await case.until(lambda: written(case))
        case.quote(102.0)
        clock.at += 20 * SECOND
        second = end_minute(clock)
        await case.until(lambda: len(written(case)) == 2)
        assert case.metric("minutes_total", priced="yes") == 2
    before, after = written(case)
    assert (before.minute, after.minute) == (first, second)
    assert before.at == first + MINUTE + 0.05 * SECOND
    [position] = after.positions
    assert (position.quantity, position.entry_price, position.price) == (2, 100, Decimal("102.05"))
    assert (before.unrealised_pnl, after.unrealised_pnl) == (Decimal("2.1"), Decimal("4.1"))
    assert after.equity == after.cash + 2 * Decimal("102.05")
    assert (after.gross_exposure, after.net_exposure) == (Decimal("204.1"), Decimal("204.1"))


async def test_a_held_pair_that_is_out_of_sight_is_unknown_in_that_minute_alone(
    case: Guarded, clock: Clock
) -> None:
    case.buy()
    async with case.running():
        case.quote(101.0)
        case.unseen[TRADED] = "book"
        end_minute(clock)
        await case.until(lambda: written(case))
        del case.unseen[TRADED]
        end_minute(clock)
        await case.until(lambda: len(written(case)) == 2)
    blind, seen = written(case)
    assert (blind.equity, blind.unrealised_pnl, blind.unseen) == (None, None, {TRADED: "book"})
    assert blind.positions[0].quantity == 1
    assert seen.equity == seen.cash + Decimal("101.05")


async def test_killed_in_the_middle_of_a_minute_the_next_process_writes_it(
    case: Guarded, clock: Clock
) -> None:
    case.quote(101.0)
    async with case.running():
        first = end_minute(clock)
        await case.until(lambda: written(case))
        clock.at += 25 * SECOND
    case.begin()
    put_on(case, clock)
    async with case.running():
        case.quote(101.0)
        second = end_minute(clock)
        await case.until(lambda: len(written(case)) == 2)
    assert [each.minute for each in written(case)] == [first, second]


async def test_one_that_starts_just_after_a_minute_s_end_changes_nothing_of_it(
    case: Guarded, clock: Clock
) -> None:
    case.buy()
    async with case.running():
        case.quote(101.0)
        end_minute(clock)
        [before] = await case.until(lambda: written(case))
    case.begin()
    put_on(case, clock)
    async with case.running():
        case.quote(500.0)
        await case.until(lambda: case.metric("minutes_total", priced="yes"))
    assert written(case) == [before]


async def test_minutes_of_a_time_in_which_the_store_is_away_are_written_at_the_prices_of_then(
    case: Guarded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.buy()
    writer = case.loop._history._writer
    booked = writer.booked

    def away(at: datetime) -> None:
        raise StoreUnreachable("PostgreSQL is away")

    monkeypatch.setattr(writer, "booked", away)
    async with case.running():
        case.quote(101.0)
        end_minute(clock)
        await case.until(lambda: case.metric("errors_total", errand="balance history"))
        assert [each for each in case.loop.health() if "balance history" in each]
        case.quote(102.0)
        end_minute(clock)
        await case.until(lambda: len(case.loop._history._waiting) == 2)
        case.quote(102.9)
        monkeypatch.setattr(writer, "booked", booked)
        await case.until(lambda: len(written(case)) == 2)
        await case.until(lambda: not case.loop.health())
    assert [each.unrealised_pnl for each in written(case)] == [Decimal("1.05"), Decimal("2.05")]


async def test_of_two_streams_the_one_that_was_overtaken_writes_nothing_and_ends(
    case: Guarded, clock: Clock
) -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(case.loop.run(stop))
    await case.until(lambda: case.guard.view is not None)
    with psycopg.connect(case.dsn, autocommit=True) as connection:
        connection.execute("UPDATE stream_leases SET epoch = epoch + 1")
    end_minute(clock)
    await case.until(task.done)
    assert "taken over" in str(task.exception())
    assert written(case) == []


async def test_before_the_account_has_opened_there_is_no_minute(dsn: str) -> None:
    case = Guarded(dsn)
    clock = Clock(datetime(2020, 1, 1, 0, 0, 30, tzinfo=UTC))
    put_on(case, clock)
    async with case.running():
        end_minute(clock)  # years before the account's ledger begins
        await case.until(lambda: not case.loop._history._waiting)
    case.outbox.close()
    assert written(case) == []
