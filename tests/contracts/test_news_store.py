import datetime as dt

import polars as pl
import pytest

from tests.doubles.stores import MemoryNews
from trading.errors import InvalidValue
from trading.ports import DESCRIBED_SCHEMA, SENTIMENT_SCHEMA, STORED_SCHEMA, NewsStore
from trading.stores.postgres import PostgresNews

MIDNIGHT = dt.datetime(2020, 2, 21, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
FAR = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


def articles(*hours: int) -> pl.DataFrame:
    rows = [
        {
            "article_id": f"article-{hour}", "published_at": MIDNIGHT, "known_at": MIDNIGHT + hour * HOUR,
            "source": "test", "title": f"Title {hour}", "text": 'Bitcoin\'s "rally" — 100 %', "url": "",
            "language": "en", "date_only": hour == 1, "assets": ["BTC", "XRP"][: hour % 3],
            "content_hash": f"hash-{hour}", "story_id": f"article-{hour}",
        }
        for hour in hours
    ]  # fmt: skip
    return pl.DataFrame(rows, DESCRIBED_SCHEMA, orient="row")


def sentiment(hour: int = 0, score: float = 0.5, **changes: object) -> pl.DataFrame:
    row = {
        "article_id": f"article-{hour}", "asset": "BTC", "known_at": MIDNIGHT + hour * HOUR, "score": score,
        "confidence": 0.8, "model": "lexicon", "prompt_hash": "", "cost_usd": 0.0, **changes,
    }  # fmt: skip
    return pl.DataFrame([row], SENTIMENT_SCHEMA, orient="row")


class NewsStoreContract:
    """Every news store keeps these promises."""

    @pytest.fixture
    def news(self) -> NewsStore:
        raise NotImplementedError

    def test_known_articles_are_left_alone(self, news: NewsStore) -> None:
        assert news.put_articles(articles(1, 2)) == 2
        changed = articles(2, 3, 3).with_columns(title=pl.lit("changed"))
        assert news.put_articles(changed) == 1
        assert news.articles(MIDNIGHT, FAR)["title"].to_list() == ["Title 1", "Title 2", "changed"]

    def test_of_a_known_article_what_is_found_in_it_is_replaced_and_what_was_said_of_it_stays(
        self, news: NewsStore
    ) -> None:
        news.put_articles(articles(1, 2))
        [before, _] = news.articles(MIDNIGHT, FAR)["ingested_at"]
        found = {"assets": pl.lit(["ETH"]), "content_hash": pl.lit("new"), "story_id": pl.lit("article-1")}
        told = {"language": pl.lit("de"), "known_at": pl.lit(FAR).cast(STORED_SCHEMA["known_at"])}
        assert news.put_articles(articles(1, 2).with_columns(**found, **told)) == 0
        after = news.articles(MIDNIGHT, FAR)
        assert after["assets"].to_list() == [["ETH"], ["ETH"]]
        assert after["story_id"].to_list() == ["article-1"] * 2
        assert after["language"].to_list() == ["en", "en"]
        assert after["ingested_at"][0] == before

    def test_an_article_knows_when_it_was_stored(self, news: NewsStore) -> None:
        news.put_articles(articles(1))
        [first] = news.articles(MIDNIGHT, FAR)["ingested_at"]
        news.put_articles(articles(1, 2))
        [again, second] = news.articles(MIDNIGHT, FAR)["ingested_at"]
        assert first == again < second

    def test_what_is_stored_is_known(self, news: NewsStore) -> None:
        news.put_articles(articles(1, 2))
        assert news.stored(["article-1", "article-3"]) == {"article-1"}
        assert news.stored([]) == set()

    def test_a_story_counts_once_also_where_a_copy_of_it_was_judged(self, news: NewsStore) -> None:
        copies = articles(1, 2, 3).with_columns(story_id=pl.lit("article-1"))
        news.put_articles(pl.concat([copies, articles(4)]))
        news.put_sentiment(pl.concat([sentiment(hour) for hour in (1, 2, 3, 4)]))
        assert news.sentiment("BTC", MIDNIGHT, FAR)["article_id"].to_list() == ["article-1", "article-4"]

    def test_articles_come_back_as_they_went_in_by_time(self, news: NewsStore) -> None:
        news.put_articles(articles(3, 1, 2))
        assert news.articles(MIDNIGHT, FAR).drop("ingested_at").equals(articles(1, 2, 3))

    def test_the_interval_includes_its_start_and_not_its_end(self, news: NewsStore) -> None:
        news.put_articles(articles(1, 2, 3))
        found = news.articles(MIDNIGHT + HOUR, MIDNIGHT + 3 * HOUR)
        assert found["article_id"].to_list() == ["article-1", "article-2"]

    def test_no_articles_is_an_empty_table_with_all_columns(self, news: NewsStore) -> None:
        assert news.put_articles(articles()) == 0
        assert news.articles(MIDNIGHT, FAR).schema == STORED_SCHEMA
        assert news.sentiment("BTC", MIDNIGHT, FAR).schema == SENTIMENT_SCHEMA

    def test_a_table_with_other_columns_is_refused(self, news: NewsStore) -> None:
        with pytest.raises(InvalidValue, match="columns"):
            news.put_articles(articles(1).drop("url"))
        with pytest.raises(InvalidValue, match="no title"):
            news.put_articles(articles(1).with_columns(title=pl.lit(None, pl.String)))

    def test_articles_are_read_by_id(self, news: NewsStore) -> None:
        news.put_articles(articles(3, 1, 2))
        found = news.read(["article-3", "article-1", "article-9"])
        assert found["article_id"].to_list() == ["article-1", "article-3"]
        assert found.schema == STORED_SCHEMA
        assert news.read([]).schema == STORED_SCHEMA

    def test_sentiment_is_replaced_by_article_asset_and_model(self, news: NewsStore) -> None:
        news.put_articles(articles(0))
        news.put_sentiment(pl.concat([sentiment(score=0.1), sentiment(score=0.2)]))
        news.put_sentiment(pl.concat([sentiment(score=0.3), sentiment(score=0.4, model="qwen")]))
        assert news.sentiment("BTC", MIDNIGHT, FAR)["score"].to_list() == [0.3, 0.4]

    def test_sentiment_is_found_by_asset_and_time(self, news: NewsStore) -> None:
        news.put_articles(articles(0, 1, 2))
        rows = [sentiment(2), sentiment(0), sentiment(1), sentiment(1, asset="XRP")]
        news.put_sentiment(pl.concat(rows))
        found = news.sentiment("BTC", MIDNIGHT, MIDNIGHT + 2 * HOUR)
        assert found.equals(pl.concat([sentiment(0), sentiment(1)]))

    @pytest.mark.parametrize(
        "wrong", [{"score": 1.5}, {"score": float("nan")}, {"confidence": -0.1}, {"cost_usd": float("inf")}]
    )
    def test_impossible_sentiment_is_refused(self, news: NewsStore, wrong: dict[str, float]) -> None:
        with pytest.raises(InvalidValue, match="article-0"):
            news.put_sentiment(
                sentiment().with_columns(**{name: pl.lit(value) for name, value in wrong.items()})
            )
        assert news.sentiment("BTC", MIDNIGHT, FAR).height == 0


class TestMemoryNews(NewsStoreContract):
    @pytest.fixture
    def news(self) -> NewsStore:
        return MemoryNews()


class TestPostgresNews(NewsStoreContract):
    @pytest.fixture
    def news(self, dsn: str) -> NewsStore:
        return PostgresNews(dsn, "binance-1h")

    def test_simulated_news_never_reach_real_decisions(self, dsn: str, news: NewsStore) -> None:
        simulated = PostgresNews(dsn, "simulated-1h")
        simulated.put_articles(articles(0))
        simulated.put_sentiment(sentiment())
        assert news.articles(MIDNIGHT, FAR).height == 0
        assert news.sentiment("BTC", MIDNIGHT, FAR).height == 0

    def test_text_that_postgres_cannot_hold_is_a_clear_error(self, news: NewsStore) -> None:
        with pytest.raises(InvalidValue, match="NUL"):
            news.put_articles(articles(1).with_columns(text=pl.lit("a\0b")))
