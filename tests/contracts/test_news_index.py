"""Every news index: what is found by meaning and by words, as of a time, for assets, by embedding version."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import polars as pl
import psycopg
import pytest
from pgvector.psycopg import register_vector
from psycopg import sql
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
from trading.stores.postgres import PostgresNews, PostgresNewsIndex, news_index, news_search, news_words
from trading.stores.postgres.connection import Connection
from trading.stores.postgres.news_search import NewsSearch, _Question
from trading.stores.postgres.turns import Search, finish

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

    def test_what_is_known_of_a_stored_story_later_counts_from_then_on(
        self, news: NewsStore, index: NewsIndex
    ) -> None:
        news.put_articles(table(story(1), story(2, assets=["XRP"]), story(3, assets=["XRP"])))
        index.put(VERSION, [(name(n), 0) for n in (1, 2, 3)], unit([1, 0], [1, 1], [0, 1]))
        news.put_articles(table(story(1, assets=["XRP"]), story(2), story(3, story_of=1, assets=["XRP"])))
        assert ids(self.search(index, wanted=NewsFilter(FAR, frozenset({"XRP"}))).by_vector) == [name(1)]
        assert ids(self.search(index).by_vector) == [name(1), name(2)]

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

    def test_simulated_news_are_never_found_in_real_ones_and_nothing_else_is_said(
        self, dsn: str, five: NewsIndex, caplog: pytest.LogCaptureFixture
    ) -> None:
        other = PostgresNewsIndex(dsn, "simulated-1h")
        for _ in range(2):  # the connections are used again
            with pytest.raises(NotStored, match="materialise news_embeddings"):
                other.search(VERSION, "bitcoin", EAST, ALL, 3)
        assert caplog.messages == []

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

    @pytest.mark.parametrize(
        ("common", "read"), [(0.3, 4_000), (0.04, 4_000), (0.04, 300), (0.004, 4_000), (0.0, 4_000)]
    )
    def test_the_newest_with_all_words_are_found_however_common_the_words_are(
        self, news: NewsStore, five: NewsIndex, monkeypatch: pytest.MonkeyPatch, common: float, read: int
    ) -> None:
        """Two years ago one story held all words; `common` of the newest ones do, half of the others one word."""
        monkeypatch.setattr(news_words, "READ", read)
        random = np.random.default_rng(2)
        kinds = random.choice(3, 1_000, p=[common, (1 - common) / 2, (1 - common) / 2])
        kinds[0] = 0
        titles = ("Ripple settles", "Ripple", "Weather")
        numbers = range(10, 10 + len(kinds))
        news.put_articles(
            table(*(story(number, titles[kind]) for number, kind in zip(numbers, kinds, strict=True)))
        )
        found = [hit.article_id for hit in five.search(VERSION, "settled ripple", EAST, ALL, 50).by_text]
        newest_first = [(number, kind) for number, kind in zip(numbers, kinds, strict=True)][::-1]
        every = [name(number) for number, kind in newest_first if kind == 0][:50]
        some = [name(number) for number, kind in newest_first if kind == 1]
        assert found == (every + some)[:50]

    def test_a_vector_carries_what_its_article_says_and_nothing_else(self, dsn: str, five: NewsIndex) -> None:
        """A wrong time of a vector would show a decision what was not known."""
        with psycopg.connect(dsn) as connection:
            key = VERSION.key("binance-1h")
            connection.execute(
                "INSERT INTO news_embeddings VALUES (%s, 'binance-1h', 2, %s, 7, '[1,0]', '-infinity', '{XRP}', false)",
                (key, name(1)),
            )
            connection.execute("UPDATE news_articles SET known_at = known_at + interval '1 day'")
            rows = connection.execute(
                "SELECT (e.known_at, e.assets, e.is_story) = (a.known_at, a.assets, a.story_id = a.article_id) "
                "FROM news_embeddings e JOIN news_articles a USING (dataset, article_id)"
            ).fetchall()
        assert rows == [(True,)] * 6

    def test_an_article_that_changes_while_its_vector_is_stored_changes_the_vector(
        self, dsn: str, news: NewsStore, five: NewsIndex
    ) -> None:
        assert isinstance(five, PostgresNewsIndex)
        with ThreadPoolExecutor(1) as pool, psycopg.connect(dsn, autocommit=True) as watch:
            with five._database.transaction():
                five.put(VERSION, [(name(1), 0)], unit([1, 0]))
                changing = pool.submit(news.put_articles, table(story(1, assets=["XRP"])))
                while not watch.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
                    assert not changing.done()
            changing.result()
        assert ids(self.search(five, wanted=NewsFilter(FAR, frozenset({"XRP"}))).by_vector) == [name(1)]

    def test_words_are_searched_while_the_search_by_meaning_is_under_way(
        self, dsn: str, five: NewsIndex
    ) -> None:
        """Both read the vectors, and here both wait for them at the same time."""
        self.search(five)
        with ThreadPoolExecutor(1) as pool, psycopg.connect(dsn) as holder:
            holder.execute(f"LOCK TABLE news_embeddings_{VERSION.key('binance-1h')}".encode())
            searching = pool.submit(self.search, five)
            while holder.execute("SELECT 1 FROM pg_locks WHERE NOT granted").rowcount < 2:
                assert not searching.done()
            holder.commit()
            found = searching.result()
        assert ids(found.by_vector) == [name(1), name(2), name(3)]
        assert {hit.article_id for hit in found.by_text} == {name(3), name(4), name(5)}

    @pytest.mark.parametrize(("read", "looked_up"), [(4_000, False), (300, True)])
    def test_words_are_not_looked_up_where_all_stories_were_read(
        self, news: NewsStore, five: NewsIndex, monkeypatch: pytest.MonkeyPatch, read: int, looked_up: bool
    ) -> None:
        assert isinstance(five, PostgresNewsIndex)
        common = {200, 201, 202}
        titles = ("Ripple settles" if number in common else "Ripple" for number in range(10, 610))
        news.put_articles(table(*(story(number, title) for number, title in enumerate(titles, 10))))
        monkeypatch.setattr(news_words, "READ", read)
        monkeypatch.setattr(news_words, "MIN_COMMON", 0)
        plans = []
        ask = news_words._ask

        def explain(connection: Connection, query: sql.Composed) -> Search[list[news_words._Found]]:
            plan = yield from ask(connection, sql.SQL("EXPLAIN (ANALYZE) {}").format(query))
            plans.append("\n".join(str(line) for (line,) in plan))  # type: ignore[misc]
            return (yield from ask(connection, query))

        monkeypatch.setattr(news_words, "_ask", explain)
        found = five.search(VERSION, "settled ripple", EAST, ALL, 50).by_text
        assert [hit.article_id for hit in found[:3]] == [name(202), name(201), name(200)]
        [_, _, last] = plans
        assert ("(never executed)" not in last) == looked_up

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


# As if the planner had chosen the index for every filter, and it gave up after 400 passages, a real one after 20,000.
TRAPPED = (
    "-c enable_seqscan=off -c enable_sort=off -c enable_bitmapscan=off -c enable_indexonlyscan=off "
    "-c hnsw.max_scan_tuples=400"
)
QUESTION = unit(np.eye(8)[0])[0]
FEW_NAMED = NewsFilter(FAR, frozenset({"BTC"}))
FEW_KNOWN = NewsFilter(START + timedelta(minutes=FEW))
HALF = NewsFilter(START + timedelta(minutes=FEW + CROWD // 2))


def always_wide(*given: object) -> Search[bool]:
    yield
    return True


def find_elsewhere(*given: object) -> Search[tuple[VectorHit, ...]]:
    yield
    return ELSEWHERE


class TestFilteredSearch:
    """An index is read first and filtered afterwards. Here everything near the question is what the filter refuses."""

    @pytest.fixture
    def index(self, dsn: str) -> PostgresNewsIndex:
        """Stored in bulk."""
        rows, places, vectors = crowd()
        PostgresNews(dsn, "d").put_articles(rows)
        index = PostgresNewsIndex(dsn, "d")
        index.begin_load(WIDE, len(places))
        index.put(WIDE, places, vectors)
        assert index.end_load(WIDE).indexed
        return index

    @pytest.fixture
    def trapped(self, dsn: str, index: PostgresNewsIndex) -> PostgresNewsIndex:
        return PostgresNewsIndex(make_conninfo(dsn, options=TRAPPED), "d")

    def by_index(self, index: PostgresNewsIndex, vector: Vector, wanted: NewsFilter, count: int) -> list[str]:
        with index._database.transaction() as connection:
            if connection.adapters.types.get("vector") is None:
                register_vector(connection)
            question = _Question(WIDE.key("d"), vector, wanted, count)
            return ids(finish(index._search._by_index(connection, question)))

    @pytest.mark.parametrize("wanted", [FEW_NAMED, FEW_KNOWN])
    def test_where_few_match_all_are_measured_and_the_index_is_not_asked(
        self, index: PostgresNewsIndex, monkeypatch: pytest.MonkeyPatch, wanted: NewsFilter
    ) -> None:
        exact = index.nearest(WIDE, QUESTION, wanted, FEW, exact=True)
        assert {hit.article_id for hit in exact} == {name(n) for n in range(FEW)}
        monkeypatch.delattr(NewsSearch, "_by_index")
        assert index.nearest(WIDE, QUESTION, wanted, FEW) == exact
        with pytest.raises(AttributeError):
            index.nearest(WIDE, QUESTION, ALL, FEW)

    @pytest.mark.parametrize("wanted", [FEW_NAMED, FEW_KNOWN])
    def test_where_the_planner_is_wrong_and_the_index_gives_up_no_story_is_lost(
        self, trapped: PostgresNewsIndex, monkeypatch: pytest.MonkeyPatch, wanted: NewsFilter
    ) -> None:
        monkeypatch.setattr(NewsSearch, "_is_wide", always_wide)
        monkeypatch.setattr(news_search, "MEASURED", 10)  # of many that match, these are the newest
        assert len(self.by_index(trapped, QUESTION, wanted, FEW)) < FEW  # the trap is real
        found = trapped.nearest(WIDE, QUESTION, wanted, FEW)
        assert found == trapped.nearest(WIDE, QUESTION, wanted, FEW, exact=True)

    @pytest.mark.parametrize("assets", [frozenset(), frozenset({"ETH"})])
    def test_neither_the_index_nor_what_is_measured_shows_what_was_not_known(
        self, trapped: PostgresNewsIndex, monkeypatch: pytest.MonkeyPatch, assets: frozenset[str]
    ) -> None:
        monkeypatch.setattr(NewsSearch, "_is_wide", always_wide)
        wanted = NewsFilter(HALF.as_of, assets, HALF.as_of - timedelta(minutes=CROWD // 3))
        allowed = {name(FEW + CROWD // 2 - n) for n in range(1, CROWD // 3 + 1)}
        exact = ids(trapped.nearest(WIDE, QUESTION, wanted, FEW, exact=True))
        assert allowed.issuperset(exact)
        assert allowed.issuperset(self.by_index(trapped, QUESTION, wanted, FEW))
        found = ids(trapped.nearest(WIDE, QUESTION, wanted, FEW))
        assert allowed.issuperset(found)
        assert len(set(found) & set(exact)) >= FEW - 1

    def test_the_newest_stories_are_found_though_no_link_of_the_index_may_lead_to_them(
        self, index: PostgresNewsIndex, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(NewsSearch, "_by_index", find_elsewhere)
        found = index.nearest(WIDE, unit(np.eye(8)[1])[0], ALL, FEW)
        assert found == index.nearest(WIDE, unit(np.eye(8)[1])[0], ALL, FEW, exact=True)
        assert {hit.article_id for hit in found} == {name(n) for n in range(FEW + CROWD, 2 * FEW + CROWD)}

    def test_the_newest_thousand_are_stories_however_many_passages_they_have(
        self, dsn: str, index: PostgresNewsIndex, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The story that is asked for is the thousandth; each newer one has a second passage."""
        first = FEW + CROWD + FEW - news_search.MEASURED
        newer = range(first + 1, first + news_search.MEASURED)
        away = -np.eye(8)[1]
        index.put(WIDE, [(name(first), 0)], unit(np.eye(8)[7]))
        places = [(name(number), passage) for number in newer for passage in (0, 1)]
        index.put(WIDE, places, unit(*[away] * len(places)))
        monkeypatch.setattr(NewsSearch, "_by_index", find_elsewhere)
        assert ids(index.nearest(WIDE, unit(np.eye(8)[7])[0], ALL, FEW))[0] == name(first)

    def test_the_index_finds_what_exact_search_finds_a_group_far_from_the_others_too(
        self, trapped: PostgresNewsIndex
    ) -> None:
        shared = 0
        questions = [*crowd()[2][FEW : FEW + CROWD : CROWD // 8], np.eye(8)[1], -np.eye(8)[0]]
        for vector in unit(*questions):
            exact = ids(trapped.nearest(WIDE, vector, ALL, 10, exact=True))
            shared += len(set(self.by_index(trapped, vector, ALL, 10)) & set(exact))
        assert shared >= 10 * len(questions) - 1

    def test_a_bulk_load_drops_the_index_and_builds_it_behind(self, index: PostgresNewsIndex) -> None:
        with index._database.transaction() as connection:
            index.begin_load(WIDE, 10)
            assert index._state(connection, WIDE).indexed  # a few rows are added to the index that is there
            index.begin_load(WIDE, news_index.BULK + CROWD)
            assert not index._state(connection, WIDE).indexed
        found = index.nearest(WIDE, crowd()[2][0], ALL, 3)  # meanwhile searches are exact
        assert found == index.nearest(WIDE, crowd()[2][0], ALL, 3, exact=True)
        assert index.end_load(WIDE).indexed
