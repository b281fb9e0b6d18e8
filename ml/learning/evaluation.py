"""Evaluation of a policy in its test month, out of sample, against cash and against buy-and-hold."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from ml.learning.daily_returns import DailyReturns
from ml.learning.folds import rows_of_month
from ml.learning.manifest import Manifest
from ml.learning.masking import Interval, masked_rows, stretches
from ml.learning.policy import Policy
from trading.backtest import ExposureResult, run_exposures
from trading.errors import InvalidValue
from trading.fills import Costs
from trading.market import Timeframe, month_start, next_month
from trading.metrics import annualised_sharpe, maximum_drawdown, total_return

Array = npt.NDArray[np.float64]
FORMAT = 3  # of the JSON; 1 had no daily returns, 2 counted each order as a trade
FREE = Costs(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Performance:
    """After costs. Returns, drawdown, fees and exposure are shares (0.1 = 10 %); see trading.metrics."""

    total_return: float
    annualised_sharpe: float  # 0 where it does not exist: returns that do not vary
    maximum_drawdown: float
    turnover: float  # traded value in multiples of equity
    fees: float  # of the opening equity
    trades: int  # positions from flat to flat, as the back-test report counts them; one open at the end too
    exposure: float  # mean target exposure of the decisions that could be executed


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One fold out of sample. Curves start at 1.0 and flat; the position at the end is marked, not sold."""

    policy_id: str
    recipe: str  # of the policy: what was chosen apart from the data
    pair: str
    timeframe: str
    dataset: str
    test_month: date
    known_at: datetime  # close of the last candle tested on: nothing here was known before
    candles: int
    undecided: int  # candles with an unknown feature: the exposure did not change
    policy: Performance
    buy_and_hold: Performance
    cash: Performance
    market_return: float  # of the price over the same time, no costs
    daily: DailyReturns
    masked: int = 0  # candles left out: in or around an unrepaired feed gap
    curves: pl.DataFrame | None = field(default=None, compare=False, repr=False)
    """close_time, close, policy, buy_and_hold, cash, exposure; None when it was read back from JSON."""

    @property
    def coverage(self) -> float:
        """Share of the month's candles, counted on the timeframe's grid, that the policy decided on."""
        month = month_start(next_month(self.test_month)) - month_start(self.test_month)
        return (self.candles - self.undecided) / (month / Timeframe(self.timeframe).duration)

    def as_json(self) -> dict[str, Any]:
        """Convert everything but the curves to plain JSON values."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "curves"}
        performances = {name: asdict(plain[name]) for name in ("policy", "buy_and_hold", "cash")}
        times = {name: plain[name].isoformat() for name in ("test_month", "known_at")}
        return {"format": FORMAT, **plain, **performances, **times, "daily": self.daily.as_json()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Evaluation":
        """Read plain JSON values. InvalidValue when they were written in another format."""
        if (found := values.get("format", 1)) != FORMAT:
            raise InvalidValue(f"written in format {found}, this version reads format {FORMAT}")
        performances = {name: Performance(**values[name]) for name in ("policy", "buy_and_hold", "cash")}
        times = {
            "test_month": date.fromisoformat(values["test_month"]),
            "known_at": datetime.fromisoformat(values["known_at"]),
        }
        plain = {name: value for name, value in values.items() if name != "format"}
        daily = DailyReturns.from_json(values["daily"])
        return cls(**{**plain, **performances, **times, "daily": daily})


def evaluate(
    policy: Policy,
    features: pl.DataFrame,
    candles: pl.DataFrame,
    costs: Costs,
    unrepaired: Sequence[Interval] = (),
) -> Evaluation:
    """Let the policy decide on every candle of its own test month and on no other row of the tables.

    `features` has open_time and the policy's features, `candles` open_time, close_time, open and close.
    Around an unrepaired feed gap no candle counts, and each stretch between gaps begins flat.
    Raises InvalidValue when no candle of the month can be decided on.
    """
    rows = _join_features(policy, features, rows_of_month(candles, policy.manifest.test_month))
    timeframe = Timeframe(policy.manifest.timeframe)
    masked = masked_rows(rows["open_time"], timeframe, policy.feature_names, unrepaired)
    found = [part for part in stretches(masked) if part.stop - part.start >= 2]
    kept = rows if not masked.any() else pl.concat([rows[:0], *(rows[part] for part in found)])
    if kept.height < 2:
        raise InvalidValue(
            f"{policy.manifest.pair} in {policy.manifest.test_month:%Y-%m}: unrepaired feed gaps touch all "
            f"{rows.height} candles, nothing is left to test on; let the stream repair them"
        )
    lengths = [part.stop - part.start for part in found]
    values = kept.select(policy.feature_names).cast(pl.Float64).to_numpy()
    decided = [decide_exposures(policy, values[part]) for part in joined(lengths)]
    return evaluate_exposures(
        policy.manifest,
        kept,
        np.concatenate([exposures for exposures, _ in decided]),
        costs,
        sum(undecided for _, undecided in decided),
        lengths=lengths,
        masked=rows.height - kept.height,
    )


def evaluate_exposures(
    manifest: Manifest,
    candles: pl.DataFrame,
    exposures: Array,
    costs: Costs,
    undecided: int = 0,
    *,
    lengths: Sequence[int] = (),
    masked: int = 0,
) -> Evaluation:
    """Measure exposures, one decided after each of the candles of the manifest's test month, oldest first.

    `lengths` are those of the stretches between feed gaps; without them the candles are one.
    """
    opens, closes = candles["open"].to_numpy(), candles["close"].to_numpy()
    parts = joined(lengths or [len(opens)])

    def follow(wanted: Array, at: Costs) -> tuple[Array, ExposureResult]:
        runs = [run_exposures(wanted[part], opens[part], closes[part], at) for part in parts]
        # The last decision of a stretch is never executed.
        executed = np.concatenate([wanted[part][:-1] for part in parts])
        return executed, chained(runs)

    runs = {
        "policy": follow(exposures, costs),
        "buy_and_hold": follow(np.full_like(opens, 1.0), costs),
        "cash": follow(np.full_like(opens, 0.0), costs),
    }
    _, market = follow(np.full_like(opens, 1.0), FREE)
    per_year = Timeframe(manifest.timeframe).per_year
    return Evaluation(
        policy_id=manifest.policy_id,
        recipe=manifest.recipe,
        pair=manifest.pair,
        timeframe=manifest.timeframe,
        dataset=manifest.dataset,
        test_month=manifest.test_month,
        known_at=candles["close_time"][-1],
        candles=candles.height,
        undecided=undecided,
        **{name: measure_performance(*run, per_year) for name, run in runs.items()},
        market_return=float(np.prod([closes[part][-1] / opens[part][0] for part in parts]) - 1.0),
        daily=DailyReturns.of(candles["open_time"], runs["policy"][1].equity, market.equity),
        masked=masked,
        curves=pl.DataFrame(
            {
                "close_time": candles["close_time"],
                "close": candles["close"],
                **{name: result.equity for name, (_, result) in runs.items()},
                "exposure": exposures,
            }
        ),
    )


def decide_exposures(policy: Policy, features: Array, exposure: int = 0) -> tuple[Array, int]:
    """Decide the exposure after each row of features (n, f), from `exposure` before the first; count undecided rows.

    A row with an unknown feature keeps the exposure, as the live agent does when it abstains.
    """
    known = np.isfinite(features).all(axis=1)
    wanted = np.empty((len(features), 2))
    # The exposure before a row is one of two values: decide every row for both, then follow the chain through time.
    for before in (0, 1):
        wanted[:, before] = before
        wanted[known, before] = policy.long_probabilities(features[known], float(before)) > 0.5
    exposures = np.empty(len(features))
    for row, choices in enumerate(wanted.astype(int).tolist()):
        exposure = choices[exposure]
        exposures[row] = exposure
    return exposures, int((~known).sum())


def measure_performance(executed: Array, result: ExposureResult, per_year: float) -> Performance:
    """Measure one run of the back-test with `per_year` candles in a year."""
    return Performance(
        total_return=total_return(result.equity),
        annualised_sharpe=annualised_sharpe(result.growth - 1.0, per_year) or 0.0,
        maximum_drawdown=maximum_drawdown(result.equity),
        turnover=result.turnover,
        fees=result.fees,
        trades=result.trades,
        exposure=float(executed.mean()),
    )


def joined(lengths: Sequence[int]) -> list[slice]:
    """Return where each stretch lies once the rows between them are left out."""
    ends = np.cumsum(lengths).tolist()
    return [slice(end - length, end) for length, end in zip(lengths, ends, strict=True)]


def chained(runs: Sequence[ExposureResult]) -> ExposureResult:
    """Return one result of several in a row: each begins flat with the equity that the one before ended with."""
    if len(runs) == 1:
        return runs[0]
    opening = np.cumprod([1.0, *(run.equity[-1] for run in runs)])[:-1]
    return ExposureResult(
        equity=np.concatenate([run.equity * before for run, before in zip(runs, opening, strict=True)]),
        growth=np.concatenate([run.growth for run in runs]),
        orders=sum(run.orders for run in runs),
        trades=sum(run.trades for run in runs),
        turnover=sum(run.turnover for run in runs),
        fees=float(sum(run.fees * before for run, before in zip(runs, opening, strict=True))),
    )


def _join_features(policy: Policy, features: pl.DataFrame, candles: pl.DataFrame) -> pl.DataFrame:
    """Join the month's candles with their features; a candle without a feature row has unknown ones."""
    month = f"{policy.manifest.pair} in {policy.manifest.test_month:%Y-%m}"
    names = list(policy.feature_names)
    if missing := [name for name in names if name not in features.columns]:
        raise InvalidValue(
            f"the features of {month} lack {', '.join(missing)}, which policy {policy.policy_id} reads"
        )
    rows = candles.select("open_time", "close_time", "open", "close").join(
        features.select("open_time", *names),
        on="open_time",
        how="left",
        maintain_order="left",
        validate="1:1",
    )
    known = rows.filter(pl.all_horizontal(pl.col(name).is_finite().fill_null(False) for name in names))
    if rows.height < 2 or known.is_empty():
        raise InvalidValue(
            f"{month} has {rows.height} candles, {known.height} with all features: nothing to test on"
        )
    return rows
