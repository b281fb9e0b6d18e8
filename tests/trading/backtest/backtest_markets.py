"""Random markets, plans and rules for the back-test: gaps, jumps, tiny prices, missing candles, absurd leverage."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import numpy.typing as npt

from trading.backtest import AccountRules, Bars, Margin, Plan
from trading.fills import Costs

Array = npt.NDArray[np.float64]
MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000
START = 1_700_000_000_000_000
FREE = Costs(0.0, 0.0, 0.0)
DEAR = Costs(0.0026, 0.0001, 0.0002)


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    bars: Bars
    plan: Plan
    rules: AccountRules
    path: Bars | None
    fine: Bars | None


def rules(**changes: object) -> AccountRules:
    """Spot without costs and without a rule that could stop anything."""
    plain: dict[str, object] = {
        "costs": FREE,
        "drawdown_pause": np.inf,
        "daily_loss": np.inf,
        "losing_streak": 0,
        "cool_down": timedelta(0),
        "cool_down_candles": 0,
        "trailing_after": 0.0,
        "leverage": 1.0,
        "shorts": False,
        "margin": None,
    }
    return AccountRules(**{**plain, **changes})  # type: ignore[arg-type]


def bars(
    *candles: tuple[float, float, float, float], step: int = HOUR, start: int = START - START % DAY
) -> Bars:
    """From (open, high, low, close), one after the other."""
    columns = np.array(candles, dtype=np.float64).T
    return Bars(start + step * np.arange(len(candles), dtype=np.int64), *columns)


def steady(count: int, price: float = 100.0, step: int = HOUR) -> Bars:
    return bars(*[(price, price, price, price)] * count, step=step)


def market(random: np.random.Generator, count: int, step: int, missing: float = 0.1) -> tuple[Bars, Bars]:
    """Candles of four finer ones each, and the finer ones; some windows have no candle at all."""
    scale = 10.0 ** random.choice([-8.0, -2.0, 0.0, 3.0, 5.0]) * random.uniform(1, 3)
    volatility = random.choice([0.0, 0.002, 0.01, 0.05])
    moves = random.normal(0, volatility, (count, 4, 3))
    moves += np.where(random.random((count, 4, 3)) < 0.03, random.normal(0, 0.08, (count, 4, 3)), 0)
    marks = scale * np.exp(np.cumsum(moves)).reshape(count * 4, 3)
    opened = np.append(marks[0, 0], marks[:-1, 2])
    gaps = random.random(count * 4) < 0.2
    opened = np.where(gaps, marks[:, 0], opened)
    close = marks[:, 2]
    if random.random() < 0.5:  # a price grid: levels are met exactly
        tick = scale / random.choice([50.0, 1000.0])
        opened, close, marks = (
            np.maximum(np.round(prices / tick), 1) * tick for prices in (opened, close, marks)
        )
    high = np.maximum(np.maximum(opened, close), marks[:, 1])
    low = np.minimum(np.minimum(opened, close), marks[:, 1])
    kept = np.sort(random.choice(count, max(2, round(count * (1 - missing))), replace=False))
    times = START + random.integers(0, 24) * HOUR + step * kept
    fine_times = (times[:, None] + step // 4 * np.arange(4)).ravel()

    def fold(values: Array) -> Array:
        return values.reshape(count, 4)[kept]

    whole = Bars(times, fold(opened)[:, 0], fold(high).max(1), fold(low).min(1), fold(close)[:, -1])
    fine = Bars(fine_times, *(fold(column).ravel() for column in (opened, high, low, close)))
    return whole, fine


def random_case(seed: int) -> Case:
    random = np.random.default_rng(seed)
    count = int(random.integers(2, 90))
    step = int(random.choice([15 * MINUTE, HOUR, 8 * HOUR, DAY]))
    candles, fine = market(random, count, step)
    path = {0: None, 1: None, 2: fine, 3: candles, 4: _some(random, fine)}[int(random.integers(5))]
    return Case(candles, random_plan(random, len(candles)), random_rules(random), path, fine)


def random_plan(random: np.random.Generator, count: int) -> Plan:
    levels = random.choice([0.0, 0.0, 1.0, 0.5, 1.5, 3.0, 4.0, -0.5, -1.0, -2.0], (count,))
    if random.random() < 0.3:
        levels = random.uniform(-2, 3, count)
    if random.random() < 0.5:
        levels = np.maximum(levels, 0.0).clip(0, 1)
    if random.random() < 0.5:  # targets that stand for a while
        levels = np.repeat(levels, random.integers(1, 12))[:count]
    target = np.where(random.random(count) < random.choice([0.0, 0.5, 0.9]), np.nan, levels)
    distances = [_distances(random, count) for _ in range(3)]
    leaves = random.integers(0, 4, count) * (random.random(count) < random.choice([0.05, 0.5, 1.0]))
    return Plan(target, *distances, leaves=leaves if random.integers(2) else None)


def random_rules(random: np.random.Generator) -> AccountRules:
    margin = Margin(
        opening_fee=random.choice([0.0, 0.0002, 0.01]),
        rollover_fee=random.choice([0.0, 0.0002, 0.01]),
        rollover_hours=random.choice([0.3, 4.0, 24.0]),
        liquidation_level=random.choice([0.0, 0.4, 0.9]),
    )
    return rules(
        costs=[FREE, DEAR, Costs(0.05, 0.01, 0.02)][int(random.integers(3))],
        drawdown_pause=random.choice([np.inf, 0.1, 0.3, 1.0]),
        daily_loss=random.choice([np.inf, 0.03, 0.1]),
        losing_streak=int(random.choice([0, 1, 2, 5])),
        cool_down=timedelta(minutes=float(random.choice([0.0, 30.0, 600.0]))),
        cool_down_candles=int(random.choice([0, 1, 7])),
        trailing_after=random.choice([0.0, 0.5, 1.5]),
        leverage=random.choice([1.0, 2.0, 3.0]),
        shorts=bool(random.integers(2)),
        margin=margin if random.integers(2) else None,
        taker_fees=_taker_fees(random),
    )


def _taker_fees(random: np.random.Generator) -> tuple[tuple[date, float], ...]:
    """Fees that change before, during or after the candles, or one that never does."""
    first = datetime.fromtimestamp(START / 1e6, UTC).date()
    days = sorted({int(each) for each in random.integers(-3, 40, int(random.choice([0, 0, 1, 2, 4])))})
    return tuple(
        (first + timedelta(days=day), float(random.choice([0.0, 0.001, 0.004, 0.05]))) for day in days
    )


def _distances(random: np.random.Generator, count: int) -> Array | float:
    kind = int(random.integers(4))
    one = float(random.choice([0.001, 0.01, 0.03, 0.2, 1.5]))
    many = np.where(
        random.random(count) < 0.3, random.choice([np.nan, np.inf]), random.uniform(0.001, 0.1, count)
    )
    return [float("nan"), one, one, many][kind]


def _some(random: np.random.Generator, fine: Bars) -> Bars:
    kept = np.flatnonzero(random.random(len(fine)) < 0.8)
    kept = kept if kept.size else np.array([0])
    return Bars(*(getattr(fine, name)[kept] for name in ("open_time", "open", "high", "low", "close")))
