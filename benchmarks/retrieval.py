"""Finding news among 100,000 stories, beside exact search; and embedding headlines, beside the library that does it.

The vectors are mixtures of two headlines' vectors by the packaged model, and a little noise. `p50` is a search by
meaning and by words with its vector given; `meaning` is its part by meaning, which alone is what exact search does.
`hybrid` is the recall of both rankings together, against exact search by meaning and words without a short cut.
`retrieve/floor` says how fast the machine is meanwhile: pgvector's index asked alone without any filter, beside an
empty round trip. `retrieve/question` is embedding the question, and `retrieve/asked` is all that a user waits for:
both, and reading the stories that are shown.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl
import psycopg
from pgvector import Vector as PgVector
from pgvector.psycopg import register_vector
from psycopg import sql

from benchmarks.row import Benchmark, Call, Row, medians, row, seconds
from ml.news.embeddings import Vectors
from ml.news.minilm import PackagedMiniLM, packaged_model_folder
from ml.retrieval.fusion import fuse
from ml.retrieval.retriever import POOL, NewsQuestion, NewsRetriever, embedding_version
from orchestration.postgres.embedded import EmbeddedPostgres
from trading.ports import DESCRIBED_SCHEMA
from trading.ports.news_index import Candidates, NewsFilter, TextHit, Vector
from trading.stores.postgres import PostgresNews, PostgresNewsIndex, migrate
from trading.stores.postgres.news_filter import conditions
from trading.stores.postgres.news_search import SETTINGS
from trading.stores.postgres.news_words import NEWEST

STORIES, BATCH, QUESTIONS = 100_000, 10_000, 20
START, STEP = datetime(2020, 1, 1, tzinfo=UTC), timedelta(minutes=20)
END = START + STORIES * STEP
HALF_LIFE = timedelta(days=3)
SUBJECTS = (
    "The regulator", "A large exchange", "The central bank", "A mining company", "An asset manager", "The court",
    "A stablecoin issuer", "The network's developers", "A payments company", "The finance ministry",
)  # fmt: skip
ACTIONS = (
    "approves", "delays", "sues over", "halts", "expands", "denies rumours about", "settles the case of", "warns of",
    "invests in", "withdraws from",
)  # fmt: skip
MATTERS = (
    "a Bitcoin fund", "the listing of XRP", "stablecoin reserves", "a hacked wallet", "mining in cold regions",
    "cross-border payments", "staking rewards", "interest rates", "the upgrade of Ethereum", "customer withdrawals",
)  # fmt: skip
HEADLINES = [
    f"{subject} {action} {matter}" for subject, action, matter in product(SUBJECTS, ACTIONS, MATTERS)
]
# Every second story names BTC, one of fifty XRP.
FILTERS = {
    "all": (NewsFilter(END), "all stories"),
    "pair": (NewsFilter(END, frozenset({"BTC"})), "stories of a pair, every second one"),
    "rare": (NewsFilter(END, frozenset({"XRP"})), "stories of a rare pair, one of fifty"),
    "as_of": (NewsFilter(START + STORIES // 2 * STEP), "stories known half-way"),
    "month": (
        NewsFilter(END, frozenset({"BTC"}), END - timedelta(days=30)),
        "stories of a pair, last 30 days",
    ),
}


def retrieve() -> Iterator[Row]:
    """Load, index, then ask the same questions of both searches."""
    model, random = PackagedMiniLM(), np.random.default_rng(1)
    version, known = embedding_version(model), model.embed(HEADLINES)
    with _server() as dsn:
        index = PostgresNewsIndex(dsn, "bench")
        loading = seconds(lambda: _load(dsn, index, known, random))
        building = seconds(lambda: index.end_load(version))
        yield row(
            "retrieve/load", f"{STORIES} stories stored, words and vectors; the index took {building:.0f} s more",
            STORIES / loading, "stories/s", "none is compared", None, target="-", packages=("psycopg", "pgvector"),
        )  # fmt: skip
        plain = _Plain(dsn, version.key("bench"))
        questions = list(
            zip(_mixed(known, QUESTIONS, random), random.choice(HEADLINES, QUESTIONS), strict=True)
        )
        for name, (wanted, what) in FILTERS.items():
            waits: dict[str, list[float]] = {"ours": [], "meaning": [], "floor": [], "empty": [], "exact": []}
            shares, hybrid = [], []
            for vector, text in questions:
                waits["ours"] += [seconds(partial(index.search, version, text, vector, wanted, POOL))]
                waits["meaning"] += [seconds(partial(index.nearest, version, vector, wanted, POOL))]
                waits["floor"] += [seconds(partial(plain.nearest, vector))]
                waits["empty"] += [seconds(plain.ask_nothing)]
            # By itself: an exact search keeps a processor for so long that others have the next turn.
            for vector, text in questions:
                nearest = partial(index.nearest, version, vector, wanted, POOL)
                exact = partial(nearest, exact=True)
                waits["exact"] += [seconds(exact)]
                found = {hit.article_id for hit in nearest()[:10]}
                shares.append(len(found & {hit.article_id for hit in exact()[:10]}) / 10)
                complete = Candidates(exact(), plain.words(text, wanted), 0)
                searched = index.search(version, text, vector, wanted, POOL)
                best = _ten_best(complete, wanted)
                hybrid.append(len(best & _ten_best(searched, wanted)) / len(best))
            yield row(
                f"retrieve/{name}/p50", f"hybrid search of {STORIES}, {what}: {POOL} by meaning and {POOL} by words; "
                f"the fastest took {min(waits['ours']) * 1e3:.1f} ms",
                median(waits["ours"]) * 1e3, "ms", "exact search by meaning alone", median(waits["exact"]) * 1e3,
                target="<= 5 ms for all", packages=("psycopg", "pgvector"),
            )  # fmt: skip
            yield row(
                f"retrieve/{name}/meaning", f"the {POOL} nearest by meaning of {STORIES}, {what}",
                median(waits["meaning"]) * 1e3, "ms", "exact search", median(waits["exact"]) * 1e3,
                target=">= 1", packages=("psycopg", "pgvector"),
            )  # fmt: skip
            yield row(
                f"retrieve/{name}/recall", f"share of the ten nearest of exact search that are found, {what}",
                float(np.mean(shares)), "share", "exact search", None, target=">= 0.99",
            )  # fmt: skip
            yield row(
                f"retrieve/{name}/hybrid", f"share of the ten best of both rankings that are found, {what}",
                float(np.mean(hybrid)), "share", "exact search and words without a short cut", None, target=">= 0.99",
            )  # fmt: skip
            if name == "all":
                yield row(
                    "retrieve/floor", f"the {POOL} nearest of {STORIES} by pgvector's index alone, no filter; "
                    f"the fastest took {min(waits['floor']) * 1e3:.1f} ms",
                    median(waits["floor"]) * 1e3, "ms", "an empty round trip", median(waits["empty"]) * 1e3,
                    target="-", packages=("psycopg", "pgvector"),
                )  # fmt: skip
        retriever = NewsRetriever(index, PostgresNews(dsn, "bench"), lambda: model, HALF_LIFE)
        asked = {
            "question": ("embedding a question with the packaged model", lambda: model.embed(HEADLINES[:1])),
            "asked": (
                "a question in words, answered with 8 stories: embedded, searched, read",
                lambda: retriever.retrieve(NewsQuestion(HEADLINES[0], END)),
            ),
        }
        spent = medians({name: call for name, (_, call) in asked.items()}, 20)
    for name, (what, _) in asked.items():
        yield row(
            f"retrieve/{name}", what, spent[name] * 1e3, "ms", "none is compared", None, target="-",
            packages=("torch", "sentence-transformers"),
        )  # fmt: skip


class _Plain:
    """The same server without anything of ours in between."""

    def __init__(self, dsn: str, key: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True, options=SETTINGS)
        register_vector(self._connection)
        self._table = sql.Identifier(f"news_embeddings_{key}")

    def ask_nothing(self) -> None:
        self._connection.execute("SELECT").fetchall()

    def nearest(self, vector: Vector) -> None:
        nearest = (
            "SELECT article_id FROM {} ORDER BY vector::halfvec({size}) <=> %b::halfvec({size}) LIMIT {count}"
        )
        size, count = sql.Literal(len(vector)), sql.Literal(POOL)
        query = sql.SQL(nearest).format(self._table, size=size, count=count)
        self._connection.execute(query, [PgVector(vector)]).fetchall()

    def words(self, text: str, wanted: NewsFilter) -> tuple[TextHit, ...]:
        """Rank the newest 200 stories with some words and the newest with all, each looked up among all stories."""
        found = (
            "(SELECT article_id, known_at, words @@ whole AS has_all, ts_rank(words, part, 1) AS rank "
            "FROM news_articles, asked WHERE dataset = 'bench' AND {wanted} AND words @@ {which} "
            "ORDER BY known_at DESC, article_id DESC LIMIT {count})"
        )
        part, whole = (
            sql.SQL(found).format(
                wanted=conditions(wanted), which=sql.Identifier(which), count=sql.Literal(count)
            )
            for which, count in (("part", NEWEST), ("whole", POOL))
        )
        rows = self._connection.execute(
            sql.SQL(
                "WITH asked AS (SELECT whole, replace(whole::text, ' & ', ' | ')::tsquery AS part "
                "FROM plainto_tsquery('english', {}) whole) SELECT article_id, known_at FROM ({} UNION {}) found "
                "ORDER BY has_all DESC, rank DESC, known_at DESC, article_id LIMIT {}"
            ).format(sql.Literal(text), part, whole, sql.Literal(POOL))
        )
        return tuple(TextHit(*each) for each in rows.fetchall())


def _ten_best(candidates: Candidates, wanted: NewsFilter) -> set[str]:
    return {each.article_id for each in fuse(candidates, wanted.as_of, HALF_LIFE)[:10]}


@contextmanager
def _server() -> Iterator[str]:
    with (
        tempfile.TemporaryDirectory(prefix="loom-", ignore_cleanup_errors=True) as folder,
        EmbeddedPostgres(Path(folder)) as server,
    ):
        migrate(server.dsn)
        yield server.dsn


def _load(dsn: str, index: PostgresNewsIndex, known: Vectors, random: np.random.Generator) -> None:
    news, version = PostgresNews(dsn, "bench"), embedding_version(PackagedMiniLM())
    index.begin_load(version, STORIES)
    for first in range(0, STORIES, BATCH):
        rows = _stories(first, random)
        news.put_articles(rows)
        index.put(version, [(article, 0) for article in rows["article_id"]], _mixed(known, BATCH, random))


def _stories(first: int, random: np.random.Generator) -> pl.DataFrame:
    numbers = range(first, first + BATCH)
    ids = [hashlib.md5(str(number).encode()).hexdigest() for number in numbers]  # in no order, as real ones
    times = [START + number * STEP for number in numbers]
    titles = random.choice(HEADLINES, BATCH)
    return pl.DataFrame(
        {
            "article_id": ids, "published_at": times, "known_at": times, "source": ["bench"] * BATCH, "title": titles,
            "text": [f"{one}. {two}." for one, two in random.choice(HEADLINES, (BATCH, 2))], "url": [""] * BATCH,
            "language": ["en"] * BATCH, "date_only": [False] * BATCH,
            "assets": [["BTC"] if number % 2 else ["XRP"] if number % 50 == 0 else [] for number in numbers],
            "content_hash": ids, "story_id": ids,
        },
        DESCRIBED_SCHEMA,
    )  # fmt: skip


def _mixed(known: Vectors, count: int, random: np.random.Generator) -> Vectors:
    one, two = (known[random.integers(len(known), size=count)] for _ in range(2))
    share = random.uniform(0.5, 1, (count, 1))
    mixed = share * one + (1 - share) * two + random.normal(0, 0.015, one.shape)
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), np.float32)


def embed_headlines() -> Iterator[Row]:
    """Embed the same headlines by turns, one thread each; the smallest cosine to the plain library must be 0.999.

    The library runs with the batch that is fastest for it, in its own float32.
    """
    import torch
    from sentence_transformers import SentenceTransformer

    model, texts = PackagedMiniLM(), HEADLINES[:: len(HEADLINES) // 256]
    ours = model.embed(texts)
    torch.set_num_threads(1)
    plain = SentenceTransformer(str(packaged_model_folder()), device="cpu", local_files_only=True)

    def encode(size: int) -> Vectors:
        vectors: Vectors = plain.encode(
            texts, batch_size=size, show_progress_bar=False, normalize_embeddings=True
        )
        return vectors

    cosine = float((ours * encode(32)).sum(axis=1).min())
    assert cosine >= 0.999, cosine
    calls: dict[str, Call] = {str(size): partial(encode, size) for size in (16, 32, 64)}
    spent = medians({"ours": lambda: model.embed(texts), **calls}, 7)
    best = min(calls, key=lambda size: spent[size])
    yield row(
        "embed_headlines", f"{len(texts)} headlines on one thread; smallest cosine to the library's {cosine:.5f}",
        len(texts) / spent["ours"], "texts/s", f"sentence-transformers, float32, {best} texts at a time",
        len(texts) / spent[best], target=">= 2 at a cosine of 0.999", packages=("torch", "sentence-transformers"),
    )  # fmt: skip


BENCHMARKS: dict[str, Benchmark] = {"retrieve": retrieve, "embed_headlines": embed_headlines}
