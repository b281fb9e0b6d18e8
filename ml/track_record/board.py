"""The honesty board: every judge by its votes on what it cannot have read, net of cost, beside chance and holding."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import polars as pl

from ml.agents.vote_weights import VoteWeights
from ml.track_record.cut_off import CutOffs
from ml.track_record.earnings import Earnings, earnings
from ml.track_record.scores import CalibrationBin, Score, calibration, scores
from ml.track_record.votes import SIDES, UNKNOWN_REGIME, one_vote_per_candle, with_outcomes
from trading.fills import Costs
from trading.market import Pair, Timeframe
from trading.ports import DESK, VOTE_SCHEMA, TableStore, VoteLog

HORIZONS = (1, 4, 24)  # candles
BEGINNING = datetime(2009, 1, 3, tzinfo=UTC)  # before any market that is traded here
_UNKNOWN = pl.DataFrame(
    schema={
        **VOTE_SCHEMA,
        "direction": pl.Int8(),
        "outcome": pl.Float64(),
        "rise_rate": pl.Float64(),
        "window": pl.Int64(),
        "regime": pl.String(),
    }
)
OF_VOTERS = "the latest of its voters"
_RESOLUTION = timedelta(microseconds=1)  # of a time
_CLEAN = pl.col("clean")
_COUNTS = (
    _CLEAN.sum().alias("clean"),
    _CLEAN.not_().sum().alias("contaminated"),
    pl.col("closed_at").filter(_CLEAN).min().alias("first"),
    pl.col("closed_at").filter(_CLEAN).max().alias("last"),
)
Row = TypeVar("Row", Score, CalibrationBin, Earnings)


@dataclass(frozen=True, slots=True)
class Judge:
    """What stands on the board of one agent's model."""

    agent: str
    model: str
    cut_off: str  # in words; empty: it has read nothing
    clean: int  # votes that count
    contaminated: int  # votes on what it may have read: they count nowhere
    first: datetime | None  # close of the first and the last candle that counts
    last: datetime | None
    scores: tuple[Score, ...]  # by horizon
    by_regime: tuple[Score, ...]  # on the shortest horizon
    calibration: tuple[CalibrationBin, ...]  # on the shortest horizon
    earnings: tuple[Earnings, ...]  # by pair


@dataclass(frozen=True, slots=True)
class Board:
    until: datetime
    judges: tuple[Judge, ...]
    weights: VoteWeights | None = None  # of the votes of decisions after `until`

    def facts(self) -> dict[str, Any]:
        """Return the board as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class BoardMaker:
    """Reads recorded votes and what followed."""

    votes: VoteLog
    candles: TableStore
    features: TableStore
    pairs: Sequence[Pair]
    timeframe: Timeframe
    costs: Mapping[Pair, Costs]
    cut_offs: CutOffs
    weights: Callable[[datetime], VoteWeights | None] = lambda at: None  # that a decision at a time reads

    def board(self, start: datetime, until: datetime) -> Board:
        """Judge the votes on candles that closed in [start, until) by the outcomes that were known at `until`."""
        votes = one_vote_per_candle(self.votes.read(start, until))
        clean = self.cut_offs.clean(votes)
        known = {horizon: self._known(votes.filter(clean), horizon, until) for horizon in HORIZONS}
        return Board(until, tuple(self._judges(votes, clean, known)), self.weights(until + _RESOLUTION))

    def followed(self, start: datetime, until: datetime, horizon: int) -> pl.DataFrame:
        """Return the votes on candles that closed in [start, until), with the outcomes that were known at `until`.

        VOTE_SCHEMA with `direction`, `outcome`, `rise_rate` and `window` (`with_outcomes`) and `regime`; none on what a
        language model may have read.
        """
        votes = one_vote_per_candle(self.votes.read(start, until))
        return self._known(votes.filter(self.cut_offs.clean(votes)), horizon, until)

    def votes_of(self, models: Sequence[str], start: datetime, until: datetime) -> dict[str, int]:
        """Return how many votes with a side each has cast on candles that it cannot have read of."""
        cast = one_vote_per_candle(self.votes.read(start, until, models))
        sided = cast.filter(pl.col("action").is_in(list(SIDES)))
        clean = sided.filter(self.cut_offs.clean(sided))["model"]
        return {model: int((clean == model).sum()) for model in models}

    def _known(self, votes: pl.DataFrame, horizon: int, until: datetime) -> pl.DataFrame:
        """Return the votes of all pairs whose outcome is known, each with the regime that it was cast in."""
        found = [_UNKNOWN]
        for pair in self.pairs:
            of_pair = votes.filter(pl.col("pair") == str(pair))
            if of_pair.is_empty():
                continue
            times = of_pair["closed_at"].to_list()
            span = min(times) - self.timeframe.duration, max(times) + (horizon + 1) * self.timeframe.duration
            candles = self.candles.between(pair, *span, ["open_time", "open"])
            regimes = self.features.between(pair, *span, ["close_time", "regime"])
            followed = with_outcomes(of_pair, candles, self.timeframe, horizon, until)
            found.append(_with_regime(followed, regimes).select(_UNKNOWN.columns))
        return pl.concat(found)

    def _judges(
        self, votes: pl.DataFrame, clean: pl.Series, known: Mapping[int, pl.DataFrame]
    ) -> Iterator[Judge]:
        nearest = known[HORIZONS[0]]
        scored = [each for horizon in HORIZONS for each in scores(known[horizon], horizon)]
        by_regime = scores(nearest, HORIZONS[0], by_regime=True)
        curves = calibration(nearest)
        earned = earnings(nearest, {str(pair): costs for pair, costs in self.costs.items()})
        counted = votes.with_columns(clean=clean).group_by("agent", "model").agg(_COUNTS)
        for row in counted.sort("agent", "model").iter_rows(named=True):
            of_judge = _Of(row["agent"], row["model"])
            yield Judge(
                **row,
                cut_off=OF_VOTERS
                if row["agent"] == DESK and row["contaminated"]
                else self.cut_offs.in_words(row["model"]),
                scores=of_judge.select(scored),
                by_regime=of_judge.select(by_regime),
                calibration=of_judge.select(curves),
                earnings=of_judge.select(earned),
            )


@dataclass(frozen=True, slots=True)
class _Of:
    agent: str
    model: str

    def select(self, rows: Sequence[Row]) -> tuple[Row, ...]:
        return tuple(each for each in rows if (each.agent, each.model) == (self.agent, self.model))


def _with_regime(votes: pl.DataFrame, regimes: pl.DataFrame) -> pl.DataFrame:
    named = regimes.select(closed_at="close_time", regime=pl.col("regime").cast(pl.String))
    joined = votes.join(named, on="closed_at", how="left", maintain_order="left")
    return joined.with_columns(pl.col("regime").fill_null(UNKNOWN_REGIME))
