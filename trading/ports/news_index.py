"""Protocol of the searchable part of news: vectors of passages by embedding version, and words. Times are UTC."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import numpy as np
import numpy.typing as npt

from trading.errors import InvalidValue

Vector = npt.NDArray[np.float32]
MAX_DIMENSIONS = 16_000  # what pgvector holds
MAX_QUERY = 2_000  # characters


@dataclass(frozen=True, slots=True)
class EmbeddingVersion:
    """What makes vectors comparable: only those of the same version are ever searched together."""

    model: str
    dimensions: int
    chunking: str  # the name of the rules that cut articles into passages

    def __post_init__(self) -> None:
        if not self.model or not self.chunking or not 1 <= self.dimensions <= MAX_DIMENSIONS:
            raise InvalidValue(
                f"an embedding version needs names and 1 to {MAX_DIMENSIONS} dimensions: {self}"
            )

    def key(self, dataset: str) -> str:
        """Compute 16 hexadecimal digits: the same version of the same dataset always has the same key."""
        joined = "\x1f".join((dataset, self.model, str(self.dimensions), self.chunking))
        return hashlib.blake2b(joined.encode(), digest_size=8).hexdigest()

    def __str__(self) -> str:
        return f"{self.model}, {self.dimensions} dimensions, passages {self.chunking}"


@dataclass(frozen=True, slots=True)
class NewsFilter:
    """Which stories may be found: known strictly before `as_of`, not before `since`, naming one of `assets`.

    Without assets all stories count.
    """

    as_of: datetime
    assets: frozenset[str] = field(default_factory=frozenset)
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class VectorHit:
    """A story and its passage nearest to the question."""

    article_id: str
    known_at: datetime
    passage: int  # number of the passage in its article, from 0
    distance: float  # cosine, 0 .. 2


@dataclass(frozen=True, slots=True)
class TextHit:
    """A story that holds words of the question."""

    article_id: str
    known_at: datetime


@dataclass(frozen=True, slots=True)
class Candidates:
    """Both rankings, best first, each story once; `unembedded` of the newest stories that match have no vector."""

    by_vector: tuple[VectorHit, ...]
    by_text: tuple[TextHit, ...]
    unembedded: int


@dataclass(frozen=True, slots=True)
class IndexState:
    """What is stored of an embedding version; `indexed` tells whether an approximate index serves wide searches."""

    articles: int
    passages: int
    indexed: bool


class NewsIndex(Protocol):
    """Finds stories by meaning and by words. Only first tellings of a story are found, never copies."""

    def begin_load(self, version: EmbeddingVersion, passages: int) -> None:
        """Get ready for so many new passages: before a bulk load the approximate index is dropped."""

    def put(self, version: EmbeddingVersion, passages: Sequence[tuple[str, int]], vectors: Vector) -> None:
        """Store unit vectors, one per (article id, passage number); replaces all passages of these articles.

        InvalidValue for a vector of other dimensions or length, or an article that is not stored.
        """

    def end_load(self, version: EmbeddingVersion) -> IndexState:
        """Build the approximate index where it is missing and worth it."""

    def embedded(self, version: EmbeddingVersion, article_ids: Sequence[str]) -> set[str]:
        """Return which of these have vectors of the version."""

    def search(
        self, version: EmbeddingVersion, text: str, vector: Vector, wanted: NewsFilter, count: int
    ) -> Candidates:
        """Return up to `count` stories by meaning and up to `count` by words.

        NotStored where the version has no vectors at all; InvalidValue for a text beyond MAX_QUERY.
        """

    def nearest(
        self,
        version: EmbeddingVersion,
        vector: Vector,
        wanted: NewsFilter,
        count: int,
        *,
        exact: bool = False,
    ) -> tuple[VectorHit, ...]:
        """Return the part of `search` by meaning; `exact` never uses the approximate index."""

    def sample(self, version: EmbeddingVersion, count: int) -> Vector:
        """Return up to `count` stored vectors, the same ones while the same are stored."""
