"""Back-tests of the strategies on stored candles, with the account's rules and costs that live trading has."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import polars as pl

from ml.strategies import BacktestInputs, Strategy, StrategyLibrary
from trading.backtest import AccountRules, Backtest, Bars, run, sweep
from trading.errors import InvalidValue, NotStored
from trading.market import Pair, Timeframe, Universe
from trading.ports import CandleSource
from trading.reports import BacktestReport, Resampling, report
from trading.strategies import hold_plan

COST_MULTIPLES = (0.0, 1.0, 2.0)  # of all costs: without any, as stated, and twice as dear
FIRST_YEAR, LAST_YEAR = 1970, 2200  # of times that people write
MAX_SHOWN = 60  # characters of what is none


@dataclass(frozen=True, slots=True)
class BacktestRequest:
    """What to back-test. `start` and `end` None: all that is stored."""

    strategy: Strategy
    pair: Pair
    start: datetime | None = None
    end: datetime | None = None
    path: Timeframe | None = None  # finer candles along which stops are followed; None: the base candles
    ignore_pause: bool = False  # go on after the drawdown that would pause trading until a person resumes

    @property
    def scope(self) -> str:
        """Return what sets this request apart from the one about all that is stored; part of the report's name."""
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
    """Back-tests strategies on the stored candles. `finer` gives the candle source of another timeframe."""

    universe: Universe
    library: StrategyLibrary
    rules: Mapping[Pair, AccountRules]
    resampling: Resampling
    finer: Callable[[Timeframe], CandleSource]

    def run(self, request: BacktestRequest) -> BacktestReport:
        """Back-test the strategy and report on it.

        Raises NotStored naming what to materialise or import, InvalidValue for an impossible request.
        """
        if request.pair not in self.rules:
            known = ", ".join(map(str, self.universe.pairs))
            raise InvalidValue(f"{request.pair} is not traded here: [market] pairs has {known}")
        inputs = self.library.backtest_inputs(request.strategy, request.pair, request.start, request.end)
        rules = self._rules(request)
        bars = Bars.of(inputs.candles)
        path = self._path(request, inputs) if request.path else None
        result = run(bars, inputs.plan, rules, path=path)
        levels = [rules.at_costs(multiple) for multiple in COST_MULTIPLES]
        return report(
            pair=request.pair,
            strategy=request.strategy.value,
            universe=self.universe,
            candles=inputs.candles,
            result=result,
            buy_and_hold=run(bars, hold_plan(inputs.candles.height), self.unrestricted(request.pair)),
            at_costs=dict(
                zip(
                    COST_MULTIPLES,
                    sweep(bars, [inputs.plan] * len(levels), levels, path=path).all_totals,
                    strict=True,
                )
            ),
            resampling=self.resampling,
            taker_fees=rules.taker_fees or [(inputs.candles["open_time"][0].date(), rules.costs.taker_fee)],
            notes=(*inputs.notes, *self._notes(request, result)),
            scope=request.scope,
        )

    def unrestricted(self, pair: Pair) -> AccountRules:
        """Return the pair's rules without those that stop trading, as somebody has them who only holds."""
        return replace(self.rules[pair], drawdown_pause=float("inf"), daily_loss=float("inf"))

    def _notes(self, request: BacktestRequest, result: Backtest) -> Iterator[str]:
        if request.path:
            candles = f"{result.path_candles} of {len(result.bars)} candles"
            yield f"stops followed along {request.path.value} candles in {candles}, pessimistically in the others"
        if self.universe.timeframe is Timeframe.D1:
            yield "the daily loss rule refuses nothing on daily candles: each decision opens a new day"

    def _rules(self, request: BacktestRequest) -> AccountRules:
        rules = self.rules[request.pair]
        return replace(rules, drawdown_pause=float("inf")) if request.ignore_pause else rules

    def _path(self, request: BacktestRequest, inputs: BacktestInputs) -> Bars:
        assert request.path is not None
        first, last = inputs.candles["open_time"][0], inputs.candles["close_time"][-1]
        if request.path.duration >= self.universe.timeframe.duration:
            raise InvalidValue(
                f"a path of {request.path.value} candles is no finer than the {self.universe.timeframe.value} candles"
            )
        finer = self.finer(request.path).candles(request.pair, first, last)
        _check_covers(finer, inputs.candles, request)
        return Bars.of(finer)


def parse_utc(text: str) -> datetime | None:
    """Parse a day or a time as people write it, UTC unless it says otherwise; None for an empty text.

    InvalidValue for what is none, and for years in which nothing was or will be traded.
    """
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidValue(
            f"{text[:MAX_SHOWN]!r} is not a time: write it like 2020-01-31 or 2020-01-31T12:00"
        ) from None
    check_year(time)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def check_year(day: date) -> None:
    """InvalidValue for a year that no market is asked about, and whose times other steps may not be able to hold."""
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise InvalidValue(f"{day} is out of reach: allowed are the years {FIRST_YEAR} to {LAST_YEAR}")


def parse_timeframe(text: str) -> Timeframe | None:
    if not text:
        return None
    try:
        return Timeframe(text)
    except ValueError:
        known = ", ".join(each.value for each in Timeframe)
        raise InvalidValue(f"{text!r} is not a timeframe: there are {known}") from None


def _check_covers(finer: pl.DataFrame, candles: pl.DataFrame, request: BacktestRequest) -> None:
    """Require a finer candle inside every base candle: where one is missing, a stop would silently not be seen."""
    covered = candles.join_asof(
        finer.select("open_time", finer_open=pl.col("open_time")), on="open_time", strategy="forward"
    )
    missing = covered.filter(pl.col("finer_open").is_null() | (pl.col("finer_open") >= pl.col("close_time")))
    if missing.height:
        assert request.path is not None
        raise NotStored(
            f"{missing.height} of {candles.height} candles of {request.pair} have no {request.path.value} candle "
            f"inside, first {missing['open_time'][0]:%Y-%m-%d %H:%M} UTC: import finer candles for all of that time "
            "or leave the path out"
        )
