"""The plans that are back-tested: what each strategy would have done, candle by candle, from what was known then."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

import numpy as np
import polars as pl

from ml.decision_history import AgentHistory, DecisionHistory, KnownThen
from ml.learning.evaluation import decide_exposures
from ml.learning.registry import PolicyFolders
from trading.backtest import Plan
from trading.errors import InvalidValue, NotStored
from trading.market import Pair, month_of, month_start, next_month
from trading.ports import TableStore
from trading.signals import USED
from trading.strategies import exposure_plan

TECHNICAL_FEATURES = tuple(
    dict.fromkeys((*USED, "btc_correlation", "regime"))
)  # of fifty: a year of minutes has 200 MB


class Strategy(StrEnum):
    TECHNICAL = "technical"  # the technical agent alone, through the vote that decides live
    POLICY = "policy"  # each month by the PPO policy that was trained on the months before it
    DESK = "desk"  # every agent, their vote, sizes and protection: the decision that trades

    @classmethod
    def parse(cls, text: str) -> "Strategy":
        try:
            return cls(text.lower())
        except ValueError:
            raise InvalidValue(f"strategy {text!r} is not known: there are {', '.join(cls)}") from None


@dataclass(frozen=True, slots=True, eq=False)
class BacktestInputs:
    """Candles of one pair and the exposure that a strategy planned after each of them."""

    candles: pl.DataFrame
    plan: Plan
    notes: tuple[str, ...]  # what a reader of the report must know of the data


@dataclass(frozen=True, slots=True)
class StrategyLibrary:
    """All strategies, over the stores that they read."""

    candles: TableStore
    features: TableStore
    policies: PolicyFolders
    decisions: DecisionHistory
    known: KnownThen | None = None  # None: without the database, for strategies that need none

    def backtest_inputs(
        self, strategy: Strategy, pair: Pair, start: datetime | None, end: datetime | None
    ) -> BacktestInputs:
        """Return the stored candles with start <= open_time < end, or all of them, and the strategy's plan.

        Raises NotStored naming the asset to materialise, InvalidValue when nothing lies between start and end.
        """
        names = None if strategy is Strategy.POLICY else TECHNICAL_FEATURES  # a policy names its own
        table = self.table(pair, start, end, names)
        builders: Mapping[Strategy, Callable[[Pair, pl.DataFrame], BacktestInputs]] = {
            Strategy.TECHNICAL: self._technical,
            Strategy.DESK: self._desk,
            Strategy.POLICY: self._policy,
        }
        return builders[strategy](pair, table)

    def table(
        self,
        pair: Pair,
        start: datetime | None,
        end: datetime | None,
        names: Sequence[str] | None = TECHNICAL_FEATURES,
    ) -> pl.DataFrame:
        """Return candles with these features, or all, beside them; a candle without a feature row has unknown ones."""
        months = self.candles.months(pair)
        if not months:
            raise NotStored(f"no candles of {pair} are stored: materialise `ohlcv` and `features` first")
        first, last = start or month_start(months[0]), end or month_start(next_month(months[-1]))
        candles = self.candles.between(pair, first, last)
        if candles.height < 2:
            raise InvalidValue(
                f"{candles.height} candles of {pair} between {first:%Y-%m-%d %H:%M} and {last:%Y-%m-%d %H:%M} UTC: "
                f"stored are {months[0]:%Y-%m} to {months[-1]:%Y-%m}"
            )
        self._refuse_months_without_features(pair, candles)
        columns = None if names is None else ("open_time", *names)
        features = self.features.between(pair, first, last, columns).drop(
            "close_time", "known_at", strict=False
        )
        return candles.join(features, on="open_time", how="left", maintain_order="left", validate="1:1")

    def _technical(self, pair: Pair, table: pl.DataFrame) -> BacktestInputs:
        return self._decided(pair, table, self.decisions.technical(table))

    def _desk(self, pair: Pair, table: pl.DataFrame) -> BacktestInputs:
        if self.known is None:
            raise InvalidValue(
                "champions and news lie in PostgreSQL, and this back-test was built without it"
            )
        return self._decided(pair, table, self.decisions.every_agent(pair, table, self.known))

    def _decided(self, pair: Pair, table: pl.DataFrame, agents: AgentHistory) -> BacktestInputs:
        unknown = table.filter(pl.any_horizontal(pl.col(USED).is_null())).height
        notes = (f"{unknown} candles with an unknown feature: no signal there",) if unknown else ()
        return BacktestInputs(table, self.decisions.plan(pair, table, agents), (*notes, *agents.notes))

    def _refuse_months_without_features(self, pair: Pair, candles: pl.DataFrame) -> None:
        """Raise NotStored: a month whose features were never computed must not look like one without a signal."""
        if missing := sorted(_months(candles) - set(self.features.months(pair))):
            months = ", ".join(f"{month:%Y-%m}" for month in missing)
            raise NotStored(f"no features of {pair} in {months}: materialise `features` for these months")

    def _policy(self, pair: Pair, table: pl.DataFrame) -> BacktestInputs:
        """Plan to be flat in a month without a policy of its own: a policy never decides on its training months."""
        tested = [month for month in self.policies.months(pair) if month in _months(table)]
        if not tested:
            raise NotStored(
                f"no policy of {pair} is tested in this time: materialise `ppo_policy` for one of its months"
            )
        rows = table.filter(
            pl.col("open_time") >= month_start(tested[0]),
            pl.col("open_time") < month_start(next_month(tested[-1])),
        )
        exposures = np.zeros(rows.height)
        exposure, undecided = 0, 0
        for month in tested:
            if _month_before(month) not in tested:
                exposure = 0  # flat through the months between
            policy = self.policies.bundle(pair, month)
            inside = _in_month(rows, month_start(month), month_start(next_month(month)))
            features = rows.filter(inside).select(policy.feature_names).cast(pl.Float64)
            chosen, unknown = decide_exposures(policy, features.to_numpy(), exposure)
            exposures[inside.to_numpy()] = chosen
            exposure, undecided = int(chosen[-1]), undecided + unknown
        return BacktestInputs(rows, exposure_plan(exposures), _policy_notes(len(tested), undecided))


def _policy_notes(months: int, undecided: int) -> tuple[str, ...]:
    notes = (
        f"{months} months, each by the policy trained on the months before it",
        "all in or all out and without a stop, as it was trained: live, risk caps and protects every position",
    )
    if not undecided:
        return notes
    return (*notes, f"{undecided} candles with an unknown feature: what was held was kept")


def _month_before(month: date) -> date:
    return month_of(month_start(month) - timedelta(days=1))


def _months(table: pl.DataFrame) -> set[date]:
    return {month_of(time) for time in table["open_time"].dt.truncate("1mo").unique()}


def _in_month(rows: pl.DataFrame, start: datetime, end: datetime) -> pl.Series:
    return rows.select((pl.col("open_time") >= start) & (pl.col("open_time") < end)).to_series()
