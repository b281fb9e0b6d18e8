"""Checks of every store of news and of scores before a row is stored."""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trading.errors import InvalidValue

SCORE_COLUMNS = ("model", "pair", "mode", "candles", "votes", "hit_rate", "mean_return", "pnl", "cost_usd")


def select_schema(table: pl.DataFrame, schema: pl.Schema, name: str) -> pl.DataFrame:
    """Select the schema's columns, in its order. InvalidValue when one is missing, of another type, or null."""
    found = {column: table.schema.get(column) for column in schema}
    if found != dict(schema):
        raise InvalidValue(f"{name}: columns are {found}, wanted are {dict(schema)}")
    rows = table.select(list(schema))
    for column in rows.columns:
        if rows[column].null_count():
            raise InvalidValue(f"{name}: {rows[column].null_count()} rows have no {column}")
    return rows


def check_sentiment(rows: pl.DataFrame) -> None:
    """Raise InvalidValue unless scores are -1 .. 1, confidences 0 .. 1 and costs not negative."""
    allowed = {"score": (-1.0, 1.0), "confidence": (0.0, 1.0), "cost_usd": (0.0, np.finfo(float).max)}
    for column, (low, high) in allowed.items():
        wrong = rows.filter(~pl.col(column).is_between(low, high) | pl.col(column).is_nan())
        if wrong.height:
            value, article = wrong[column][0], wrong["article_id"][0]
            raise InvalidValue(
                f"sentiment of article {article}: {column} is {value}, allowed is {low:g} to {high:g}"
            )


def check_passages(
    passages: Sequence[tuple[str, int]], vectors: npt.NDArray[np.float32], dimensions: int
) -> None:
    """Raise InvalidValue unless there is one vector of length 1 and of these dimensions per passage."""
    if vectors.shape != (len(passages), dimensions):
        raise InvalidValue(
            f"{len(passages)} passages of {dimensions} dimensions, but vectors of shape {vectors.shape}"
        )
    lengths = np.linalg.norm(vectors, axis=1)
    if not (np.abs(lengths - 1) < 0.001).all():  # not true of what is not finite
        raise InvalidValue("a vector is not of length 1: it has no direction, or is not finite")
    if len(set(passages)) < len(passages):
        raise InvalidValue("a passage is there twice")


def check_scores(day: date, rows: Sequence[Mapping[str, Any]]) -> None:
    """Raise InvalidValue when a row lacks a column, holds a number that is not finite, or is there twice."""
    keys = set()
    for row in rows:
        if missing := [name for name in SCORE_COLUMNS if name not in row]:
            raise InvalidValue(f"scores of {day}: a row lacks {', '.join(missing)}")
        for name, value in row.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise InvalidValue(f"scores of {day}: {name} of {row['model']} is {value}")
        keys.add((row["model"], str(row["pair"]), row["mode"]))
    if len(keys) < len(rows):
        raise InvalidValue(f"scores of {day}: two rows have the same model, pair and mode")
