"""A NewsIndex in memory: every search is exact, and words match as they are written."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tests.doubles.stores.news import MemoryNews
from trading.errors import InvalidValue, NotStored
from trading.ports.news_index import (
    MAX_QUERY,
    Candidates,
    EmbeddingVersion,
    IndexState,
    NewsFilter,
    TextHit,
    Vector,
    VectorHit,
)
from trading.stores.store_checks import check_passages

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class MemoryNewsIndex:
    def __init__(self, news: MemoryNews) -> None:
        self._news = news
        self.vectors: dict[EmbeddingVersion, dict[tuple[str, int], Vector]] = {}

    def begin_load(self, version: EmbeddingVersion, passages: int) -> None:
        self.vectors.setdefault(version, {})

    def put(self, version: EmbeddingVersion, passages: Sequence[tuple[str, int]], vectors: Vector) -> None:
        check_passages(passages, vectors, version.dimensions)
        articles = {article for article, _ in passages}
        if unknown := articles - self._news.stored(list(articles)):
            raise InvalidValue(f"no article {min(unknown)}: put the articles before their vectors")
        stored = self.vectors.get(version, {})
        others = {place: vector for place, vector in stored.items() if place[0] not in articles}
        self.vectors[version] = others | dict(zip(passages, vectors, strict=True))

    def end_load(self, version: EmbeddingVersion) -> IndexState:
        stored = self.vectors.get(version, {})
        return IndexState(len({article for article, _ in stored}), len(stored), False)

    def embedded(self, version: EmbeddingVersion, article_ids: Sequence[str]) -> set[str]:
        return set(article_ids) & {article for article, _ in self.vectors.get(version, {})}

    def search(
        self, version: EmbeddingVersion, text: str, vector: Vector, wanted: NewsFilter, count: int
    ) -> Candidates:
        if len(text) > MAX_QUERY:
            raise InvalidValue(
                f"the question has {len(text)} characters; at most {MAX_QUERY} are searched for"
            )
        by_vector = self.nearest(version, vector, wanted, count)
        asked = set(text.lower().split())
        rows = self._matching(wanted)
        shared = {
            article: len(asked & set(f"{row['title']} {row['text']}".lower().split()))
            for article, row in rows.items()
        }
        ranked = sorted(
            filter(shared.get, rows), key=lambda each: (-shared[each], -rows[each]["known_at"].timestamp())
        )
        by_text = tuple(TextHit(each, rows[each]["known_at"]) for each in ranked[:count])
        return Candidates(by_vector, by_text, len(rows) - len(self.embedded(version, list(rows))))

    def nearest(
        self,
        version: EmbeddingVersion,
        vector: Vector,
        wanted: NewsFilter,
        count: int,
        *,
        exact: bool = False,
    ) -> tuple[VectorHit, ...]:
        check_passages([("", 0)], vector[None], version.dimensions)
        if not self.vectors.get(version):
            raise NotStored(f"no vectors of {version}: materialise news_embeddings")
        rows = self._matching(wanted)
        hits = sorted(
            (
                VectorHit(article, rows[article]["known_at"], passage, 1 - float(stored @ vector))
                for (article, passage), stored in self.vectors[version].items()
                if article in rows
            ),
            key=lambda hit: (hit.distance, hit.article_id, hit.passage),
        )
        best: dict[str, VectorHit] = {}
        for hit in hits:
            best.setdefault(hit.article_id, hit)
        return tuple(best.values())[:count]

    def sample(self, version: EmbeddingVersion, count: int) -> Vector:
        stored = list(self.vectors.get(version, {}).values())[:count]
        return np.array(stored, np.float32).reshape(-1, version.dimensions)

    def _matching(self, wanted: NewsFilter) -> dict[str, dict[str, Any]]:
        rows = self._news.articles(wanted.since or _BEGINNING, wanted.as_of).iter_rows(named=True)
        return {
            row["article_id"]: row
            for row in rows
            if row["story_id"] == row["article_id"]
            and (not wanted.assets or not wanted.assets.isdisjoint(row["assets"]))
        }
