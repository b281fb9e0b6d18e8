"""One wire story that several papers print counts once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from ml.news.description import describe, first_tellings
from ml.news.files import read_news
from ml.news.stories import WINDOW
from trading.ports import ARTICLE_SCHEMA, DESCRIBED_SCHEMA

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
HEADLINE = "Regulator fines exchange over XRP listing rules"
OPENING = "The regulator fined the exchange 12 million on Tuesday for listing XRP without asking for approval first."
CASE = Path(__file__).parents[3] / "../shared/cases/case-14_syndicated.csv"


def article(
    number: int, source: str, title: str = HEADLINE, text: str = OPENING, url: str = "", **at: float
) -> dict[str, object]:
    known_at = NOON + timedelta(**at)
    return {
        "article_id": f"article-{number}", "published_at": known_at, "known_at": known_at, "source": source,
        "title": title, "text": text, "url": url, "language": "en", "date_only": False,
    }  # fmt: skip


def table(*articles: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(list(articles), ARTICLE_SCHEMA)


def stories(*articles: dict[str, object]) -> list[str]:
    """Return the story of each article, in the order in which they were known."""
    return [name.removeprefix("article-") for name in describe(table(*articles))["story_id"]]


def test_a_wire_story_of_four_papers_is_one_story() -> None:
    papers = ["Wire", "Daily", "Mirror", "Post"]
    assert stories(*(article(n, paper, minutes=n) for n, paper in enumerate(papers))) == ["0"] * 4


def test_the_first_that_was_known_tells_it_in_whatever_order_they_come() -> None:
    late, early = article(1, "Daily", minutes=5), article(2, "Wire", minutes=0)
    assert stories(late, early) == ["2", "2"]


@pytest.mark.parametrize(
    ("title", "text"),
    [
        (f"{HEADLINE} - Daily", OPENING),
        (HEADLINE.upper(), OPENING.replace(",", " ,")),
        (HEADLINE, OPENING[:40]),
        (HEADLINE.replace("fines", "punishes"), OPENING),
        (HEADLINE, f"{OPENING} More follows in our newsletter."),
    ],
    ids=["name behind the title", "spelling", "cut", "another word", "an addition"],
)
def test_a_copy_with_small_changes_is_the_same_story(title: str, text: str) -> None:
    assert stories(article(0, "Wire"), article(1, "Daily", title, text, hours=1)) == ["0", "0"]


@pytest.mark.parametrize(
    ("title", "text"),
    [
        (
            "Bank adds XRP custody in Peru",
            "The bank said on Tuesday that customers may keep XRP from June on.",
        ),
        (
            "Regulator fines broker over accounting",
            "The regulator fined the broker 3 million for late accounts in April.",
        ),
        (
            HEADLINE,
            "Exchange appeals: its lawyers said that the court, and not an agency, decides what is a security.",
        ),
    ],
    ids=["another subject", "like it", "the same headline over another text"],
)
def test_another_story_stays_its_own(title: str, text: str) -> None:
    assert stories(article(0, "Wire"), article(1, "Daily", title, text, hours=1)) == ["0", "1"]


def test_what_comes_after_the_window_is_news_again() -> None:
    after = WINDOW + timedelta(minutes=1)
    assert stories(article(0, "Wire"), article(1, "Daily", seconds=after.total_seconds())) == ["0", "1"]
    assert stories(article(0, "Wire"), article(1, "Daily", seconds=WINDOW.total_seconds())) == ["0", "0"]


def test_copies_do_not_prolong_a_story() -> None:
    assert stories(article(0, "Wire"), article(1, "Daily", hours=40), article(2, "Post", hours=60)) == [
        "0",
        "0",
        "2",
    ]


def test_a_new_title_of_the_same_page_is_the_same_story() -> None:
    url = "https://wire.example/1"
    assert stories(
        article(0, "Wire", url=url), article(1, "Wire", "Exchange to appeal", "It will.", url, hours=1)
    ) == ["0", "0"]


def test_a_source_without_addresses_that_writes_alike_repeats_nothing() -> None:
    assert stories(article(0, "Column"), article(1, "Column", hours=20)) == ["0", "1"]
    pages = [article(n, "Paper", url=f"https://paper.example/{n}", hours=n) for n in range(2)]
    assert stories(*pages) == ["0", "0"]


def test_words_that_every_article_of_a_paper_begins_with_tell_no_story() -> None:
    habit = "Good morning and welcome to our daily look at digital money."
    titles = ("Miners sell", "A bank in Peru", "Fees fall again", "Judges at work")
    rest = (
        "They need cash in June.",
        "It keeps coins now.",
        "Blocks were empty.",
        "The court meets on Monday.",
    )
    papers = [
        article(n, f"paper-{n}", title, f"{habit} {text}", minutes=n)
        for n, (title, text) in enumerate(zip(titles, rest, strict=True))
    ]
    assert stories(*papers) == ["0", "1", "2", "3"]


def test_a_story_of_the_day_before_is_found_among_what_was_stored() -> None:
    first, copy = article(0, "Wire"), article(1, "Daily", hours=20)
    again = article(2, "Post", hours=21)
    stored = describe(table(first))
    assert describe(table(copy, again), stored)["story_id"].to_list() == ["article-0"] * 2
    both = describe(table(first, copy))
    assert first_tellings(both)["article_id"].to_list() == ["article-0"]
    assert describe(table(again), both)["story_id"].to_list() == ["article-0"]


def test_a_description_has_the_assets_of_title_and_opening_and_the_same_words_have_the_same_hash() -> None:
    found = describe(
        table(
            article(0, "Wire"),
            article(1, "Daily", f"{HEADLINE} | Daily", minutes=1),
            article(2, "Post", "Quiet day", "Nothing.", minutes=2),
        )
    )
    assert found.schema == DESCRIBED_SCHEMA
    assert found["assets"].to_list() == [["XRP"], ["XRP"], []]
    first, second, third = found["content_hash"]
    assert first == second != third


def test_no_articles_are_described_as_none() -> None:
    assert describe(table()).schema == DESCRIBED_SCHEMA


@pytest.mark.skipif(not CASE.is_file(), reason="the collected cases are not here")
def test_the_collected_case_is_one_story() -> None:
    assert first_tellings(describe(read_news(CASE).articles)).height == 1
