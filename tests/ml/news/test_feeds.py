"""RSS and Atom as readings, with a feed that is no feed, is a bomb, or says nonsense."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from ml.news.feed_text import MAX_ATTRIBUTES, plain_text
from ml.news.feeds import Feed, FeedReader, parse_feed, web_address
from ml.news.fetch import FetchLimits, Page
from ml.news.reading import Entry, Reading, ReadingRules, reading
from tests.ml.news.news_server import NewsServer, item, page, rss, serving
from trading.errors import NewsUnreachable
from trading.ports import ARTICLE_SCHEMA

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
RULES = ReadingRules(frozenset({"en"}), timedelta(hours=24))
FEED = Feed("Paper", "https://paper.example/rss", "en")
ATOM = b"""<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en"><title>Paper</title><updated>2026-12-01T11:00:00Z</updated>
<entry><id>tag:1</id><title type="html">Ripple &amp;amp; bank sign</title>
<link href="https://paper.example/1?utm_source=rss&amp;id=7#top"/>
<published>2026-12-01T12:30:00+02:00</published><summary>Short.</summary>
<content type="html">&lt;p&gt;A &lt;b&gt;bank&lt;/b&gt; signs.&lt;/p&gt;&lt;script&gt;alert(1)&lt;/script&gt;</content>
</entry></feed>"""


@pytest.fixture
def server() -> Iterator[NewsServer]:
    with serving(NewsServer()) as made:
        yield made


def entries(body: bytes, content_type: str = "") -> list[Entry]:
    return parse_feed(FEED, Page(body, content_type))


def read(body: bytes, rules: ReadingRules = RULES, now: datetime = NOW) -> Reading:
    return reading(entries(body), now, rules, "Paper")


def test_an_rss_item_is_an_article_that_is_known_when_it_was_fetched() -> None:
    [row] = read(rss(item("Bitcoin rises", "Tue, 01 Dec 2026 11:30:00 GMT"))).articles.to_dicts()
    assert (row["published_at"], row["known_at"]) == (NOW - timedelta(minutes=30), NOW)
    assert (row["source"], row["title"], row["text"]) == ("Paper", "Bitcoin rises", "Text.")
    assert (row["url"], row["language"], row["date_only"]) == ("https://paper.example/1", "en", False)


def test_an_atom_entry_is_read_with_its_zone_its_content_and_no_markup() -> None:
    found = read(ATOM).articles
    assert found.schema == ARTICLE_SCHEMA
    [row] = found.to_dicts()
    assert row["published_at"] == NOW - timedelta(hours=1, minutes=30)
    assert (row["title"], row["text"]) == ("Ripple & bank sign", "A bank signs.")
    assert row["url"] == "https://paper.example/1?id=7"


@pytest.mark.parametrize(
    "date", ["2026-12-01", "01 Dec 2026", "Tue, 01 Dec 2026 00:00:00 GMT", "Tue, 01 Dec 2026 00:00:00 -0500"]
)
def test_a_day_without_a_clock_time_is_marked_as_such(date: str) -> None:
    [row] = read(rss(item("Bitcoin rises", date))).articles.to_dicts()
    assert (row["published_at"], row["date_only"]) == (datetime(2026, 12, 1, tzinfo=UTC), True)
    assert row["known_at"] == NOW


def test_ten_in_the_morning_is_a_clock_time() -> None:
    assert not read(rss(item("A", "Tue, 01 Dec 2026 10:00:00 GMT"))).articles["date_only"].item()


def test_a_stamp_of_the_future_is_the_mistake_of_the_source() -> None:
    [row] = read(rss(item("Bitcoin rises", "Tue, 01 Dec 2026 18:00:00 GMT"))).articles.to_dicts()
    assert row["published_at"] == row["known_at"] == NOW


def test_what_is_old_undated_empty_or_of_another_language_is_left_out_and_counted() -> None:
    fresh, day = "Tue, 01 Dec 2026 11:30:00 GMT", "2026-11-30"
    body = rss(
        item("Old", "Mon, 30 Nov 2026 11:59:00 GMT"), item("Undated", "yesterday"), item("", fresh, ""),
        item("Deutsch", fresh) + "<dc:language xmlns:dc='http://purl.org/dc/elements/1.1/'>de-AT</dc:language>",
        item("Of the day before", day), item("News", fresh, link="https://paper.example/2"),
    )  # fmt: skip
    found = read(body)
    assert sorted(found.articles["title"]) == ["News", "Of the day before"]
    assert dict(found.left_out) == {"old": 1, "undated": 1, "without text": 1, "in another language": 1}


@pytest.mark.parametrize("date", ["9999-12-31", "Fri, 31 Dec 9999 23:59:59 GMT", "2027-01-01", "0001-01-01"])
def test_an_impossible_date_costs_its_entry_alone(date: str) -> None:
    found = read(rss(item("Far", date), item("News", "Tue, 01 Dec 2026 11:30:00 GMT")))
    assert found.articles["title"].to_list() == ["News"]
    assert found.left_out.total() == 1


def test_an_entry_whose_language_nobody_knows_is_read() -> None:
    body = rss(item("News", "Tue, 01 Dec 2026 11:30:00 GMT")).replace(b"<language>en-us</language>", b"")
    found = reading(parse_feed(Feed("Paper", "https://x.example"), Page(body, "")), NOW, RULES, "Paper")
    assert found.articles["language"].to_list() == [""]


def test_the_same_entry_is_the_same_article_also_when_its_text_or_time_changes_later() -> None:
    first = read(rss(item("Bitcoin rises", "Tue, 01 Dec 2026 11:30:00 GMT", "Text."))).articles
    later = read(
        rss(item("Bitcoin rises", "Tue, 01 Dec 2026 11:45:00 GMT", "More.")), now=NOW + timedelta(hours=1)
    ).articles
    renamed = read(rss(item("Bitcoin rises again", "Tue, 01 Dec 2026 11:30:00 GMT"))).articles
    assert first["article_id"].item() == later["article_id"].item() != renamed["article_id"].item()


def test_a_feed_without_entries_is_a_quiet_day_and_no_error() -> None:
    assert read(rss()).articles.is_empty()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\x00\xff\xfe garbage", b"<html><body>Please turn on JavaScript</body></html>", b'{"items": []}',
        rss(item("Bitcoin rises", "Tue, 01 Dec 2026 11:30:00 GMT"))[:-40],
        rss(item("A", "never")), b"<rss>" + b"\x01\x02" * 50 + b"</rss>",
        b'<?xml version="1.0" encoding="utf-7"?><rss version="2.0"></rss>',
    ],
    ids=["nothing", "bytes", "a page", "json", "cut off", "no dates", "control characters", "utf-7"],
)  # fmt: skip
def test_garbage_is_an_error_and_no_quiet_day(body: bytes) -> None:
    with pytest.raises(NewsUnreachable, match="Paper"):
        read(body)


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BOMBS = {
    "billion laughs": f'<!DOCTYPE r [<!ENTITY l0 "ha">{LAUGHS}]>',
    "one long entity": f'<!DOCTYPE r [<!ENTITY l9 "{"a" * 100_000}">]>',
    "a file of this machine": '<!DOCTYPE r [<!ENTITY l9 SYSTEM "file:///etc/hostname">]>',
    "a parameter": '<!DOCTYPE r [<!ENTITY % l9 SYSTEM "http://127.0.0.1/x"> %l9;]>',
}


def test_a_feed_of_a_million_elements_is_refused_unread() -> None:
    with pytest.raises(NewsUnreachable, match="elements"):
        read(b"<rss version='2.0'>" + b"<a>" * 200_000 + b"</rss>")


def with_attributes(count: int) -> bytes:
    names = " ".join(f"a{number}='>'" for number in range(count))
    return rss(item("News", "Tue, 01 Dec 2026 11:30:00 GMT") + f"<x {names}/>")


def test_attributes_of_an_element_are_counted_before_anything_parses_them() -> None:
    assert read(with_attributes(MAX_ATTRIBUTES)).articles.height == 1
    with pytest.raises(NewsUnreachable, match=f"an element has {MAX_ATTRIBUTES + 1} attributes, at most 100"):
        read(with_attributes(MAX_ATTRIBUTES + 1))


def test_attributes_of_all_elements_are_bounded_together() -> None:
    many = "<x " + " ".join(f'a{number}="1"' for number in range(MAX_ATTRIBUTES)) + "/>"
    with pytest.raises(NewsUnreachable, match="160001 attributes, at most 150000 are read"):
        read(rss(item("News", "Tue, 01 Dec 2026 11:30:00 GMT") + many * 1600))


@pytest.mark.parametrize(
    "reference", ["&#xD800;", "&#55296;", "&#x110000;", "&#1;", "&#99999999999999999999;"]
)
def test_a_reference_to_what_is_no_character_costs_that_character_alone(reference: str) -> None:
    body = rss(item(f"Bit{reference}coin &#x26; more", "Tue, 01 Dec 2026 11:30:00 GMT"))
    assert read(body).articles["title"].item() == "Bit\ufffdcoin & more"


def test_a_reference_without_end_is_looked_at_once() -> None:
    body = rss(item("News", "Tue, 01 Dec 2026 11:30:00 GMT", "&#" + "0" * 200_000))
    assert read(body).articles["title"].to_list() == ["News"]
    assert plain_text("Up &#" + "0" * 5000 + "65; &#x41;", 20_000) == "Up \ufffd A"


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_feed_that_declares_entities_is_refused_unread(kind: str, encoding: str) -> None:
    body = f"{BOMBS[kind]}<rss version='2.0'><channel><item><title>&l9;</title></item></channel></rss>"
    with pytest.raises(NewsUnreachable, match="entities"):
        read(body.encode(encoding))


@pytest.mark.parametrize(
    ("encoding", "title"),
    [("iso-8859-1", "Zürich kauft Bitcoin"), ("windows-1251", "Биткоин"), ("utf-16", "Zürich")],
)
def test_a_feed_is_read_in_the_encoding_that_it_states(encoding: str, title: str) -> None:
    text = rss(item(title, "Tue, 01 Dec 2026 11:30:00 GMT")).decode().replace("UTF-8", encoding)
    assert read(text.encode(encoding)).articles["title"].item() == title


def test_a_feed_with_an_ampersand_too_many_is_still_read() -> None:
    body = rss(item("Bonds & bitcoin&nbsp;rise", "Tue, 01 Dec 2026 11:30:00 GMT"))
    assert read(body).articles["title"].item() == "Bonds & bitcoin rise"


def test_text_is_plain_bounded_and_without_what_nobody_sees() -> None:
    assert (
        plain_text("<p>Bit\u200bcoin <a href='x'>rises</a>\u202e</p><!-- hidden -->\x00", 100)
        == "Bitcoin rises"
    )
    assert plain_text("Bit\ufe0fco\U000e0151in\u034f \u3164r\u1160ises&#xFFA0;", 100) == "Bitcoin rises"
    assert plain_text("&lt;b&gt;Up&lt;/b&gt; 5 &lt; 6", 100) == "Up 5 < 6"
    assert len(plain_text("word " * 10_000, 500)) <= 500
    footer = "Fees fall. The post Fees fall appeared first on Bitcoin Magazine."
    assert plain_text(footer, 500) == "Fees fall."


@pytest.mark.parametrize(
    ("link", "kept"),
    [
        ("https://p.example/live#2", "#2"), ("https://p.example/live?a=1#block-7", "#block-7"),
        ("https://p.example/a#comments", ""), ("https://p.example/a#utm_source=rss", ""),
        ("https://p.example/a#:~:text=bitcoin", ""), ("https://p.example/a#xtor=RSS-1", ""),
    ],
)  # fmt: skip
def test_an_address_keeps_which_item_of_a_page_it_names(link: str, kept: str) -> None:
    assert web_address(link) == link.partition("#")[0] + kept


def test_the_reader_fetches_and_names_itself_where_it_fails(server: NewsServer) -> None:
    server.answers = {"/rss": page(rss(item("Bitcoin rises", "Tue, 01 Dec 2026 11:30:00 GMT")))}
    limits = FetchLimits(100_000, 5)
    found = FeedReader(Feed("Paper", f"{server.url}/rss"), RULES, limits, lambda: NOW).read()
    assert found.articles["title"].to_list() == ["Bitcoin rises"]
    with pytest.raises(NewsUnreachable, match=r"Paper: .*404"):
        FeedReader(Feed("Paper", f"{server.url}/gone"), RULES, limits, lambda: NOW).read()
