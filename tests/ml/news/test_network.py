"""All sources on the network together: one that fails silences no other, and all that fail are no quiet day."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from ml.news.network import MAX_THREADS, NetworkNews
from ml.news.reading import Entry, Reading, ReadingRules, reading
from trading.errors import NewsUnreachable, NotAuthorised

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
DAY = (NOW.replace(hour=0), NOW.replace(hour=0) + timedelta(days=1))
RULES = ReadingRules(frozenset({"en"}), timedelta(hours=24))


class Paper:
    def __init__(self, name: str, *titles: str, error: Exception | None = None) -> None:
        self.name, self.titles, self.error = name, titles, error
        self.asked = 0

    def read(self) -> Reading:
        self.asked += 1
        if self.error:
            raise self.error
        found = [Entry(title, self.name, title, "Text.", "", "en", NOW) for title in self.titles]
        return reading(found, NOW, RULES, self.name)


def news(*papers: object, seconds: float = 5) -> NetworkNews:
    return NetworkNews(papers, lambda: NOW, seconds)  # type: ignore[arg-type]


def test_the_articles_of_all_sources_are_those_of_now() -> None:
    source = news(Paper("A", "one", "two"), Paper("B", "one"))
    assert sorted(source.articles(*DAY)["title"]) == ["one", "one", "two"]
    assert source.refused == ()


def test_of_another_day_nobody_is_asked() -> None:
    paper = Paper("A", "one")
    yesterday = (DAY[0] - timedelta(days=1), DAY[0])
    assert news(paper).articles(*yesterday).is_empty()
    assert paper.asked == 0


def test_a_source_that_fails_is_named_and_the_others_are_read() -> None:
    source = news(
        Paper("A", "one"),
        Paper("B", error=NewsUnreachable("B: gone")),
        Paper("C", error=NotAuthorised("C: key")),
    )
    assert source.articles(*DAY)["title"].to_list() == ["one"]
    assert source.refused == ("B: gone", "C: key")


def test_what_nobody_foresaw_of_one_source_stops_that_source_alone() -> None:
    found = news(Paper("A", "one"), Paper("B", error=OverflowError("date value out of range"))).read()
    assert found.articles["title"].to_list() == ["one"]
    assert found.failures == ("B: it cannot be read: OverflowError: date value out of range",)


def test_where_all_fail_it_is_an_error() -> None:
    with pytest.raises(NewsUnreachable, match="A: gone"):
        news(Paper("A", error=NewsUnreachable("A: gone"))).articles(*DAY)


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_sources_that_nobody_got_round_to_did_not_answer_in_time(release: threading.Event) -> None:
    class Hanging(Paper):
        def read(self) -> Reading:
            release.wait()
            return super().read()

    hanging = [Hanging(f"H{number}") for number in range(MAX_THREADS + 1)]
    with pytest.raises(NewsUnreachable, match=f"H{MAX_THREADS}: it did not answer in time"):
        news(*hanging, seconds=0.2).read()


def test_a_source_that_hangs_is_left_behind(release: threading.Event) -> None:
    class Hanging(Paper):
        def read(self) -> Reading:
            release.wait()
            return super().read()

    found = news(Hanging("H"), Paper("A", "one"), seconds=0.2).read()
    assert found.articles["title"].to_list() == ["one"]
    assert found.failures == ("H: it did not answer in time",)
