"""Headlines labelled by people, in folds that keep near-duplicates together."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ml.news.embeddings import Vectors
from ml.sentiment.head import LABELS
from trading.errors import InvalidValue

NEAR_DUPLICATE = 0.9  # cosine of the finished MiniLM vectors: one wire story in two wordings lies above

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Labelled:
    texts: list[str]
    labels: Indices  # positions in LABELS


def read_labelled(path: Path) -> Labelled:
    """Read a CSV with the columns `text` and `label`; raise InvalidValue for another label or no row."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"text", "label"} <= rows[0].keys():
        raise InvalidValue(f"{path} needs rows and the columns text and label")
    if unknown := {row["label"] for row in rows} - set(LABELS):
        raise InvalidValue(f"{path} has the labels {sorted(unknown)}; there are {', '.join(LABELS)}")
    labels = np.array([LABELS.index(row["label"]) for row in rows], np.int64)
    return Labelled([row["text"] for row in rows], labels)


def near_duplicate_groups(vectors: Vectors, threshold: float = NEAR_DUPLICATE) -> Indices:
    """Assign a number to each connected group of rows (n, d) of length 1 whose cosine is above the threshold."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = [
        np.argwhere(vectors[start : start + 512] @ vectors.T > threshold) + np.array([start, 0])
        for start in range(0, len(vectors), 512)
    ]
    first, second = np.concatenate(pairs).T
    near = coo_array((np.ones(len(first)), (first, second)), shape=(len(vectors),) * 2)
    return np.asarray(connected_components(near, directed=False)[1], np.int64)


def grouped_folds(
    labels: Indices, groups: Indices, count: int, seed: int
) -> Iterator[tuple[Indices, Indices]]:
    """Split into `count` folds of like label shares; a group is never on both sides."""
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    yield from splitter.split(labels, labels, groups)


def macro_f1(labels: Indices, predicted: Indices) -> float:
    """Compute the mean of the three labels' F1; a label that never occurs and is never predicted counts 0."""
    scores = [
        2
        * float(((labels == each) & (predicted == each)).sum())
        / max(1, int((labels == each).sum() + (predicted == each).sum()))
        for each in range(len(LABELS))
    ]
    return sum(scores) / len(scores)


def accuracy(labels: Indices, predicted: Indices) -> float:
    return float((labels == predicted).mean())


def predicted_labels(scores: npt.NDArray[np.float64]) -> Indices:
    """Return the label of each score: its sign."""
    return np.asarray(np.sign(scores) + 1, np.int64)
