"""Finds the news that a question needs, as it was known at some time: what an agent may read and cite."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from ml.news.embeddings import Embedder
from ml.news.entities import news_assets
from ml.retrieval.fusion import Ranked, Score, fuse
from ml.retrieval.passages import CHUNKING, passages
from trading.errors import InvalidValue
from trading.market import Pair
from trading.ports import NewsStore
from trading.ports.news_index import EmbeddingVersion, NewsFilter, NewsIndex

POOL = 50  # stories of each ranking that are fused; more than are ever asked for
MAX_COUNT = POOL


@dataclass(frozen=True, slots=True)
class NewsQuestion:
    """What is asked: `text` in plain words, news of `pair` alone where there is one, as known strictly before `as_of`.

    `since` leaves out what was known earlier.
    """

    text: str
    as_of: datetime
    pair: Pair | None = None
    count: int = 8
    since: datetime | None = None

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise InvalidValue("a question about news needs words")
        if not 1 <= self.count <= MAX_COUNT:
            raise InvalidValue(f"1 to {MAX_COUNT} stories can be asked for, not {self.count}")
        for moment in filter(None, (self.as_of, self.since)):
            if moment.utcoffset() is None:
                raise InvalidValue(f"{moment} names no time zone")


@dataclass(frozen=True, slots=True)
class RetrievedArticle:
    """The first telling of a story, with the passage that is nearest to the question."""

    article_id: str
    known_at: datetime
    published_at: datetime
    source: str
    title: str
    passage: str
    url: str
    assets: tuple[str, ...]
    score: Score


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Best first, each story once. `unembedded`: of the newest 200 stories that match, those without a vector yet."""

    articles: tuple[RetrievedArticle, ...]
    version: EmbeddingVersion
    unembedded: int


class Retriever(Protocol):
    """Reads no clock: the same question about the same store has the same answer."""

    def retrieve(self, question: NewsQuestion) -> Retrieval:
        """Raise ModelUnreachable where the question cannot be embedded, NotStored where the model has no vectors."""


def embedding_version(embedder: Embedder) -> EmbeddingVersion:
    return EmbeddingVersion(embedder.name, embedder.dimensions, CHUNKING)


class NewsRetriever:
    """`choose_embedder` is asked at each question: the vectors are then those of the model that serves now."""

    def __init__(
        self,
        index: NewsIndex,
        store: NewsStore,
        choose_embedder: Callable[[], Embedder],
        half_life: timedelta,
    ) -> None:
        self._index = index
        self._store = store
        self._choose_embedder = choose_embedder
        self._half_life = half_life

    def retrieve(self, question: NewsQuestion) -> Retrieval:
        embedder = self._choose_embedder()
        version = embedding_version(embedder)
        [vector] = embedder.embed([question.text])
        assets = frozenset(news_assets(question.pair) if question.pair else ())
        wanted = NewsFilter(question.as_of, assets, question.since)
        candidates = self._index.search(version, question.text, vector, wanted, POOL)
        best = fuse(candidates, question.as_of, self._half_life)[: question.count]
        return Retrieval(self._read(best), version, candidates.unembedded)

    def _read(self, best: list[Ranked]) -> tuple[RetrievedArticle, ...]:
        rows = self._store.read([each.article_id for each in best])
        facts = {row["article_id"]: row for row in rows.iter_rows(named=True)}
        return tuple(_article(each, facts[each.article_id]) for each in best)


def _article(ranked: Ranked, row: dict[str, object]) -> RetrievedArticle:
    title, text = str(row["title"]), str(row["text"])
    told = passages(title, text)
    published = row["published_at"]
    assert isinstance(published, datetime)
    return RetrievedArticle(
        article_id=ranked.article_id,
        known_at=ranked.known_at.astimezone(UTC),
        published_at=published,
        source=str(row["source"]),
        title=title,
        passage=told[ranked.passage or 0],
        url=str(row["url"]),
        assets=tuple(row["assets"]),  # type: ignore[arg-type]
        score=ranked.score,
    )
