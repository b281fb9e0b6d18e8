"""Run back-tests: one plan with everything it leaves behind, or many with their sums."""

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trading.backtest import records
from trading.backtest.bars import Bars
from trading.backtest.decisions import Decisions, Rows
from trading.backtest.path import PathRows
from trading.backtest.plan import DISTANCES, AccountRules, OpenPosition, Plan
from trading.backtest.records import Arrays, Records, new_record
from trading.backtest.result import Backtest, Totals
from trading.errors import InvalidValue
from trading.market import EPOCH, TIME

Array = npt.NDArray[np.float64]
DAY = 86_400_000_000
MICROSECOND = timedelta(microseconds=1)
NO_EQUITY: Array = np.empty(0)


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """Many back-tests over the same candles, one row each in the order of the plans."""

    totals: pl.DataFrame  # the fields of Totals
    all_totals: tuple[Totals, ...]  # the same as values
    days: pl.Series  # (d,) UTC days that have a candle
    daily_equity: Array  # (k, d) at the last close of each: what Sharpe ratios and CSCV are computed from


def run(
    bars: Bars,
    plan: Plan,
    rules: AccountRules,
    opening_equity: float = 1.0,
    path: Bars | None = None,
    opening: OpenPosition | None = None,
) -> Backtest:
    """Follow `plan` through `bars` from flat; exits inside candles go along `path`, finer candles, if there is one.

    With `opening` that position is open from the first open on, and `opening_equity` counts it at that price.
    The first call of a process loads the compiled kernel. Raises InvalidValue for a plan of another length or an
    opening equity that is not above zero, InvalidCandles for a path of another market.
    """
    rows = PathRows.of(bars, path)
    decisions = _decisions(plan, bars)
    orders = decisions.row.size
    account = _account(opening_equity)
    if opening is not None:
        _begin_with(opening, account, bars)
    fills = np.empty(
        3 * orders + 2, records.FILL
    )  # an order fills twice at most, its stop once; so does `opening`
    trades = np.empty(orders + 2, records.TRADE)
    equity, daily_equity = np.empty(len(bars)), np.empty(_max_days(bars))
    written = {"fills": fills, "trades": trades, "equity": equity, "daily_equity": daily_equity}
    _walk(bars, rows, decisions, plan, rules, account=account, **written)
    return Backtest(
        bars=bars,
        equity=equity,
        daily_equity=daily_equity[: account["days"][0]],
        totals=Totals.of(account, bars, opening_equity),
        path_candles=rows.followed,
        fill_records=fills[: account["fills"][0]],
        trade_records=trades[: account["trades"][0]],
        opening_quantity=opening.quantity if opening else 0.0,
    )


def sweep(
    bars: Bars,
    plans: Sequence[Plan],
    rules: AccountRules | Sequence[AccountRules],
    opening_equity: float = 1.0,
    path: Bars | None = None,
    threads: int | None = None,
) -> Sweep:
    """Return the sums of each plan's own `run`, to the bit, without equity curve and ledger.

    `plans` may make each plan when it is asked for it: that happens in the threads, as does the walk, which
    holds no lock. `rules` are one for all or one for each. Raises what `run` raises.
    """
    each = [rules] * len(plans) if isinstance(rules, AccountRules) else list(rules)
    if not len(plans):
        raise InvalidValue("no plans: there is nothing to sweep over")
    if len(each) != len(plans):
        raise InvalidValue(f"{len(plans)} plans with {len(each)} rules: give one for all or one for each")
    rows = PathRows.of(bars, path)
    days = _days(bars)
    daily_equity = np.empty((len(plans), days.size))

    def totals(number: int) -> Totals:
        plan, account = plans[number], _account(opening_equity)
        ledger = {"fills": np.empty(1, records.FILL), "trades": np.empty(1, records.TRADE)}
        written = {"account": account, "equity": NO_EQUITY, "daily_equity": daily_equity[number], **ledger}
        _walk(bars, rows, _decisions(plan, bars), plan, each[number], **written)
        return Totals.of(account, bars, opening_equity)

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        found = list(pool.map(totals, range(len(plans))))
    return Sweep(
        totals=pl.DataFrame([asdict(each) for each in found], schema_overrides={"paused_at": TIME}),
        all_totals=tuple(found),
        days=pl.Series("day", days * DAY).cast(TIME).dt.date(),
        daily_equity=daily_equity,
    )


def _walk(
    bars: Bars,
    rows: PathRows,
    decisions: Decisions,
    plan: Plan,
    rules: AccountRules,
    **written: npt.NDArray[Any],
) -> None:
    from trading.backtest.kernel import walk

    read = {
        "open_time": bars.open_time,
        "open": bars.open,
        "close": bars.close,
        "row_time": rows.time,
        "row_open": rows.open,
        "row_high": rows.high,
        "row_low": rows.low,
        "first_row": rows.first,
        "decided": decisions.row,
        "until": decisions.until,
        "target": decisions.target,
        "leaves": _leaves(plan, decisions),
        **{name: np.atleast_1d(np.asarray(getattr(plan, name), np.float64)) for name in DISTANCES},
        **_taker_fees(rules),
        "terms": _terms(rules, plan, bars, rows),
    }
    walk(Arrays(**{name: _read_only(array) for name, array in read.items()}, **written))


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a view as the kernel's signature has it."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _decisions(plan: Plan, bars: Bars) -> Decisions:
    if plan.candles != len(bars):
        raise InvalidValue(f"the plan is for {plan.candles} candles, there are {len(bars)}")
    if isinstance(plan.target, Decisions):
        return plan.target
    return Decisions.of(plan.target) if plan.leaves is None else _votes(plan.target, plan.leaves)


def _votes(target: Array, leaves: Rows) -> Decisions:
    """Return a run of its own for each candle at which something may be entered or left; target 0 enters nothing."""
    entry = np.nan_to_num(target, nan=0.0)
    candle = np.flatnonzero((entry != 0) | (leaves != 0))
    return Decisions(candle, candle, entry[candle], target.size)


def _leaves(plan: Plan, decisions: Decisions) -> Rows:
    """Return which side each run leaves; nothing for a plan of exposures."""
    return np.empty(0, np.int64) if plan.leaves is None else plan.leaves[decisions.row].astype(np.int64)


def _days(bars: Bars) -> npt.NDArray[np.int64]:
    """Return each UTC day that has a candle, once."""
    days: npt.NDArray[np.int64] = bars.open_time // DAY
    return np.asarray(days[np.append(True, np.diff(days) != 0)])


def _max_days(bars: Bars) -> int:
    return min(len(bars), int((bars.open_time[-1] - bars.open_time[0]) // DAY) + 2)


def _account(opening_equity: float) -> Records:
    if not (math.isfinite(opening_equity) and opening_equity > 0):
        raise InvalidValue(f"opening_equity is {opening_equity}: allowed is an amount above zero")
    opened = dict.fromkeys(("cash", "equity", "peak", "trough"), opening_equity)
    return new_record(records.ACCOUNT, **opened, paused=-1, resumes=np.iinfo(np.int64).min)


def _begin_with(opening: OpenPosition, account: Records, bars: Bars) -> None:
    """Let the position be open, as the kernel leaves one between two candles."""
    direction, infinity = math.copysign(1.0, opening.quantity), math.inf
    best = _or(opening.best_price, opening.entry_price)
    distance, after = (
        _or(opening.trailing_distance, infinity),
        _or(opening.trailing_after, direction * infinity),
    )
    trails = distance < infinity and direction * (best - after) >= 0
    levels = {
        "stop": _or(opening.stop, -direction * infinity),
        "take_profit": _or(opening.take_profit, direction * infinity),
        "trailing_distance": distance,
        "trailing_start": after,
        "trailing_stop": best - direction * distance if trails else -direction * infinity,
        "best_price": best,
    }
    values = levels | {
        "cash": account["cash"][0] - opening.quantity * bars.open[0],
        "quantity": opening.quantity,
        "entered": abs(opening.quantity),
        "entry_price": opening.entry_price,
        "entry_time": bars.open_time[0],
        "last_target": math.nan,  # no target has led to it: the first one that comes is an order
    }
    for name, value in values.items():
        account[name] = value


def _or(value: float, otherwise: float) -> float:
    return otherwise if math.isnan(value) else value


def _terms(rules: AccountRules, plan: Plan, bars: Bars, rows: PathRows) -> Records:
    same = (
        "drawdown_pause",
        "daily_loss",
        "losing_streak",
        "cool_down_candles",
        "trailing_after",
        "leverage",
    )
    lent = {} if rules.margin is None else _lending(rules)
    return new_record(
        records.TERMS,
        **{name: getattr(rules, name) for name in same},
        half_spread=rules.costs.half_spread,
        slippage=rules.costs.slippage,
        **lent,
        shorts=rules.shorts,
        cool_down=rules.cool_down // MICROSECOND,
        candle_length=bars.length,
        row_length=rows.length,
        votes=plan.leaves is not None,
    )


def _taker_fees(rules: AccountRules) -> dict[str, npt.NDArray[Any]]:
    """Return when each fee begins, and the fee."""
    fees = rules.taker_fees or ((EPOCH.date(), rules.costs.taker_fee),)
    return {
        "fee_from": np.array([(day - EPOCH.date()).days * DAY for day, _ in fees], np.int64),
        "taker_fee": np.array([fee for _, fee in fees], np.float64),
    }


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
