"""Paper and back-test agree: one plan over one path of prices, by the executor on paper and by the kernel.

Both fill an entry at the open after its decision, and a stop, trailed or not, at the worse of open and trigger. One
difference remains: the kernel fills a target at its level, while on paper a decision has to close the position: the
target is noticed when its candle has closed, and filled at the next open.
"""

from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import pytest

from tests.contracts.paper_account import ACCOUNT, COIN, LISTED, PaperAccount, Row, hour
from tests.trading.backtest.backtest_markets import rules
from trading.backtest import Bars, Plan, run
from trading.fills import Costs, execution_price
from trading.orders import Side

CANDLES = 30
COSTS = Costs(taker_fee=0.004, half_spread=0.0001, slippage=0.0002)
FINE = replace(LISTED, price_increment=Decimal("0.00000001"))
AFTER = 1.5  # amounts risked, from which on the stop trails


@dataclass(frozen=True)
class Planned:
    """One position: decided at the close of the first candle, entered at the next open. Distances in quote."""

    rows: list[Row]
    side: Side
    stop: float
    target: float  # infinity: none
    trails: bool

    @property
    def paid(self) -> float:
        return execution_price(self.rows[1][0], float(self.side.sign), COSTS)


@dataclass(frozen=True)
class Ended:
    """What became of it, per coin."""

    entry: float
    exit: float | None  # None: still open
    profit: float | None
    reason: str = ""


def planned(seed: int, *, target: bool) -> Planned:
    random = np.random.default_rng(seed)
    moves = random.normal(0, 0.006, (CANDLES, 3))
    moves += np.where(random.random(moves.shape) < 0.05, random.normal(0, 0.03, moves.shape), 0)
    marks = 100 * np.exp(np.cumsum(moves).reshape(CANDLES, 3))
    opened, close = marks[:, 0], marks[:, 2]  # there are gaps between the candles
    spread = np.abs(random.normal(0, 0.004, (CANDLES, 2)))
    high, low = marks.max(axis=1) * (1 + spread[:, 0]), marks.min(axis=1) * (1 - spread[:, 1])
    rows: list[Row] = list(zip(opened, high, low, close, strict=True))
    stop = round(float(random.uniform(0.4, 2.5)), 3)
    side = Side.BUY if random.random() < 0.5 else Side.SELL
    return Planned(rows, side, stop, 2 * stop if target else np.inf, bool(random.random() < 0.5))


def in_the_kernel(plan: Planned) -> Ended:
    columns = np.array(plan.rows).T
    bars = Bars(np.arange(CANDLES, dtype=np.int64) * 3_600_000_000, *columns)
    target = np.full(CANDLES, np.nan)
    target[0] = 0.01 * plan.side.sign
    wanted = Plan(
        target,
        stop=plan.stop / plan.paid,
        take_profit=plan.target / plan.paid,
        trailing=plan.stop / plan.paid if plan.trails else np.nan,
    )
    result = run(bars, wanted, rules(costs=COSTS, shorts=True, trailing_after=AFTER), 10_000.0)
    (trade,) = result.trades.iter_rows(named=True)
    if trade["reason"] == "end":
        return Ended(trade["entry_price"], None, None)
    profit = trade["pnl"] / trade["quantity"]
    return Ended(trade["entry_price"], trade["exit_price"], profit, trade["reason"])


def decided(plan: Planned) -> PaperAccount:
    account = PaperAccount(plan.rows, instrument=FINE, costs=COSTS)
    account.clock = hour(1)
    price, sign = Decimal(repr(float(plan.rows[0][3]))), plan.side.sign
    risked = Decimal(str(plan.stop))
    account.decide(
        plan.side,
        stop_loss=price - sign * risked,
        take_profit=None if np.isinf(plan.target) else price + sign * Decimal(str(plan.target)),
        entry_price=price,
        trailing_after=price + sign * Decimal(str(AFTER)) * risked if plan.trails else None,
        trailing_distance=risked if plan.trails else None,
    )
    return account


def on_paper(plan: Planned, looks: list[int]) -> Ended:
    """By the executor, which looks at these hours only; a decision closes what has a reason to be closed."""
    account = decided(plan)
    for number in looks:
        account.clock = hour(number)
        problems = account.executor().carry_out(ACCOUNT, account.clock).problems
        assert problems == ()
        position = account.journal.position(ACCOUNT, COIN)
        if position is not None and position.exit_reason:
            account.decide(plan.side.opposite, reduces=True)
            account.executor().carry_out(ACCOUNT, account.clock)
    entry, *exits = account.journal.fills(ACCOUNT)
    if not exits:
        return Ended(float(entry.price), None, None)
    (left,) = exits
    profit = plan.side.sign * (left.price - entry.price) - entry.fee - left.fee
    return Ended(float(entry.price), float(left.price), float(profit))


def is_same(one: float | None, other: float | None) -> bool:
    return one == other or (one is not None and other == pytest.approx(one, abs=1e-6))


@pytest.mark.parametrize("seed", range(40))
def test_entry_stop_and_trailing_stop_are_filled_as_in_the_kernel(seed: int) -> None:
    plan = planned(seed, target=False)
    kernel, paper = in_the_kernel(plan), on_paper(plan, list(range(1, CANDLES + 1)))
    assert is_same(kernel.entry, paper.entry)
    assert is_same(kernel.exit, paper.exit)
    assert is_same(kernel.profit, paper.profit)


@pytest.mark.parametrize("seed", range(60, 90))
def test_it_makes_no_difference_how_often_anybody_looks(seed: int) -> None:
    """A process that was away for hours finds what one that looked at every candle has done."""
    plan = planned(seed, target=False)
    random = np.random.default_rng(seed)
    some = sorted({1, 2, CANDLES, *random.integers(2, CANDLES, 3).tolist()})
    kernel, paper = in_the_kernel(plan), on_paper(plan, some)
    assert is_same(kernel.exit, paper.exit)
    assert is_same(kernel.profit, paper.profit)


@pytest.mark.parametrize("seed", range(100, 130))
def test_a_target_is_filled_at_the_open_after_the_candle_that_has_touched_it(seed: int) -> None:
    plan = planned(seed, target=True)
    kernel, paper = in_the_kernel(plan), on_paper(plan, list(range(1, CANDLES + 1)))
    if kernel.reason != "take_profit":
        assert is_same(kernel.exit, paper.exit)
        return
    level = plan.paid + plan.side.sign * plan.target
    touched = next(
        number
        for number, (_, high, low, _) in enumerate(plan.rows)
        if number >= 1 and (high >= level if plan.side is Side.BUY else low <= level)
    )
    if touched + 1 == CANDLES:  # there is no next open yet
        assert paper.exit is None
        return
    after = execution_price(plan.rows[touched + 1][0], -float(plan.side.sign), COSTS)
    assert is_same(after, paper.exit)


def test_the_paths_end_in_every_way() -> None:
    """So that nothing above is true because nothing happened."""
    ways = [in_the_kernel(planned(seed, target=seed >= 100)).reason for seed in range(130)]
    assert {ways.count(way) > 5 for way in ("stop", "trailing", "take_profit")} == {True}
