"""Every news index: what is found by meaning and by words, as of a time, for assets, by embedding version."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import polars as pl
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.doubles.stores import MemoryNews, MemoryNewsIndex
from trading.errors import InvalidValue, NotStored
from trading.ports import DESCRIBED_SCHEMA, NewsStore
from trading.ports.news_index import (
    MAX_QUERY,
    Candidates,
    EmbeddingVersion,
    NewsFilter,
    NewsIndex,
    Vector,
    VectorHit,
)
from trading.stores.postgres import PostgresNews, PostgresNewsIndex, news_index, news_search
from trading.stores.postgres.news_search import NewsSearch

START = datetime(2024, 5, 1, tzinfo=UTC)
FAR = datetime(2100, 1, 1, tzinfo=UTC)
ALL = NewsFilter(FAR)
VERSION = EmbeddingVersion("minilm", 2, "sentences")


def story(
    number: int, title: str = "Title", story_of: int | None = None, assets: Sequence[str] = ()
) -> dict[str, object]:
    known = START + timedelta(minutes=number)
    return {
        "article_id": name(number), "published_at": known, "known_at": known, "source": "test", "title": title,
        "text": "", "url": "", "language": "en", "date_only": False, "assets": list(assets),
        "content_hash": name(number), "story_id": name(number if story_of is None else story_of),
    }  # fmt: skip


def name(number: int) -> str:
    return f"a{number:06}"


def table(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), DESCRIBED_SCHEMA, orient="row")


def unit(*rows: Sequence[float]) -> Vector:
    vectors = np.array(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


EAST, NORTH = unit([1, 0])[0], unit([0, 1])[0]


def ids(hits: Sequence[VectorHit]) -> list[str]:
    return [hit.article_id for hit in hits]


class NewsIndexContract:
    """`numbers` of articles are stored with vectors that turn from EAST towards NORTH."""

    @pytest.fixture
    def stores(self) -> tuple[NewsStore, NewsIndex]:
        raise NotImplementedError

    @pytest.fixture
    def news(self, stores: tuple[NewsStore, NewsIndex]) -> NewsStore:
        return stores[0]

    @pytest.fixture
    def index(self, stores: tuple[NewsStore, NewsIndex]) -> NewsIndex:
        return stores[1]

    @pytest.fixture
    def five(self, news: NewsStore, index: NewsIndex) -> NewsIndex:
        news.put_articles(table(*(story(number, f"Title{number} bitcoin") for number in range(1, 6))))
        vectors = unit(*([np.cos(n / 4), np.sin(n / 4)] for n in range(1, 6)))
        index.put(VERSION, [(name(number), 0) for number in range(1, 6)], vectors)
        return index

    def search(self, index: NewsIndex, text: str = "bitcoin", wanted: NewsFilter = ALL) -> Candidates:
        return index.search(VERSION, text, EAST, wanted, 3)

    def test_the_nearest_stories_come_first_with_their_distance(self, five: NewsIndex) -> None:
        found = self.search(five).by_vector
        assert ids(found) == [name(1), name(2), name(3)]
        assert [hit.distance for hit in found] == pytest.approx(
            [1 - np.cos(n / 4) for n in (1, 2, 3)], abs=1e-6
        )
        assert found[0].known_at == START + timedelta(minutes=1)

    def test_what_was_known_at_the_time_of_the_question_or_later_is_never_found(
        self, five: NewsIndex
    ) -> None:
        found = self.search(five, wanted=NewsFilter(START + timedelta(minutes=2)))
        assert ids(found.by_vector) == [hit.article_id for hit in found.by_text] == [name(1)]

    def test_what_was_known_before_since_is_left_out(self, five: NewsIndex) -> None:
        found = self.search(five, wanted=NewsFilter(FAR, since=START + timedelta(minutes=5)))
        assert ids(found.by_vector) == [hit.article_id for hit in found.by_text] == [name(5)]

    def test_only_stories_of_the_assets_are_found(self, news: NewsStore, index: NewsIndex) -> None:
        news.put_articles(table(story(1, assets=["BTC"]), story(2, assets=["ETH", "XRP"]), story(3)))
        index.put(VERSION, [(name(n), 0) for n in (1, 2, 3)], unit([1, 0], [1, 1], [1, 0]))
        found = self.search(index, "Title", NewsFilter(FAR, frozenset({"XRP", "ADA"})))
        assert ids(found.by_vector) == [hit.article_id for hit in found.by_text] == [name(2)]

    def test_a_story_is_found_once_and_by_its_first_telling(self, news: NewsStore, index: NewsIndex) -> None:
        news.put_articles(table(story(1), story(2, story_of=1), story(3, story_of=1)))
        index.put(VERSION, [(name(n), 0) for n in (1, 2, 3)], unit([0, 1], [1, 0], [1, 0]))
        found = self.search(index, "Title")
        assert ids(found.by_vector) == [hit.article_id for hit in found.by_text] == [name(1)]

    def test_a_copy_that_becomes_a_story_of_its_own_is_found(self, news: NewsStore, index: NewsIndex) -> None:
        news.put_articles(table(story(1), story(2, story_of=1)))
        index.put(VERSION, [(name(n), 0) for n in (1, 2)], unit([0, 1], [1, 0]))
        news.put_articles(table(story(2)))
        assert ids(self.search(index).by_vector) == [name(2), name(1)]

    def test_of_an_article_the_nearest_passage_counts(self, news: NewsStore, index: NewsIndex) -> None:
        news.put_articles(table(story(1), story(2)))
        index.put(VERSION, [(name(1), 0), (name(1), 1), (name(2), 0)], unit([0, 1], [1, 0.1], [1, 0.5]))
        found = self.search(index).by_vector
        assert [(hit.article_id, hit.passage) for hit in found] == [(name(1), 1), (name(2), 0)]

    def test_an_article_of_many_near_passages_takes_no_other_story_s_place(
        self, news: NewsStore, index: NewsIndex
    ) -> None:
        news.put_articles(table(*(story(number) for number in range(1, 5))))
        index.put(VERSION, [(name(1), passage) for passage in range(30)], unit(*[[1, 0]] * 30))
        index.put(VERSION, [(name(n), 0) for n in (2, 3, 4)], unit([1, 1], [1, 2], [1, 3]))
        assert ids(self.search(index).by_vector) == [name(1), name(2), name(3)]

    def test_putting_an_article_again_replaces_all_of_its_passages(
        self, news: NewsStore, index: NewsIndex
    ) -> None:
        news.put_articles(table(story(1)))
        index.put(VERSION, [(name(1), 0), (name(1), 1)], unit([0, 1], [1, 0]))
        index.put(VERSION, [(name(1), 0)], unit([0, 1]))
        [hit] = self.search(index).by_vector
        assert (hit.passage, hit.distance) == (0, pytest.approx(1))
        assert (index.end_load(VERSION).articles, index.end_load(VERSION).passages) == (1, 1)

    @pytest.mark.parametrize(
        "other",
        [
            EmbeddingVersion("other", 2, "sentences"),
            EmbeddingVersion("minilm", 2, "paragraphs"),
            EmbeddingVersion("minilm", 3, "sentences"),
        ],
    )
    def test_vectors_of_another_version_are_never_searched(
        self, five: NewsIndex, other: EmbeddingVersion
    ) -> None:
        with pytest.raises(NotStored, match="materialise news_embeddings"):
            five.nearest(other, unit([1.0] * other.dimensions)[0], ALL, 3)
        nearest = unit([1.0] + [0.0] * (other.dimensions - 1))
        five.put(other, [(name(5), 0)], nearest)
        assert ids(self.search(five).by_vector) == [name(1), name(2), name(3)]
        assert ids(five.nearest(other, nearest[0], ALL, 3)) == [name(5)]
        assert five.embedded(other, [name(1), name(5)]) == {name(5)}
        assert five.embedded(VERSION, [name(1), name(9)]) == {name(1)}

    def test_stories_without_a_vector_are_counted_and_found_by_their_words(
        self, news: NewsStore, five: NewsIndex
    ) -> None:
        news.put_articles(table(story(6, "Ripple settles")))
        found = self.search(five, "ripple")
        assert found.unembedded == 1
        assert [hit.article_id for hit in found.by_text] == [name(6)]

    def test_nothing_that_matches_is_no_error(self, five: NewsIndex) -> None:
        found = self.search(five, "word", NewsFilter(START))
        assert found == Candidates((), (), 0)

    def test_more_words_of_the_question_come_before_fewer(self, news: NewsStore, five: NewsIndex) -> None:
        news.put_articles(table(story(6, "Ripple settles"), story(7, "Ripple rallies"), story(8, "Weather")))
        found = self.search(five, "ripple settles")
        assert [hit.article_id for hit in found.by_text] == [name(6), name(7)]

    @pytest.mark.parametrize("text", ["", "   ", "the", "& | ! ( ) :* '", "%s %(a)s", "\\ '' $$", "a<->b!"])
    def test_no_question_is_syntax(self, five: NewsIndex, text: str) -> None:
        assert len(self.search(five, text).by_vector) == 3

    def test_a_question_beyond_the_limit_is_refused(self, five: NewsIndex) -> None:
        with pytest.raises(InvalidValue, match="at most"):
            self.search(five, "x" * (MAX_QUERY + 1))

    @pytest.mark.parametrize(
        ("places", "vectors"),
        [
            ([(name(1), 0)], [[0.6, 0.8, 0.0]]), ([(name(1), 0), (name(2), 0)], [[1.0, 0.0]]),
            ([(name(1), 0)], [[float("nan"), 0.0]]), ([(name(1), 0)], [[0.0, 0.0]]), ([(name(1), 0)], [[2.0, 0.0]]),
            ([("unknown", 0)], [[1.0, 0.0]]), ([(name(1), 0)] * 2, [[1.0, 0.0]] * 2),
        ],
    )  # fmt: skip
    def test_impossible_vectors_are_refused_and_nothing_of_them_is_stored(
        self, news: NewsStore, index: NewsIndex, places: list[tuple[str, int]], vectors: list[list[float]]
    ) -> None:
        news.put_articles(table(story(1), story(2)))
        with pytest.raises(InvalidValue):
            index.put(VERSION, places, np.array(vectors, np.float32))
        assert index.embedded(VERSION, [name(1), name(2)]) == set()

    def test_a_question_of_other_dimensions_is_refused(self, five: NewsIndex) -> None:
        with pytest.raises(InvalidValue, match="dimensions"):
            five.nearest(VERSION, unit([1, 0, 0])[0], ALL, 3)

    def test_a_sample_is_of_stored_vectors(self, five: NewsIndex) -> None:
        sample = five.sample(VERSION, 3)
        assert sample.shape == (3, 2)
        np.testing.assert_array_equal(sample, five.sample(VERSION, 3))
        assert five.sample(EmbeddingVersion("none", 4, "x"), 3).shape == (0, 4)


class TestMemoryNewsIndex(NewsIndexContract):
    @pytest.fixture
    def stores(self) -> tuple[NewsStore, NewsIndex]:
        news = MemoryNews()
        return news, MemoryNewsIndex(news)


class TestPostgresNewsIndex(NewsIndexContract):
    @pytest.fixture
    def stores(self, dsn: str) -> tuple[NewsStore, NewsIndex]:
        return PostgresNews(dsn, "binance-1h"), PostgresNewsIndex(dsn, "binance-1h")

    def test_simulated_news_are_never_found_in_real_ones(self, dsn: str, five: NewsIndex) -> None:
        other = PostgresNewsIndex(dsn, "simulated-1h")
        with pytest.raises(NotStored):
            other.search(VERSION, "bitcoin", EAST, ALL, 3)

    def test_the_database_itself_refuses_a_vector_of_other_dimensions(
        self, dsn: str, five: NewsIndex
    ) -> None:
        with psycopg.connect(dsn) as connection, pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("UPDATE news_embeddings SET vector = '[1,0,0]'")

    def test_words_are_found_in_other_forms_and_the_title_counts_more(
        self, news: NewsStore, five: NewsIndex
    ) -> None:
        body = story(6, "Courts") | {"text": "The regulator appealed against the settlement."}
        news.put_articles(table(story(7, "Settlements appealed"), body))
        found = self.search(five, "appeals settling")
        assert [hit.article_id for hit in found.by_text] == [name(7), name(6)]

    def test_text_that_postgres_cannot_hold_is_a_clear_error(self, five: NewsIndex) -> None:
        with pytest.raises(InvalidValue, match="NUL"):
            self.search(five, "a\0b")


WIDE = EmbeddingVersion("wide", 8, "sentences")
CROWD, FEW = 4_000, 60


@cache
def crowd() -> tuple[pl.DataFrame, list[tuple[str, int]], Vector]:
    """A crowd tells of ETH and lies near one direction; older ones of BTC, and the newest of SOL, lie elsewhere."""
    random = np.random.default_rng(1)
    groups = ((FEW, -np.eye(8)[0], "BTC"), (CROWD, np.eye(8)[0], "ETH"), (FEW, np.eye(8)[1], "SOL"))
    vectors = [place + 0.2 * random.standard_normal((size, 8)) for size, place, _ in groups]
    assets = [asset for size, _, asset in groups for _ in range(size)]
    rows = [story(number, assets=[asset]) for number, asset in enumerate(assets)]
    return table(*rows), [(name(number), 0) for number in range(len(rows))], unit(*np.concatenate(vectors))


ELSEWHERE = tuple(VectorHit(name(n), START, 0, 1.9) for n in range(FEW, 2 * FEW))


class TestFilteredSearch:
    """An index is read first and filtered afterwards. Here everything near the question is what the filter refuses."""

    @pytest.fixture
    def index(self, dsn: str) -> PostgresNewsIndex:
        """Stored in bulk; its server gives up after 400 passages, as a real one after 20,000."""
        rows, places, vectors = crowd()
        PostgresNews(dsn, "d").put_articles(rows)
        index = PostgresNewsIndex(make_conninfo(dsn, options="-c hnsw.max_scan_tuples=400"), "d")
        index.begin_load(WIDE, len(places))
        index.put(WIDE, places, vectors)
        assert index.end_load(WIDE).indexed
        return index

    def test_neither_filter_loses_a_story_where_few_match_nor_where_the_index_gives_up(
        self, index: PostgresNewsIndex, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        question = unit(np.eye(8)[0])[0]
        by_asset = NewsFilter(FAR, frozenset({"BTC"}))
        by_time = NewsFilter(START + timedelta(minutes=FEW))
        for wanted in (by_asset, by_time):
            exact = index.nearest(WIDE, question, wanted, FEW, exact=True)
            assert {hit.article_id for hit in exact} == {name(n) for n in range(FEW)}
            assert index.nearest(WIDE, question, wanted, FEW) == exact
            monkeypatch.setattr(
                news_search, "MAX_EXACT", 10
            )  # as if too many matched to be measured one by one
            with index._database.transaction() as connection:
                alone = index._search._by_index(connection, WIDE, question, wanted, FEW)
            assert len(alone) < FEW  # the trap is real
            assert index.nearest(WIDE, question, wanted, FEW) == exact
            monkeypatch.undo()

    def test_the_newest_stories_are_found_though_no_link_of_the_index_may_lead_to_them(
        self, index: PostgresNewsIndex, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(NewsSearch, "_by_index", lambda *given: ELSEWHERE)
        found = index.nearest(WIDE, unit(np.eye(8)[1])[0], ALL, FEW)
        assert found == index.nearest(WIDE, unit(np.eye(8)[1])[0], ALL, FEW, exact=True)
        assert {hit.article_id for hit in found} == {name(n) for n in range(FEW + CROWD, 2 * FEW + CROWD)}

    def test_the_index_finds_what_exact_search_finds(self, index: PostgresNewsIndex) -> None:
        shared = 0
        with index._database.transaction() as connection:
            for question in crowd()[2][FEW : FEW + CROWD : CROWD // 10]:
                found = index._search._by_index(connection, WIDE, question, ALL, 10)
                exact = index._search.nearest(connection, WIDE, question, ALL, 10, exact=True)
                shared += len({hit.article_id for hit in found} & {hit.article_id for hit in exact})
        assert shared >= 95

    def test_a_bulk_load_drops_the_index_and_builds_it_behind(self, index: PostgresNewsIndex) -> None:
        with index._database.transaction() as connection:
            index.begin_load(WIDE, 10)
            assert index._state(connection, WIDE).indexed  # a few rows are added to the index that is there
            index.begin_load(WIDE, news_index.BULK + CROWD)
            assert not index._state(connection, WIDE).indexed
        found = index.nearest(WIDE, crowd()[2][0], ALL, 3)  # meanwhile searches are exact
        assert found == index.nearest(WIDE, crowd()[2][0], ALL, 3, exact=True)
        assert index.end_load(WIDE).indexed
