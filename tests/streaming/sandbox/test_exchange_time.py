"""What the clocks do: dead man's switches and expiry on server time, fills on market time."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streaming.sandbox.exchange.engine_state import MAX_OUTDATED
from streaming.sandbox.model import Amendment, ExecType, OrderChanged, OrderState, Refused, TimeInForce
from tests.streaming.sandbox.exchange_setup import BUY, START, Bench, d


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(Bench(tmp_path / "exchange.db")) as bench:
        bench.open(USD="10000")
        bench.open("bob", USD="10000")
        bench.tick("1000.0")
        yield bench


def test_the_dead_mans_switch_cancels_all_orders_of_its_account_when_it_runs_out(bench: Bench) -> None:
    bench.add(BUY, "0.1", "990.0")
    kept = bench.add(BUY, "0.1", "990.0", account="bob")
    assert bench.exchange.cancel_all_after("alice", 60) == bench.server + 60
    bench.server += 59.9
    bench.exchange.elapse()
    assert len(bench.exchange.open_orders("alice")) == 1
    bench.server += 0.1
    bench.exchange.elapse()
    assert bench.exchange.open_orders("alice") == []
    assert bench.exchange.open_orders("bob") == [kept]


def test_the_switch_is_put_off_by_each_call_and_disabled_by_zero(bench: Bench) -> None:
    order = bench.add(BUY, "0.1", "990.0")
    bench.exchange.cancel_all_after("alice", 60)
    bench.server += 50
    bench.exchange.cancel_all_after("alice", 60)
    bench.server += 50
    bench.exchange.elapse()
    assert bench.exchange.open_orders("alice") == [order]
    assert bench.exchange.cancel_all_after("alice", 0) is None
    bench.server += 500
    bench.exchange.elapse()
    assert bench.exchange.open_orders("alice") == [order]


def test_a_switch_cancels_once_and_before_the_next_request(bench: Bench) -> None:
    bench.add(BUY, "0.1", "990.0")
    bench.exchange.cancel_all_after("alice", 5)
    bench.server += 10
    order = bench.add(BUY, "0.2", "990.0")
    bench.exchange.elapse()
    assert bench.exchange.open_orders("alice") == [order]


@pytest.mark.parametrize("seconds", [-1, 86_400, float("nan"), float("inf"), True])
def test_a_switch_of_no_sensible_time_is_refused(bench: Bench, seconds: float) -> None:
    with pytest.raises(Refused, match="EGeneral:Invalid arguments:timeout"):
        bench.exchange.cancel_all_after("alice", seconds)


def test_an_order_expires_at_its_server_time(bench: Bench) -> None:
    expires = datetime.fromtimestamp(bench.server + 30, UTC)
    order = bench.add(BUY, "0.1", "990.0", time_in_force=TimeInForce.GTD, expires_at=expires)
    bench.server += 29
    bench.exchange.elapse()
    assert bench.exchange.open_orders("alice") == [order]
    bench.server += 1
    bench.exchange.elapse()
    ended = bench.exchange.orders("alice", [order.order_id])[0]
    assert ended.state is OrderState.EXPIRED
    assert bench.events_of(OrderChanged)[-1].exec_type is ExecType.EXPIRED


def test_an_amended_order_counts_as_new(bench: Bench) -> None:
    order = bench.add(BUY, "0.5", "990.0")
    bench.server += 60
    assert bench.exchange.amend("alice", Amendment(order.order_id, quantity=d("0.4"))).entered == bench.server
    bench.server += 60
    bench.restart()
    assert bench.exchange.open_orders("alice")[0].entered == bench.server - 60


def test_orders_that_ended_long_before_their_expiry_leave_the_queue_of_expiries(bench: Bench) -> None:
    later = datetime.fromtimestamp(bench.server + 1_000_000, UTC)
    kept = bench.add(BUY, "0.01", "980.0", time_in_force=TimeInForce.GTD, expires_at=later)
    for _ in range(3 * MAX_OUTDATED):
        order = bench.add(BUY, "0.01", "990.0", time_in_force=TimeInForce.GTD, expires_at=later)
        bench.exchange.cancel("alice", order.order_id)
    assert len(bench.exchange._engine.state.expiries) <= MAX_OUTDATED + 2
    bench.server += 1_000_001
    bench.exchange.elapse()
    assert bench.exchange.orders("alice", [kept.order_id])[0].state is OrderState.EXPIRED


def test_fills_bear_market_time_and_orders_the_server_time_of_their_arrival(bench: Bench) -> None:
    bench.clock.advance_to(START + timedelta(hours=2))
    order = bench.add(BUY, "0.1")
    [fill] = bench.exchange.fills_of_order(order.order_id)
    assert fill.at == order.opened_at == START + timedelta(hours=2)
    assert order.entered == bench.server


def test_executions_are_paged_newest_first_between_two_times(bench: Bench) -> None:
    for _ in range(5):
        bench.tick("1000.0")
        bench.add(BUY, "0.1")
    everything, count = bench.exchange.fills("alice")
    assert count == 5
    assert [each.at for each in everything] == sorted((each.at for each in everything), reverse=True)
    page, count = bench.exchange.fills("alice", everything[3].at, everything[1].at, 1, 1)
    assert (page, count) == ([everything[2]], 2)
    closed, count = bench.exchange.closed_orders("alice", offset=4)
    assert (len(closed), count) == (1, 5)
    assert closed[0].filled == d("0.1")
