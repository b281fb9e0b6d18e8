"""One wire story that several papers print counts once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from ml.news.description import describe, first_tellings
from ml.news.files import read_news
from ml.news.headlines import bare_headline, content_words
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


def test_a_new_title_of_the_same_page_is_judged_anew() -> None:
    url = "https://wire.example/1"
    titles = (
        "Binance denies that XRP was stolen",
        "Binance confirms hack: XRP worth $1 billion stolen",
        "It will appeal",
    )
    pages = [article(n, "Wire", title, OPENING, url, minutes=n) for n, title in enumerate(titles)]
    assert stories(*pages) == ["0", "1", "2"]


def test_items_of_one_address_are_stories_of_their_own() -> None:
    titles = (
        "Bitcoin rises after ETF news",
        "Kraken hacked, XRP withdrawals stopped",
        "SEC sues Ripple over XRP",
    )
    home = [
        article(n, "Paper", title, "", "https://paper.example/", minutes=n) for n, title in enumerate(titles)
    ]
    assert stories(*home) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Binance halts withdrawals, says funds are safe", "Binance halts withdrawals, says funds are stolen"),
        ("SEC approves spot bitcoin ETFs, agency says", "FALSE: SEC approves spot bitcoin ETFs, agency says"),
        ("SEC approves spot bitcoin ETFs, agency says", "SEC hasn't approved spot bitcoin ETFs, agency says"),
        ("Bitcoin falls 5% in a day as traders sell", "Bitcoin falls 25% in a day as traders sell"),
        ("Court rules in favor of Ripple in lawsuit over XRP", "Court rules against Ripple in lawsuit over XRP"),
        ("Ripple sues SEC over XRP", "SEC sues Ripple over XRP"),
        ("Kraken halts withdrawals of XRP", "Kraken halts withdrawals of XRP after theft of $1 billion"),
        ("Grayscale files to convert its XRP trust", "Grayscale files to convert its Solana trust"),
        ("Binance holds all funds in cold storage", "CORRECTED: Binance holds all funds in cold storage"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("text", ["", "Read more."])
def test_what_says_otherwise_in_nearly_the_same_words_is_a_story_of_its_own(
    first: str, second: str, text: str
) -> None:
    assert stories(article(0, "Wire", first, text), article(1, "Daily", second, text, hours=1)) == ["0", "1"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("12 million", "120 million"),
        ("without asking", "after asking"),
        ("fined", "did not fine"),
        ("The", "Correction: the"),
        ("listing", "delisting"),
        ("fined", "will meet"),
    ],
)
def test_another_number_or_a_denial_in_the_text_is_a_story_of_its_own(old: str, new: str) -> None:
    later = article(1, "Daily", text=OPENING.replace(old, new), hours=1)
    assert stories(article(0, "Wire"), later) == ["0", "1"]


@pytest.mark.parametrize(
    "title",
    ["Bitcoin drops below $60,000 as banks sell", "SEC sues Binance", "Ripple's boss: “we won”, again"],
)
@pytest.mark.parametrize("text", ["", OPENING])
def test_marks_names_of_papers_and_signs_make_no_story(title: str, text: str) -> None:
    printed = [
        title, f"UPDATE 1-{title}", f"BREAKING: {title}", f"{title} - Paper 3", f"{title} | Reuters",
        f"{title} - The Post",
        title.replace("’", "'").replace("“", '"').replace("”", '"'), title.replace("$60,000", "60.000 $").upper(),
    ]  # fmt: skip
    papers = [article(n, f"Paper {n}", each, text, minutes=n) for n, each in enumerate(printed)]
    assert stories(*papers) == ["0"] * len(papers)


@pytest.mark.parametrize(
    ("title", "source", "bare"),
    [
        ("Bitcoin falls below $60,000 - Coin Gazette", "Wire", "Bitcoin falls below $60,000"),
        ("Bitcoin falls below $60,000 - The Hodl Letter", "Wire", "Bitcoin falls below $60,000"),
        ("Binance halts withdrawals - Funds Stolen", "Wire", "Binance halts withdrawals - Funds Stolen"),
        ("Binance halts withdrawals | Report Denied", "Wire", "Binance halts withdrawals | Report Denied"),
        ("Bitcoin Falls - What Now", "Wire", "Bitcoin Falls - What Now"),
        ("🚨 BREAKING: UPDATE 2-Bitcoin falls", "Wire", "Bitcoin falls"),
        ("Update on the hack", "Wire", "Update on the hack"),
        ("BREAKING Bitcoin falls", "Wire", "Bitcoin falls"),
        ("BREAKING THE BANK", "Wire", "BREAKING THE BANK"),
        ("CORRECTED-Bitcoin falls", "Wire", "CORRECTED-Bitcoin falls"),
        ("Breaking: ", "Wire", "Breaking: "),
        ("Wire", "Wire", "Wire"),
    ],
)
def test_of_a_headline_only_what_a_paper_adds_is_taken_away(title: str, source: str, bare: str) -> None:
    assert bare_headline(title, source) == bare


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("$60,000", "60000"), ("60.000 $", "60000"), ("60k", "60000"), ("$1.5 billion", "1500000000"), ("0.500", "0.5"),
        ("1.5bn", "1500000000"), ("5 percent", "5"), ("two", "2"), ("1,234.50", "1234.5"), ("５", "5"),
    ],
)  # fmt: skip
def test_a_number_is_its_value_however_it_is_written(text: str, number: str) -> None:
    assert content_words(text) == [number]


def test_words_made_to_be_tried_in_every_way_are_read_once() -> None:
    shouted = f"Bitcoin falls heavily - {'A' * 480}!"
    assert bare_headline(shouted, "Wire") == shouted
    assert len(content_words("1." * 50_000 + "1a")) > 5_000
    assert content_words("9" * 50_000) == ["9" * 50_000]


def test_of_one_reading_the_article_that_was_published_first_tells_the_story() -> None:
    late, early = article(1, "Daily"), article(2, "Wire") | {"published_at": NOON - timedelta(minutes=5)}
    assert stories(late, early) == ["2", "2"]


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
