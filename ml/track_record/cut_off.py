"""What a language model may have read of a past: its votes from before its knowledge ends prove nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

import polars as pl

from ml.models.specification import Provider
from trading.ports import DESK

_PREFIXES = tuple(f"{each}/" for each in Provider)
_AND = " + "  # between the models that have judged together


def is_language_model(model: str) -> bool:
    """Return whether a chat model (`ModelSpec.name`) is among those that an opinion names."""
    return any(each.startswith(_PREFIXES) for each in model.split(_AND))


@dataclass(frozen=True, slots=True)
class CutOffs:
    """The last UTC day whose news each model may have been trained on, by `ModelSpec.name`.

    A language model without one may have read everything up to now.
    """

    days: Mapping[str, date]

    def knows_nothing_of(self, model: str, at: datetime) -> bool:
        """Return whether none of its models can have read what happened at `at`; rules and policies read nothing."""
        days = [self.day(each) for each in model.split(_AND) if is_language_model(each)]
        return all(day is not None and at > datetime.combine(day, time.max, UTC) for day in days)

    def clean(self, votes: pl.DataFrame) -> pl.Series:
        """Return (n,) where the `model` of a vote cannot have read what happened at `closed_at`.

        The desk's vote is made of the others': it is clean where all of them on the same pair and candle are.
        """
        rows = zip(votes["model"], votes["closed_at"], strict=True)
        own = pl.Series([self.knows_nothing_of(model, at) for model, at in rows], dtype=pl.Boolean)
        tainted = (
            votes.filter(~own, pl.col("action").is_not_null()).select("pair", "closed_at").unique().rows()
        )
        if not tainted:
            return own
        candles = set(tainted)
        is_desk = (votes["agent"] == DESK).to_list()
        of_candle = [each in candles for each in votes.select("pair", "closed_at").iter_rows()]
        return own & ~pl.Series([a and b for a, b in zip(is_desk, of_candle, strict=True)], dtype=pl.Boolean)

    def in_words(self, model: str) -> str:
        """Describe what is known of a language model's cut-off; empty for everything else."""
        days = [self.day(each) for each in model.split(_AND) if is_language_model(each)]
        return _AND.join(
            f"{day}" if day else "not given: cut_off of its [models.named] entry" for day in days
        )

    def day(self, model: str) -> date | None:
        """Return the model's day, whatever prompt or mask stands behind its name; None without one."""
        named = [each for each in self.days if model == each or model.startswith((f"{each} ", f"{each}+"))]
        return self.days[max(named, key=len)] if named else None
