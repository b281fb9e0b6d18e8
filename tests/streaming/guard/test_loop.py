"""The guard at work over a real ledger: what is touched is closed once, whoever else acts and whatever is away."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.contracts.trade import receipt
from tests.doubles.venue import failing, lost
from tests.streaming.guard.guarded import ACCOUNT, PAIRS, PATIENCE, Guarded, Orders, blocking, now
from tests.trading.execution.execution_case import BTC, ETH, XRP, instrument
from trading.errors import InvalidValue, LeaseLost, VenueUnreachable
from trading.market import Pair
from trading.orders import OrderIntent, OrderKind, OrderStatus, Side
from trading.risk import HaltKind

pytestmark = pytest.mark.anyio


@pytest.fixture
def case(dsn: str) -> Iterator[Guarded]:
    guarded = Guarded(dsn)
    yield guarded
    guarded.outbox.close()


async def test_a_target_that_one_tick_touches_closes_the_position_once(case: Guarded) -> None:
    case.buy()
    async with case.running():
        case.quote(101.0, 110.5, 104.0)
        await case.until(case.is_closed)
    case.check_closed_once()
    assert case.metric("exits_total", pair="BTC/USDT", cause="take-profit") == 1


async def test_a_position_is_known_as_soon_as_its_fill_is_booked(case: Guarded) -> None:
    async with case.running():
        case.loop._read._every = None  # nothing but the notification tells of it
        await asyncio.to_thread(case.buy)
        await case.until(lambda: [each.now.pair for each in case.guard.held] == [BTC])
        await case.until(lambda: all(each.resting for each in case.guard.held))
        case.quote(110.5)
        await case.until(case.is_closed)
        await case.until(lambda: not case.guard.held)
    case.check_closed_once()


async def test_without_notifications_it_is_read_each_second(
    case: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case.watch, "wait", lambda changed, stop: stop.wait())
    async with case.running():
        await asyncio.to_thread(case.buy)
        case.quote(110.5)
        await case.until(case.is_closed)
    case.check_closed_once()


async def test_a_stop_trails_at_the_venue(case: Guarded) -> None:
    case.buy()
    async with case.running():
        case.quote(105.0)
        await case.until(lambda: [each.trigger for each in case.venue.resting(BTC)] == [Decimal("103.0")])
        case.quote(104.0, 107.0)
        await case.until(lambda: [each.trigger for each in case.venue.resting(BTC)] == [Decimal("105.0")])
    held = case.journal.position(ACCOUNT, BTC)
    assert held is not None
    assert (held.stop_loss, held.best_price) == (Decimal("105.0"), Decimal("107.0"))


async def test_a_stop_that_could_not_be_moved_is_moved_later_without_a_keeper(case: Guarded) -> None:
    case.buy()
    case.venue.faults["amend"] = [failing(VenueUnreachable("down"))]
    async with case.running():
        case.quote(105.0)
        await case.until(lambda: [each.trigger for each in case.venue.resting(BTC)] == [Decimal("103.0")])


async def test_dust_that_should_be_closed_is_not_carried_out_again_and_again(
    case: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.buy()
    become_dust(case, BTC)
    held = case.journal.position(ACCOUNT, BTC)
    assert held is not None
    assert case.journal.update_protection(replace(held, exit_reason="take-profit 110 was touched"))
    monkeypatch.setattr("streaming.guard.loop.CLOSE_SECONDS", 0.0)
    monkeypatch.setattr("streaming.guard.left_work.FIRST_SECONDS", 3600.0)
    monkeypatch.setattr("streaming.guard.left_work.MAX_SECONDS", 3600.0)
    calls: Counter[str] = Counter()
    for name in ("order_exits", "carry_out"):
        count_calls(monkeypatch, calls, name)
    case.begin()
    async with case.running():
        await case.until(lambda: calls["order_exits"] >= 10)
        assert calls["carry_out"] <= 1  # at the start


def count_calls(monkeypatch: pytest.MonkeyPatch, calls: "Counter[str]", name: str) -> None:
    act = getattr(Orders, name)

    def counted(orders: Orders, at: datetime) -> Any:
        calls[name] += 1
        return act(orders, at)

    monkeypatch.setattr(Orders, name, counted)


def become_dust(case: Guarded, pair: Pair) -> None:
    """Its stop is gone, and the venue takes no order over what is held any more."""
    (stop,) = case.venue.resting(pair)
    stop.status = OrderStatus.CANCELLED
    case.venue.instruments[pair] = instrument(pair, minimum_quantity=Decimal(5))


async def test_a_problem_that_stands_is_looked_at_ever_less_often(case: Guarded) -> None:
    case.buy(BTC)
    case.buy(XRP)
    become_dust(case, XRP)
    pauses: list[float] = []
    running, call_later = asyncio.get_running_loop(), asyncio.get_running_loop().call_later

    def at_once(delay: float, callback: Callable[..., object], *given: Any, **named: Any) -> Any:
        if callback == case.loop._carry.ask:
            pauses.append(delay)
            delay = 0.0
        return call_later(delay, callback, *given, **named)

    running.call_later = at_once  # type: ignore[method-assign,assignment]
    looked = sum(method == "reports" for method, _ in case.venue.calls)
    async with case.running():
        await case.until(lambda: len(pauses) >= 8)
        looks = [method for method, _ in list(case.venue.calls)].count("reports") - looked
    assert pauses[:7] == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert looks <= len(pauses) + 1
    assert any("is dust" in each for each in case.executor("another").carry_out(ACCOUNT, now()).problems)


async def test_a_stop_is_moved_although_another_process_sends_just_then(case: Guarded) -> None:
    case.buy()
    lease = case.journal.acquire_lease(ACCOUNT, "another", 60.0)
    assert lease is not None
    async with case.running():
        case.quote(105.0)
        await case.until(lambda: case.metric("trails_total", pair="BTC/USDT") == 1)
        await case.until(lambda: not case.loop._carry._wanted.is_set())
        case.journal.release_lease(lease)
        await case.until(lambda: [each.trigger for each in case.venue.resting(BTC)] == [Decimal("103.0")])


async def test_a_venue_that_does_not_answer_for_one_pair_holds_up_neither_looks_nor_other_pairs(
    case: Guarded,
) -> None:
    case.buy(BTC)
    case.buy(ETH)
    release = threading.Event()
    case.venue.faults[f"submit {BTC}"] = [blocking(release)]
    async with case.running():
        case.quote(110.5, pair=BTC)
        await case.until(lambda: ("submit", str(BTC)) in case.venue.calls[4:])
        case.quote(110.5, pair=ETH)
        await case.until(lambda: case.is_closed(ETH))
        assert not case.is_closed(BTC)
        looks = case.metric("cycle_seconds_count")
        await case.until(lambda: case.metric("cycle_seconds_count") > looks + 5)
        release.set()
        await case.until(lambda: case.is_closed(BTC))
    case.check_closed_once(BTC)
    case.check_closed_once(ETH)


async def test_a_touch_while_the_store_is_away_closes_once_it_is_back_though_the_price_is(
    case: Guarded,
) -> None:
    case.buy()
    async with case.running():
        case.watch.away = True
        case.quote(110.5)
        await case.until(lambda: case.metric("errors_total", errand="save") >= 2)
        case.quote(104.0)
        assert not case.is_closed()
        assert case.loop.health()
        case.watch.away = False
        await case.until(case.is_closed)
        await case.until(lambda: not case.loop.health())
    case.check_closed_once()


async def test_lost_sessions_are_opened_again(case: Guarded) -> None:
    case.buy()
    async with case.running():
        with psycopg.connect(case.dsn, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        case.quote(110.5)
        await case.until(case.is_closed)
    case.check_closed_once()


async def test_killed_between_the_touch_and_the_exit_the_next_process_closes_it(case: Guarded) -> None:
    case.buy()
    held = case.journal.position(ACCOUNT, BTC)
    assert held is not None
    case.guard.learn(case.watch.read())
    case.quote(110.5, 104.0)
    case.guard.look(now(), 0.0)
    findings = case.guard.findings(0.0)
    case.watch.commit(findings.positions, findings.halts)  # and nothing more of this process
    case.begin()
    async with case.running():
        await case.until(case.is_closed)
    case.check_closed_once()


async def test_a_stop_that_does_not_fire_is_closed_in_its_place(case: Guarded) -> None:
    case.buy()
    async with case.running():
        case.quote(97.0)  # and the venue's own stop rests on
        await case.until(case.is_closed)
    case.check_closed_once()
    assert case.metric("exits_total", pair="BTC/USDT", cause="stop did not fire") == 1


async def test_a_stop_that_fires_while_its_exit_is_ordered_leaves_nothing_to_sell(case: Guarded) -> None:
    case.buy()
    case.venue.faults["cancel"] = [lambda act: case.venue.trade_at(BTC, Decimal(98))]
    async with case.running():
        case.quote(110.5)
        await case.until(case.is_closed)
    case.check_closed_once()


async def test_a_lost_day_stops_entries_at_once(case: Guarded) -> None:
    case.buy(BTC, "900")
    async with case.running():
        case.quote(101.0, pair=BTC)
        case.quote(96.0, pair=BTC)
        await case.until(
            lambda: any(each.kind is HaltKind.DAILY_LOSS for each in case.journal.halts(ACCOUNT))
        )
        entry = await asyncio.to_thread(case.entry, ETH)
        await asyncio.to_thread(case.executor("decision").carry_out, ACCOUNT, now())
        assert case.status(entry) is OrderStatus.CANCELLED
    assert case.metric("halts_total", kind="daily loss") == 1


async def test_the_kill_switch_halts_the_account_without_a_keeper(case: Guarded) -> None:
    case.buy()
    async with case.running():
        entry = await asyncio.to_thread(case.entry, ETH)
        case.kill = "a person pulled it"
        await case.until(
            lambda: [each.kind for each in case.journal.halts(ACCOUNT)] == [HaltKind.KILL_SWITCH]
        )
        await case.until(lambda: case.status(entry) is OrderStatus.CANCELLED)
    assert not case.is_closed(BTC)  # stops stay, and nothing is sold


async def test_out_of_sight_nothing_is_done_and_a_person_hears_of_it(
    case: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.guard.report.BLIND_SECONDS", 0.2)
    case.buy()
    case.unseen[BTC] = "book"
    async with case.running():
        case.quote(110.5)
        await case.until(lambda: case.alerts)
        assert case.metric("blind_total", pair="BTC/USDT", reason="book") > 0
        assert not case.is_closed()
        assert case.loop.facts()["blind"] == {"BTC/USDT": "book"}
    (kind, severity, text), *_ = case.alerts
    assert (kind, severity) == ("guard", "error")
    assert "BTC/USDT" in text


async def test_one_that_another_stream_has_taken_over_from_changes_nothing_and_ends(case: Guarded) -> None:
    case.buy()
    with psycopg.connect(case.dsn, autocommit=True) as connection:
        connection.execute("UPDATE stream_leases SET epoch = epoch + 1")
    case.quote(110.5)
    with pytest.raises(LeaseLost, match="taken over"):
        await case.loop.run(asyncio.Event())
    held = case.journal.position(ACCOUNT, BTC)
    assert held is not None
    assert held.exit_reason == ""


async def test_a_switch_whose_arming_got_no_answer_is_turned_off_with_the_last_order(
    case: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.guard.errand.RETRY_SECONDS", 0.0)
    no_more_to_open = threading.Event()

    def unheard() -> None:
        """The order has left the venue when it is known that nobody knows."""
        (resting,) = case.venue.of(BTC, OrderKind.CONVERSION)
        case.venue.fill(resting)
        case.executor("keeper").carry_out(ACCOUNT, now())
        assert no_more_to_open.wait(PATIENCE)
        raise VenueUnreachable("the answer was lost")

    case.switched, case.switch_faults = True, [lambda: None, unheard]
    case.begin()
    async with case.running():
        await case.until(lambda: case.switch_calls == [0])
        case.venue.holds.add(BTC)
        await asyncio.to_thread(convert, case)
        await case.until(lambda: case.switch_calls == [0, 60])
        switch = case.loop._switch
        await case.until(lambda: switch and switch._view and not switch._view.opening_orders)
        no_more_to_open.set()
        await case.until(lambda: case.switch_calls == [0, 60, 0])
        assert case.alerts


async def test_the_switch_follows_what_is_at_the_venue(case: Guarded) -> None:
    case.switched = True
    case.begin()
    async with case.running():
        await case.until(lambda: case.switch_calls == [0])
        case.venue.holds.add(BTC)
        await asyncio.to_thread(convert, case)
        await case.until(lambda: case.switch_calls == [0, 60])
        assert case.loop.facts()["switch"]["state"] == "armed"
        case.venue.holds.clear()
        (resting,) = case.venue.of(BTC, OrderKind.CONVERSION)
        case.venue.fill(resting)
        await asyncio.to_thread(case.executor("keeper").carry_out, ACCOUNT, now())
        await case.until(lambda: case.switch_calls == [0, 60, 0])
        assert case.metric("switch", state="off") == 1


def convert(case: Guarded) -> None:
    intent = OrderIntent(
        "intent-conversion", "conversion", ACCOUNT, BTC, Side.BUY, Decimal(1), False, None, None, now(), converts=True
    )  # fmt: skip
    assert case.journal.record_decision(
        receipt("conversion", account=ACCOUNT, pair=str(BTC), decided_at=now().isoformat()), intent
    )
    case.executor("decision").carry_out(ACCOUNT, now())


@pytest.mark.parametrize("seed", range(3))
async def test_guard_decisions_and_keepers_at_once_close_each_position_once(case: Guarded, seed: int) -> None:
    chance = random.Random(seed)
    for pair in PAIRS:
        case.buy(pair)
    case.venue.faults["submit"] = [lost] if seed else []
    case.venue.margin = -(case.venue.void_after() - now())  # a lost answer is decided at once
    ended = threading.Event()

    def act(again_and_again: Callable[[], object]) -> threading.Thread:
        def run() -> None:
            while not ended.is_set():
                again_and_again()
                ended.wait(chance.uniform(0, 0.05))

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    keepers = [case.executor(f"keeper-{number}") for number in range(2)]
    others = [act(lambda each=each: each.carry_out(ACCOUNT, now())) for each in keepers]  # type: ignore[misc]
    others += [act(lambda pair=pair: close_by_decision(case, pair)) for pair in PAIRS[:2]]  # type: ignore[misc]
    try:
        async with case.running():
            for pair in PAIRS:
                case.quote(110.5, pair=pair)
            await case.until(lambda: all(case.is_closed(pair) for pair in PAIRS))
    finally:
        ended.set()
        for each in others:
            await asyncio.to_thread(each.join)
    for pair in PAIRS:
        case.check_closed_once(pair)


def close_by_decision(case: Guarded, pair: object) -> None:
    """What a decision does: an exit of all that is held, refused where one is under way."""
    position = case.journal.position(ACCOUNT, pair)  # type: ignore[arg-type]
    if position is None:
        return
    case.decided += 1
    name = f"close-{position.pair.base}-{case.decided}-{threading.get_ident()}"
    intent = OrderIntent(
        f"intent-{name}", name, ACCOUNT, position.pair, Side.SELL, position.quantity, True, None, None, now()
    )
    facts = receipt(name, account=ACCOUNT, pair=str(position.pair), decided_at=now().isoformat())
    try:
        case.journal.record_decision(facts, intent)
    except InvalidValue:
        return
    case.executor(name).carry_out(ACCOUNT, now())
