"""Back-tests of the strategies on stored candles, with the account's rules and costs that live trading has."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from ml.strategies import Library, Rehearsal, Strategy
from trading.backtest import AccountRules, Backtest, Bars, run
from trading.errors import InvalidValue, NotStored
from trading.market import Pair, Timeframe, Universe
from trading.ports import CandleSource
from trading.reports import BacktestReport, Resampling, report
from trading.strategies import hold_plan


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be back-tested. `start` and `end` None: all that is stored."""

    strategy: Strategy
    pair: Pair
    start: datetime | None = None
    end: datetime | None = None
    path: Timeframe | None = None  # finer candles along which stops are followed; None: the base candles
    ignore_pause: bool = False  # go on after the drawdown that would pause trading until a person resumes

    @property
    def scope(self) -> str:
        """What sets this question apart from the one about all that is stored; part of the report's name."""
        times = [
            f"{word}-{time:%Y%m%dT%H%M}" for word, time in (("from", self.start), ("to", self.end)) if time
        ]
        path = [f"path-{self.path.value}"] if self.path else []
        return "-".join([*times, *path, *(["unpaused"] if self.ignore_pause else [])])

    def __post_init__(self) -> None:
        if self.start and self.end and self.start >= self.end:
            raise InvalidValue(
                f"from {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} is no time: the end must come later"
            )


@dataclass(frozen=True, slots=True)
class Backtester:
    """Answers questions from the stores. `finer` gives the candle source of another timeframe."""

    universe: Universe
    library: Library
    rules: Mapping[Pair, AccountRules]
    resampling: Resampling
    finer: Callable[[Timeframe], CandleSource]

    def answer(self, question: Question) -> BacktestReport:
        """Raises NotStored naming what to materialise or import, InvalidValue for an impossible question."""
        if question.pair not in self.rules:
            known = ", ".join(map(str, self.universe.pairs))
            raise InvalidValue(f"{question.pair} is not traded here: [market] pairs has {known}")
        rehearsal = self.library.rehearse(question.strategy, question.pair, question.start, question.end)
        rules = self._rules(question)
        bars = Bars.of(rehearsal.candles)
        path = self._path(question, rehearsal) if question.path else None
        result = run(bars, rehearsal.plan, rules, path=path)
        free = replace(rules, drawdown_pause=float("inf"), daily_loss=float("inf"))
        return report(
            pair=question.pair,
            strategy=question.strategy.value,
            universe=self.universe,
            candles=rehearsal.candles,
            result=result,
            held=run(bars, hold_plan(rehearsal.candles.height), free),
            resampling=self.resampling,
            taker_fee=rules.costs.taker_fee,
            notes=(*rehearsal.notes, *self._notes(question, result)),
            scope=question.scope,
        )

    def _notes(self, question: Question, result: Backtest) -> Iterator[str]:
        if question.path:
            candles = f"{result.path_candles} of {len(result.bars)} candles"
            yield f"stops followed along {question.path.value} candles in {candles}, pessimistically in the others"
        if self.universe.timeframe is Timeframe.D1:
            yield "the daily loss rule refuses nothing on daily candles: each decision opens a new day"

    def _rules(self, question: Question) -> AccountRules:
        rules = self.rules[question.pair]
        return replace(rules, drawdown_pause=float("inf")) if question.ignore_pause else rules

    def _path(self, question: Question, rehearsal: Rehearsal) -> Bars:
        assert question.path is not None
        first, last = rehearsal.candles["open_time"][0], rehearsal.candles["close_time"][-1]
        if question.path.duration >= self.universe.timeframe.duration:
            raise InvalidValue(
                f"a path of {question.path.value} candles is no finer than the {self.universe.timeframe.value} candles"
            )
        finer = self.finer(question.path).candles(question.pair, first, last)
        _check_covers(finer, rehearsal.candles, question)
        return Bars.of(finer)


def _check_covers(finer: pl.DataFrame, candles: pl.DataFrame, question: Question) -> None:
    """Some finer candle inside every base candle: where they lack, a stop would silently not be seen."""
    inside = candles.join_asof(
        finer.select("open_time", finer_open=pl.col("open_time")), on="open_time", strategy="forward"
    )
    lacking = inside.filter(pl.col("finer_open").is_null() | (pl.col("finer_open") >= pl.col("close_time")))
    if lacking.height:
        assert question.path is not None
        raise NotStored(
            f"{lacking.height} of {candles.height} candles of {question.pair} have no {question.path.value} candle "
            f"inside, first {lacking['open_time'][0]:%Y-%m-%d %H:%M} UTC: import finer candles for all of that time "
            "or leave the path out"
        )
