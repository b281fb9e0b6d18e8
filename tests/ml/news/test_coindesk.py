"""CoinDesk Data's news interface, as far as its answers are known, over a server on localhost."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ml.news.coindesk import PATH, CoinDeskReader, parse_articles
from ml.news.fetch import FetchLimits
from ml.news.reading import ReadingRules, reading
from tests.ml.news.news_server import NewsServer, page, serving
from trading.errors import NewsUnreachable, NotAuthorised

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
RULES = ReadingRules(frozenset({"en"}), timedelta(hours=24))
LIMITS = FetchLimits(1_000_000, 5)


def article(**changes: Any) -> dict[str, Any]:
    return {
        "TYPE": "121", "ID": 7, "GUID": "https://paper.example/7", "PUBLISHED_ON": int(NOW.timestamp()) - 600,
        "TITLE": "XRP jumps", "BODY": "<p>It did.</p>", "URL": "https://paper.example/7", "LANG": "EN",
        "STATUS": "ACTIVE", "SOURCE_DATA": {"TYPE": "120", "SOURCE_KEY": "paper", "NAME": "Paper"},
        "CATEGORY_DATA": [], "SENTIMENT": "POSITIVE", **changes,
    }  # fmt: skip


def answer(*articles: Any, **error: Any) -> bytes:
    return json.dumps({"Data": list(articles), "Err": error}).encode()


@pytest.fixture
def server() -> Iterator[NewsServer]:
    with serving(NewsServer()) as made:
        yield made


def reader(server: NewsServer, key: str = "one") -> CoinDeskReader:
    return CoinDeskReader(key, RULES, LIMITS, lambda: NOW, server.url)


def test_an_article_is_known_when_it_was_read_and_its_source_is_the_paper(server: NewsServer) -> None:
    server.answers = {PATH: page(answer(article()))}
    [row] = reader(server).read().articles.to_dicts()
    assert (row["published_at"], row["known_at"]) == (NOW - timedelta(minutes=10), NOW)
    assert (row["source"], row["title"], row["text"], row["language"]) == (
        "Paper",
        "XRP jumps",
        "It did.",
        "en",
    )
    [(path, headers)] = server.asked
    assert path == f"{PATH}?lang=EN&limit=100"
    assert headers["Authorization"] == "Apikey one"


def test_without_a_key_nothing_is_asked(server: NewsServer) -> None:
    with pytest.raises(NotAuthorised, match="CRYPTOCOMPARE_API_KEY"):
        reader(server, key="").read()
    assert server.asked == []


def test_a_refused_key_is_not_shown(server: NewsServer) -> None:
    server.answers = {PATH: page(b"{}", 401)}
    with pytest.raises(NotAuthorised) as caught:
        reader(server, key="my-key").read()
    assert "my-key" not in str(caught.value)


def test_an_error_inside_a_good_answer_is_an_error() -> None:
    with pytest.raises(NewsUnreachable, match="API key required"):
        parse_articles(json.dumps({"Data": [], "Err": {"type": 2, "message": "API key required"}}).encode())


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"Err": {}}', answer({"ID": 1}), b"[" * 100_000])
def test_an_answer_of_another_form_is_an_error_and_no_quiet_day(body: bytes) -> None:
    with pytest.raises(NewsUnreachable):
        parse_articles(body)


def test_one_damaged_article_costs_no_other_and_a_withdrawn_one_is_left_out() -> None:
    found = parse_articles(
        answer({"ID": 1}, article(), article(STATUS="REMOVED"), article(PUBLISHED_ON=10**17))
    )
    assert [each.published_at is None for each in found] == [False, True]


def test_an_impossible_date_costs_its_article_alone() -> None:
    body = answer(article(), article(PUBLISHED_ON=253402214400, GUID="far"))  # 31 December 9999, midnight
    found = reading(parse_articles(body), NOW, RULES, "CoinDesk Data")
    assert found.articles.height == 1
    assert dict(found.left_out) == {"dated in the future": 1}


def test_no_article_is_a_quiet_day() -> None:
    assert parse_articles(answer()) == []
