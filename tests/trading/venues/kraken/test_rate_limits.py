import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.doubles.clock import Clock
from trading.errors import InvalidValue, RateLimited, UnreadableFile
from trading.orders import Purpose
from trading.venues.kraken.rate_budget import Counter, RateBudget
from trading.venues.kraken.rate_limits import HEADROOM, OrderAction, RateLimit, Tier, order_cost

LIMITS = st.builds(RateLimit, st.floats(5, 200), st.floats(0.1, 10))
STARTER = Tier.STARTER.allowance
SPENDING = """
import sys
from pathlib import Path
from trading.errors import RateLimited
from trading.orders import Purpose
from trading.venues.kraken.rate_budget import RateBudget
from trading.venues.kraken.rate_limits import RateLimit
budget, limit, spent = RateBudget(Path(sys.argv[1]), patience=0), RateLimit(1501, 0.000001), 0
while True:
    try:
        budget.spend("calls", limit, 1)
    except RateLimited:
        break
    spent += 1
print(spent)
"""


def budget(folder: Path, clock: Clock, patience: float = 100.0) -> RateBudget:
    return RateBudget(folder / "budget", patience, clock, clock.sleep)


# --- arithmetic


@given(LIMITS, st.lists(st.tuples(st.floats(0, 30), st.sampled_from([1.0, 2.0, 5.0])), max_size=30))
def test_calls_that_wait_as_long_as_the_counter_asks_never_pass_the_maximum(
    limit: RateLimit, calls: list[tuple[float, float]]
) -> None:
    counter, now, spent, began = Counter(), 0.0, 0.0, 0.0
    for pause, cost in calls:
        now += pause
        now += counter.wait(cost, now, limit)
        counter = counter.charge(cost, now, limit)
        spent += cost
        assert 0 <= counter.level <= limit.maximum + 1e-4
    assert spent <= limit.maximum + limit.decay * (now - began) + 1e-3


@given(LIMITS, st.floats(0, 100), st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_clock_that_goes_back_takes_nothing_off_a_counter(
    limit: RateLimit, at: float, now: float, height: float
) -> None:
    counter = Counter(height, at)
    assert counter.level_at(min(now, at), limit) == height
    assert 0 <= counter.level_at(now, limit) <= height


@given(LIMITS, st.floats(0, 5))
def test_the_wait_for_a_full_counter_is_no_longer_than_needed(limit: RateLimit, cost: float) -> None:
    wait = Counter(limit.maximum, 7.0).wait(cost, 7.0, limit)
    assert wait == pytest.approx(cost / limit.decay, abs=2e-6)


def test_a_cost_above_the_maximum_is_refused_instead_of_waited_for() -> None:
    with pytest.raises(InvalidValue, match="never fits"):
        Counter().wait(6, 0, RateLimit(5, 1))


@pytest.mark.parametrize(
    ("action", "age", "cost"),
    [
        (OrderAction.ADD, 0, 1), (OrderAction.ADD, 999, 1),
        (OrderAction.AMEND, 0, 4), (OrderAction.AMEND, 5, 3), (OrderAction.AMEND, 14.9, 2), (OrderAction.AMEND, 15, 1),
        (OrderAction.EDIT, 4.9, 7), (OrderAction.EDIT, 5, 6), (OrderAction.EDIT, 10, 5), (OrderAction.EDIT, 44, 3),
        (OrderAction.EDIT, 89, 2), (OrderAction.EDIT, 90, 1),
        (OrderAction.CANCEL, 0, 8), (OrderAction.CANCEL, 5, 6), (OrderAction.CANCEL, 14, 5),
        (OrderAction.CANCEL, 44, 4), (OrderAction.CANCEL, 89, 2), (OrderAction.CANCEL, 299, 1),
        (OrderAction.CANCEL, 300, 0),
    ],
)  # fmt: skip
def test_order_actions_cost_what_krakens_table_says(action: OrderAction, age: float, cost: float) -> None:
    assert order_cost(action, age) == cost


@pytest.mark.parametrize(
    ("tier", "calls", "orders"),
    [
        ("starter", (15, 0.33), (60, 1.0)),
        ("intermediate", (20, 0.5), (125, 2.34)),
        ("pro", (20, 1.0), (180, 3.75)),
    ],
)
def test_tiers_have_krakens_rate_limits(
    tier: str, calls: tuple[float, float], orders: tuple[float, float]
) -> None:
    allowance = Tier(tier).allowance
    assert (allowance.calls, allowance.orders) == (RateLimit(*calls), RateLimit(*orders))


# --- shared


def test_calls_are_sent_at_once_until_the_budget_is_spent_and_then_as_it_recovers(tmp_path: Path) -> None:
    clock = Clock(1000.0)
    spender = budget(tmp_path, clock)
    for _ in range(14):
        spender.spend("calls", STARTER.calls, 1)
    assert clock.slept == []
    spender.spend("calls", STARTER.calls, 1)
    assert sum(clock.slept) == pytest.approx(1 / 0.33, rel=1e-3)


def test_a_wait_longer_than_the_patience_is_an_error_with_its_length_and_spends_nothing(
    tmp_path: Path,
) -> None:
    clock = Clock(1000.0)
    spender = budget(tmp_path, clock, patience=5)
    spender.exhaust("calls", STARTER.calls)
    for _ in range(2):
        with pytest.raises(RateLimited, match=r"budget for calls is spent: 9\.1 s"):
            spender.spend("calls", STARTER.calls, 2)
    assert clock.slept == []


def test_what_one_budget_spent_counts_for_another_on_the_same_file(tmp_path: Path) -> None:
    clock = Clock(1000.0)
    for _ in range(14):
        budget(tmp_path, clock).spend("calls", STARTER.calls, 1)
    with pytest.raises(RateLimited):
        budget(tmp_path, clock, patience=1).spend("calls", STARTER.calls, 1)


@pytest.mark.parametrize("back", [30.0, 900.0])
def test_a_clock_that_is_set_back_delays_no_call_longer_than_the_counter_itself(
    tmp_path: Path, back: float
) -> None:
    clock = Clock(2000.0)
    spender = budget(tmp_path, clock)
    spender.exhaust("calls", STARTER.calls)
    clock.now -= back
    spender.spend("calls", STARTER.calls, 1)
    assert sum(clock.slept) == pytest.approx(2 / 0.33, rel=1e-3)


def test_every_pair_has_its_own_counter(tmp_path: Path) -> None:
    clock = Clock(1000.0)
    spender = budget(tmp_path, clock, patience=0)
    spender.exhaust("orders of XBTUSDT", STARTER.orders)
    spender.spend("orders of XRPXBT", STARTER.orders, 8)
    with pytest.raises(RateLimited, match="orders of XBTUSDT"):
        spender.spend("orders of XBTUSDT", STARTER.orders, 8)


def test_two_processes_together_spend_the_budget_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SPENDING, str(tmp_path / "budget")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    spent = [int(process.communicate(timeout=60)[0]) for process in running]
    assert sum(spent) == 1501 - HEADROOM


@pytest.mark.parametrize(
    "text", ["", "[]", '{"calls": 5}', '{"calls": [NaN, 0]}', '{"calls": ["x", 1]}', "{"]
)
def test_a_damaged_budget_file_is_named_in_the_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "budget").write_text(text, encoding="utf-8")
    with pytest.raises(UnreadableFile, match="budget"):
        budget(tmp_path, Clock(1000.0)).spend("calls", STARTER.calls, 1)


def test_downloads_leave_public_calls_to_what_an_exit_waits_for(tmp_path: Path) -> None:
    clock, limit = Clock(1000.0), RateLimit(6, 1.0)
    spender = budget(tmp_path, clock, patience=0)
    for _ in range(3):
        spender.spend("public calls", limit, 1, Purpose.LOOK_UP)
    with pytest.raises(RateLimited):
        spender.spend("public calls", limit, 1, Purpose.LOOK_UP)
    for _ in range(2):
        spender.spend("public calls", limit, 1, Purpose.EXIT)
    assert clock.slept == []
