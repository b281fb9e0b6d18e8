"""Scores of votes with a direction: how often right, how honest their confidence, how much better than the base rate.

A vote for a side with confidence c is the forecast that the price goes its way with probability (1 + c) / 2. The base
rate is the share of rises among all candles of that time: who knows nothing else forecasts that.

Calibrated, the forecast is (1 + b c) / 2, where b in 0 .. 1 is what the judge's earlier votes, whose outcomes were
known by then, had shown its confidence to be worth (least squares through the origin, drawn towards 0). Who is right
more often than not has skill then, however sure of itself it is; who is not has none.
"""

import math
from dataclasses import dataclass
from typing import Any

import polars as pl

BINS = (0.5, 0.6, 0.7, 0.8, 0.9)  # lower ends of the forecasts' classes; the last one includes 1
_Z = 1.959963984540054  # two-sided 95 %
_FORECAST = (1 + pl.col("confidence")) / 2
_RIGHT = pl.col("outcome") * pl.col("direction") > 0
_ROSE = pl.col("outcome") > 0
_MEASURES = {
    "votes": pl.len(),
    "windows": pl.col("window").n_unique(),
    "hits": _RIGHT.sum(),
    "mean_return": (pl.col("outcome") * pl.col("direction")).mean(),
    "brier": ((_FORECAST - _RIGHT.cast(pl.Float64)) ** 2).mean(),
    "base_brier": ((pl.col("rise_rate") - _ROSE.cast(pl.Float64)) ** 2).mean(),
}
_STRENGTH, _SURPLUS = pl.col("confidence") / 2, _RIGHT.cast(pl.Float64) - 0.5
_PRIOR = 50 * 0.3**2  # as if 50 votes of confidence 0.6 had been worth nothing


@dataclass(frozen=True, slots=True)
class Score:
    """One judge's votes with a direction on a horizon. Shares are 0 .. 1, returns are shares before costs."""

    agent: str
    model: str
    horizon: int  # candles
    regime: str  # empty: all of them
    votes: int
    windows: int  # spans of `horizon` candles with a vote, of whatever pair: markets move together
    hit_rate: float
    hit_low: float  # Wilson's interval, 95 %
    hit_high: float
    mean_return: float
    brier: float  # 0 is perfect, 0.25 what a coin gets
    base_brier: float  # what the base rate gets on the same votes
    skill: float  # 1 - brier / base_brier; 0 or less: no better than the base rate
    calibrated_brier: float
    calibrated_skill: float


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Votes whose forecasts lie in one class: what they said on average, and how often it came so."""

    agent: str
    model: str
    from_forecast: float
    votes: int
    forecast: float
    hit_rate: float


def scores(votes: pl.DataFrame, horizon: int, *, by_regime: bool = False) -> list[Score]:
    """Score the votes with a direction of each agent's model, sorted by name; votes come from `with_outcomes`."""
    keys = ["agent", "model", *(["regime"] if by_regime else [])]
    sided = votes.filter(pl.col("direction") != 0)
    table = sided.group_by(keys).agg(**_MEASURES).join(_calibrated(sided, keys), on=keys).sort(keys)
    return [_score(row, horizon) for row in table.iter_rows(named=True)]


def _calibrated(votes: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Return the keys and `calibrated_brier`: of a window's votes by the windows before the last, which had ended."""
    windows = votes.group_by(*keys, "window").agg(
        shown=(_STRENGTH * _SURPLUS).sum(), said=(_STRENGTH**2).sum()
    )
    before = [pl.col(name).cum_sum().shift(2).over(keys) for name in ("shown", "said")]
    slope = (before[0] / (before[1] + _PRIOR)).fill_null(0.0).clip(0.0, 1.0)
    worth = windows.sort(*keys, "window").select(*keys, "window", slope=slope)
    error = pl.col("slope") * _STRENGTH - _SURPLUS
    return votes.join(worth, on=[*keys, "window"]).group_by(keys).agg(calibrated_brier=(error**2).mean())


def calibration(votes: pl.DataFrame) -> list[CalibrationBin]:
    """Return the calibration curve of each agent's model; classes without a vote are left out."""
    lower = pl.lit(BINS[0])
    for edge in BINS[1:]:
        lower = pl.when(edge <= _FORECAST + 1e-12).then(pl.lit(edge)).otherwise(lower)
    table = (
        votes.filter(pl.col("direction") != 0)
        .group_by("agent", "model", from_forecast=lower)
        .agg(votes=pl.len(), forecast=_FORECAST.mean(), hit_rate=_RIGHT.mean())
        .sort("agent", "model", "from_forecast")
    )
    return [CalibrationBin(**row) for row in table.iter_rows(named=True)]


def wilson(hits: int, votes: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share (Wilson 1927, JASA 22); (0, 1) without a vote."""
    if votes == 0:
        return 0.0, 1.0
    share, square = hits / votes, _Z * _Z
    centre = share + square / (2 * votes)
    spread = _Z * math.sqrt(share * (1 - share) / votes + square / (4 * votes * votes))
    low, high = ((centre + sign * spread) / (1 + square / votes) for sign in (-1, 1))
    return max(min(low, share), 0.0), min(max(high, share), 1.0)


def _score(row: dict[str, Any], horizon: int) -> Score:
    low, high = wilson(row["hits"], row["votes"])
    base, calibrated = row["base_brier"], row["calibrated_brier"]
    return Score(
        agent=row["agent"],
        model=row["model"],
        horizon=horizon,
        regime=row.get("regime", ""),
        votes=row["votes"],
        windows=row["windows"],
        hit_rate=row["hits"] / row["votes"],
        hit_low=low,
        hit_high=high,
        mean_return=row["mean_return"],
        brier=row["brier"],
        base_brier=base,
        skill=1 - row["brier"] / base if base > 0 else 0.0,  # where all went one way there is nothing to add
        calibrated_brier=calibrated,
        calibrated_skill=1 - calibrated / base if base > 0 else 0.0,
    )
