"""Back-tests: one plan with everything it leaves behind, or many with their sums."""

import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trading.backtest import records
from trading.backtest.bars import Bars
from trading.backtest.decisions import Decisions
from trading.backtest.path import Rows
from trading.backtest.plan import AccountRules, Plan
from trading.backtest.records import Records, single
from trading.backtest.result import Backtest, Totals
from trading.errors import InvalidValue
from trading.market import TIME

Array = npt.NDArray[np.float64]
DAY = 86_400_000_000
MICROSECOND = timedelta(microseconds=1)
NOTHING: Array = np.empty(0)
TOGETHER = 4  # neighbours go to one thread: plans that are made in groups are made once


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """Many back-tests over the same candles, one row each in the order of the plans."""

    totals: pl.DataFrame  # the fields of Totals
    days: pl.Series  # (d,) UTC days that have a candle
    daily_equity: Array  # (k, d) at the last close of each: what Sharpe ratios and CSCV are computed from


def run(
    bars: Bars, plan: Plan, rules: AccountRules, opening_equity: float = 1.0, path: Bars | None = None
) -> Backtest:
    """Follow `plan` through `bars` from flat; exits inside candles go along `path`, finer candles, if there is one.

    The first call of a process loads the compiled kernel. Raises InvalidValue for a plan of another length or an
    opening equity that is not above zero, InvalidCandles for a path of another market.
    """
    rows = Rows.of(bars, path)
    decisions = _decisions(plan, bars)
    orders = _most_orders(decisions, plan)
    equity, fills, trades, daily = _together(
        (np.dtype(np.float64), len(bars)),
        (records.FILL, 3 * orders + 1),  # an order fills twice at most, its stop once
        (records.TRADE, orders + 1),
        (np.dtype(np.float64), _most_days(bars)),
    )
    account = _account(opening_equity)
    _walk(bars, rows, decisions, plan, rules, account, fills, trades, equity, daily)
    return Backtest(
        bars=bars,
        equity=equity,
        daily_equity=daily[: account["days"][0]],
        totals=Totals.of(account, bars, opening_equity),
        path_candles=rows.followed,
        fill_records=fills[: account["fills"][0]],
        trade_records=trades[: account["trades"][0]],
    )


def sweep(
    bars: Bars,
    plans: Sequence[Plan],
    rules: AccountRules | Sequence[AccountRules],
    opening_equity: float = 1.0,
    path: Bars | None = None,
    threads: int | None = None,
) -> Sweep:
    """The sums of each plan's own `run`, to the bit, without equity curve and ledger: memory grows by days only.

    `plans` may make each plan when it is asked for it: that happens in the threads, as does the walk, which
    holds no lock. `rules` are one for all or one for each. Raises what `run` raises.
    """
    each = [rules] * len(plans) if isinstance(rules, AccountRules) else list(rules)
    if not len(plans):
        raise InvalidValue("no plans: there is nothing to sweep over")
    if len(each) != len(plans):
        raise InvalidValue(f"{len(plans)} plans with {len(each)} rules: give one for all or one for each")
    rows = Rows.of(bars, path)
    days = np.unique(bars.open_time // DAY)
    daily = np.empty((len(plans), days.size))

    def totals(number: int) -> Totals:
        plan, account = plans[number], _account(opening_equity)
        fills, trades = np.empty(1, records.FILL), np.empty(1, records.TRADE)
        decisions = _decisions(plan, bars)
        _walk(bars, rows, decisions, plan, each[number], account, fills, trades, NOTHING, daily[number])
        return Totals.of(account, bars, opening_equity)

    def several(first: int) -> list[dict[str, object]]:
        return [asdict(totals(number)) for number in range(first, min(first + TOGETHER, len(plans)))]

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        found = [one for some in pool.map(several, range(0, len(plans), TOGETHER)) for one in some]
    schema = {"paused_at": TIME}
    return Sweep(
        totals=pl.DataFrame(found, schema_overrides=schema),
        days=pl.Series("day", days * DAY).cast(TIME).dt.date(),
        daily_equity=daily,
    )


def _together(*parts: tuple[np.dtype[Any], int]) -> Iterator[npt.NDArray[Any]]:
    """Arrays in one piece of memory: freed as one, it fits the next back-test, which then need not ask the system.

    Asked for piece by piece, the system hands out and clears thousands of pages anew, a quarter of the time.
    """
    memory = np.empty(sum(kind.itemsize * count for kind, count in parts), np.uint8)
    end = 0
    for kind, count in parts:
        begin, end = end, end + kind.itemsize * count
        yield memory[begin:end].view(kind)


def _walk(
    bars: Bars,
    rows: Rows,
    decisions: Decisions,
    plan: Plan,
    rules: AccountRules,
    account: Records,
    fills: Records,
    trades: Records,
    equity: Array,
    daily: Array,
) -> None:
    from trading.backtest.kernel import walk

    candles = (bars.open_time, bars.open, bars.close)
    along = (rows.time, rows.open, rows.high, rows.low, rows.first)
    wanted = (decisions.row, decisions.until, decisions.target)
    distances = (_numbers(distance) for distance in (plan.stop, plan.take_profit, plan.trailing))
    terms = _terms(rules, plan, bars, rows)
    walk(*candles, *along, *wanted, *distances, terms, account, fills, trades, equity, daily)


def _decisions(plan: Plan, bars: Bars) -> Decisions:
    if plan.candles != len(bars):
        raise InvalidValue(f"the plan is for {plan.candles} candles, there are {len(bars)}")
    return plan.target if isinstance(plan.target, Decisions) else Decisions.of(plan.target)


def _most_orders(decisions: Decisions, plan: Plan) -> int:
    """A run of equal targets is carried out once, or again after every stop."""
    return int((decisions.until - decisions.row + 1).sum()) if plan.by_side else decisions.row.size


def _numbers(distance: Array | float) -> Array:
    return np.ascontiguousarray(np.atleast_1d(distance), np.float64)


def _most_days(bars: Bars) -> int:
    return min(len(bars), int((bars.open_time[-1] - bars.open_time[0]) // DAY) + 2)


def _account(opening_equity: float) -> Records:
    if not (math.isfinite(opening_equity) and opening_equity > 0):
        raise InvalidValue(f"opening_equity is {opening_equity}: allowed is an amount above zero")
    opened = dict.fromkeys(("cash", "equity", "peak", "trough"), opening_equity)
    return single(records.ACCOUNT, **opened, paused=-1, resumes=np.iinfo(np.int64).min)


def _terms(rules: AccountRules, plan: Plan, bars: Bars, rows: Rows) -> Records:
    same = ("drawdown_pause", "daily_loss", "losing_streak", "trailing_after", "leverage")
    lent = {} if rules.margin is None else _lending(rules)
    return single(
        records.TERMS,
        **{name: getattr(rules, name) for name in same},
        **asdict(rules.costs),
        **lent,
        shorts=rules.shorts,
        cool_down=rules.cool_down // MICROSECOND,
        candle_length=bars.length,
        row_length=rows.length,
        by_side=plan.by_side,
    )


def _lending(rules: AccountRules) -> dict[str, float | int]:
    margin = rules.margin
    assert margin is not None
    return {
        "margin": 1,
        "opening_fee": margin.opening_fee,
        "rollover_fee": margin.rollover_fee,
        "rollover_period": round(margin.rollover_hours * 3_600_000_000),
        "liquidation_level": margin.liquidation_level,
    }
