"""Finding news among 100,000 stories, beside exact search; and embedding headlines, beside the library that does it.

The vectors are mixtures of two headlines' vectors by the packaged model, and a little noise. `p50` is a search by
meaning and by words with its vector given; `meaning` is its part by meaning, which alone is what exact search does;
`retrieve/question` is embedding the question, and `retrieve/asked` is all that a user waits for: both, and reading
the stories that are shown.
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

from benchmarks.row import Benchmark, Call, Row, medians, row, seconds
from ml.news.embeddings import Vectors
from ml.news.minilm import PackagedMiniLM, packaged_model_folder
from ml.retrieval.retriever import POOL, NewsQuestion, NewsRetriever, embedding_version
from orchestration.postgres.embedded import EmbeddedPostgres
from trading.ports import DESCRIBED_SCHEMA
from trading.ports.news_index import NewsFilter
from trading.stores.postgres import PostgresNews, PostgresNewsIndex, migrate

STORIES, BATCH, QUESTIONS = 100_000, 10_000, 20
START, STEP = datetime(2020, 1, 1, tzinfo=UTC), timedelta(minutes=20)
END = START + STORIES * STEP
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
        questions = list(
            zip(_mixed(known, QUESTIONS, random), random.choice(HEADLINES, QUESTIONS), strict=True)
        )
        for name, (wanted, what) in FILTERS.items():
            waits: dict[str, list[float]] = {"ours": [], "meaning": [], "exact": []}
            shares = []
            # Each kind by itself: an exact search keeps a processor for so long that others have the next turn.
            for vector, text in questions:
                waits["ours"] += [seconds(partial(index.search, version, text, vector, wanted, POOL))]
            for vector, _ in questions:
                waits["meaning"] += [seconds(partial(index.nearest, version, vector, wanted, POOL))]
            for vector, _ in questions:
                nearest = partial(index.nearest, version, vector, wanted, POOL)
                exact = partial(nearest, exact=True)
                waits["exact"] += [seconds(exact)]
                found = {hit.article_id for hit in nearest()[:10]}
                shares.append(len(found & {hit.article_id for hit in exact()[:10]}) / 10)
            yield row(
                f"retrieve/{name}/p50", f"hybrid search of {STORIES}, {what}: {POOL} by meaning and {POOL} by words",
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
        retriever = NewsRetriever(index, PostgresNews(dsn, "bench"), lambda: model, timedelta(days=3))
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
