from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from ml.news.articles import article_excerpt, first_sentence
from ml.news.files import NewsFiles, read_folder, read_news
from trading.errors import UnreadableFile
from trading.ports import ARTICLE_SCHEMA

COLLECTED = Path(__file__).parents[3] / "../shared/data/news"
needs_collected_news = pytest.mark.skipif(not COLLECTED.is_dir(), reason="the collected news is not here")

NOON = datetime(2021, 4, 1, 12, 30, tzinfo=UTC)
MIDNIGHT = datetime(2021, 4, 1, tzinfo=UTC)
HEADER = "date;sentiment;source;subject;text;title;url"


def full_parquet(path: Path, rows: list[tuple[datetime | None, str, str]]) -> Path:
    table = pl.DataFrame(
        [(time, title, "https://example.com/a", "Reuters", text) for time, title, text in rows],
        schema={
            "published_at": pl.Datetime("ms", "UTC"),
            "title": pl.String,
            "url": pl.String,
            "source": pl.String,
            "text": pl.String,
        },
        orient="row",
    )
    table.write_parquet(path)
    return path


def csv(path: Path, *lines: str) -> Path:
    path.write_text("\n".join((HEADER, *lines)) + "\n", encoding="utf-8")
    return path


def test_an_article_with_a_clock_time_is_known_when_it_was_published(tmp_path: Path) -> None:
    articles = read_news(full_parquet(tmp_path / "a.parquet", [(NOON, "Title", "Text")])).articles
    assert articles["known_at"].to_list() == [NOON]


def test_a_day_without_a_clock_time_becomes_known_at_the_next_midnight(tmp_path: Path) -> None:
    file = read_news(full_parquet(tmp_path / "a.parquet", [(MIDNIGHT, "Title", "Text")]))
    assert file.articles["published_at"].to_list() == [MIDNIGHT]
    assert file.articles["known_at"].to_list() == [MIDNIGHT + timedelta(days=1)]
    assert file.report.without_clock_time == 1


def test_exact_duplicates_are_stored_once_and_counted(tmp_path: Path) -> None:
    rows = [(NOON, "Title", "Text"), (NOON, "Title", "Text"), (NOON, "Title", "Other text")]
    report = read_news(full_parquet(tmp_path / "a.parquet", list(rows))).report
    assert (report.rows_read, report.rows_stored, report.duplicates_dropped) == (3, 2, 1)


def test_the_same_article_has_the_same_id_in_every_file(tmp_path: Path) -> None:
    first = read_news(full_parquet(tmp_path / "a.parquet", [(NOON, "Title", "Text")]))
    second = read_news(full_parquet(tmp_path / "b.parquet", [(NOON, "Title", "Text")]))
    assert first.articles["article_id"].to_list() == second.articles["article_id"].to_list()


def test_articles_without_a_date_are_dropped_and_counted(tmp_path: Path) -> None:
    report = read_news(full_parquet(tmp_path / "a.parquet", [(None, "A", "a"), (NOON, "B", "b")])).report
    assert (report.rows_stored, report.undated) == (1, 1)


def test_articles_without_title_and_text_are_dropped_and_counted(tmp_path: Path) -> None:
    report = read_news(full_parquet(tmp_path / "a.parquet", [(NOON, " ", ""), (NOON, "B", "b")])).report
    assert (report.rows_stored, report.without_text) == (1, 1)


def test_a_file_without_titles_takes_the_first_sentence_and_its_own_name_as_source(tmp_path: Path) -> None:
    path = tmp_path / "coindesk_2018.parquet"
    pl.DataFrame(
        {"published_at": [NOON], "text": ["U.S. regulators approve a fund. More follows."]}
    ).write_parquet(path)
    row = read_news(path).articles.row(0, named=True)
    assert (row["title"], row["source"]) == ("U.S. regulators approve a fund.", "coindesk")


def test_the_csv_is_read_day_first_and_its_machine_made_sentiment_is_not_used(tmp_path: Path) -> None:
    path = csv(
        tmp_path / "a.csv", "3-4-2022 9:05;{'class': 'positive'};Paper;bitcoin;Text;Title;https://a.com/1"
    )
    articles = read_news(path).articles
    assert articles["published_at"].to_list() == [datetime(2022, 4, 3, 9, 5, tzinfo=UTC)]
    assert articles.schema == ARTICLE_SCHEMA


def test_rows_that_are_newest_first_come_out_oldest_first(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", "2-4-2022 10:00;;P;;b;B;", "1-4-2022 10:00;;P;;a;A;")
    assert read_news(path).articles["title"].to_list() == ["A", "B"]


def test_an_unreadable_date_in_the_csv_is_counted_as_undated(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", "yesterday;;P;;b;B;", "1-4-2022 10:00;;P;;a;A;")
    assert read_news(path).report.undated == 1


def test_a_host_that_was_written_twice_is_written_once(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", "1-4-2022 10:00;;P;;a;A;https://a.comhttps://a.com/news?to=https://b.com")
    assert read_news(path).articles["url"].to_list() == ["https://a.com/news?to=https://b.com"]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.parquet", b"", "cannot be read"),
        ("a.parquet", b"PAR1 but not really", "cannot be read"),
        ("a.csv", b"", "it lacks date"),
        ("a.csv", b"one;two\n1;2\n", "it lacks date, source, text, title, url"),
        ("a.csv", f"{HEADER}\n".encode(), "holds no articles"),
        ("a.txt", b"words", r"read from \.csv and \.parquet"),
    ],
)
def test_a_file_that_is_no_news_is_refused_with_its_name(
    tmp_path: Path, name: str, content: bytes, why: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableFile, match=why) as refusal:
        read_news(tmp_path / name)
    assert name in str(refusal.value)


def test_a_parquet_of_candles_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"open": [1.0]}).write_parquet(tmp_path / "candles.parquet")
    with pytest.raises(UnreadableFile, match="it lacks published_at, text"):
        read_news(tmp_path / "candles.parquet")


def test_a_parquet_whose_dates_are_text_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"published_at": ["soon"], "text": ["b"]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(UnreadableFile, match="cannot be read"):
        read_news(tmp_path / "a.parquet")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="cannot be read"):
        read_news(tmp_path / "nowhere.parquet")


def test_a_folder_reports_the_file_that_it_refused_and_reads_the_others(tmp_path: Path) -> None:
    full_parquet(tmp_path / "good.parquet", [(NOON, "Title", "Text")])
    (tmp_path / "bad.parquet").write_bytes(b"no")
    bad, good = read_folder(tmp_path)
    assert "bad.parquet cannot be read" in (bad.report.refused_reason or "")
    assert (bad.articles.height, good.articles.height, good.report.refused_reason) == (0, 1, None)


def test_a_source_gives_what_became_known_from_start_until_before_end(tmp_path: Path) -> None:
    times = [NOON + timedelta(hours=hours) for hours in range(4)]
    full_parquet(tmp_path / "a.parquet", [(time, f"{time:%H}", "Text") for time in times])
    assert NewsFiles(tmp_path).articles(times[1], times[3])["title"].to_list() == ["13", "14"]


def test_a_source_gives_an_article_that_two_files_hold_once(tmp_path: Path) -> None:
    for name in ("a.parquet", "b.parquet"):
        full_parquet(tmp_path / name, [(NOON, "Title", "Text")])
    assert NewsFiles(tmp_path).articles(NOON, NOON + timedelta(hours=1)).height == 1


def test_a_time_without_news_is_an_empty_table_with_the_schema(tmp_path: Path) -> None:
    full_parquet(tmp_path / "a.parquet", [(NOON, "Title", "Text")])
    quiet = NewsFiles(tmp_path).articles(NOON - timedelta(days=2), NOON - timedelta(days=1))
    assert quiet.is_empty()
    assert quiet.schema == ARTICLE_SCHEMA


def test_a_missing_folder_is_an_error_and_not_an_absence_of_news(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="is not a folder"):
        NewsFiles(tmp_path / "nowhere").articles(MIDNIGHT, NOON)


def test_a_folder_without_a_readable_file_is_an_error_and_not_an_absence_of_news(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"no")
    with pytest.raises(UnreadableFile, match="no news file can be read"):
        NewsFiles(tmp_path).articles(MIDNIGHT, NOON)


def test_a_title_is_not_read_twice() -> None:
    assert article_excerpt("Bitcoin rises", "Bitcoin rises. It did.") == "Bitcoin rises. It did."
    assert article_excerpt("Bitcoin rises", "It did.") == "Bitcoin rises. It did."


def test_a_long_text_is_read_to_the_last_whole_word_within_its_opening() -> None:
    opening = article_excerpt("", "word " * 100)
    assert len(opening) <= 300
    assert opening.endswith(" word")


def test_a_text_without_a_sentence_end_is_its_own_first_sentence() -> None:
    assert first_sentence("no end in sight") == "no end in sight"


@needs_collected_news
def test_every_collected_row_is_accounted_for() -> None:
    reports = [file.report for file in read_folder(COLLECTED)]
    assert [report.refused_reason for report in reports] == [None] * len(reports)
    for report in reports:
        dropped = report.duplicates_dropped + report.undated + report.without_text
        assert report.rows_read == report.rows_stored + dropped > 0


@needs_collected_news
def test_no_collected_article_is_known_before_it_was_published() -> None:
    for file in read_folder(COLLECTED):
        assert (file.articles["known_at"] >= file.articles["published_at"]).all()
        assert file.articles["known_at"].is_sorted()
        assert file.articles.filter(pl.col("title") == "").is_empty()


def unix_news(path: Path, stamps: list[float]) -> Path:
    kind = pl.Float64 if isinstance(stamps[0], float) else pl.Int64
    titles = [f"Title {number}" for number in range(len(stamps))]
    pl.DataFrame(
        {"published_at": pl.Series(stamps, dtype=kind), "text": titles, "title": titles}
    ).write_parquet(path)
    return path


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
@pytest.mark.parametrize("kind", [int, float])
def test_unix_times_are_read_by_their_magnitude(unit: int, kind: type[float], tmp_path: Path) -> None:
    path = unix_news(tmp_path / "a.parquet", [kind(NOON.timestamp() * unit)])
    assert read_news(path).articles["published_at"].to_list() == [NOON]


def test_unix_times_in_a_csv_are_read_too(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", f"{NOON.timestamp():.0f};;P;;a;A;", "1-4-2021 12:30;;P;;b;B;")
    assert read_news(path).articles["published_at"].to_list() == [NOON, NOON]


@pytest.mark.parametrize("stamp", [20210401, 18718, 0])
def test_numbers_that_are_no_unix_times_are_refused_and_never_1970(stamp: int, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="no date that can be read"):
        read_news(unix_news(tmp_path / "a.parquet", [stamp]))


@pytest.mark.parametrize(
    ("title", "read"),
    [
        ('"Crypto winter" talk returns', '"Crypto winter" talk returns'),
        ('The 5" chart that scares bulls', 'The 5" chart that scares bulls'),
        ('"Quoted; with a semicolon"', "Quoted; with a semicolon"),
        ('"He said ""no"" twice"', 'He said "no" twice'),
        ('"Two\nlines"', "Two\nlines"),
        ('"Nobody closes this', '"Nobody closes this'),
    ],
)
def test_a_row_with_any_quotation_marks_is_read_and_so_are_its_neighbours(
    title: str, read: str, tmp_path: Path
) -> None:
    path = csv(
        tmp_path / "a.csv",
        "1-4-2022 9:00;;P;;a;A;",
        f"1-4-2022 9:01;;P;;b;{title};",
        "1-4-2022 9:02;;P;;c;C;",
    )
    file = read_news(path)
    assert file.articles["title"].to_list() == ["A", read, "C"]
    assert file.report.damaged == 0


def test_a_row_whose_fields_cannot_be_told_apart_alone_is_counted_and_named(tmp_path: Path) -> None:
    path = csv(
        tmp_path / "a.csv", "1-4-2022 9:00;;P;;a;A;", "1-4-2022 9:01;;P;;b;x; y; z;", "1-4-2022 9:02;;P;;c;C;"
    )
    report = read_news(path).report
    assert (report.rows_read, report.rows_stored, report.damaged, report.damaged_lines) == (3, 2, 1, (3,))
    source = NewsFiles(tmp_path)
    assert source.articles(MIDNIGHT, MIDNIGHT + timedelta(days=999)).height == 2
    assert ["1 of 3 rows cannot be read (line 3)" in reason for reason in source.refused] == [True]


def test_a_small_file_whose_texts_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    table = pl.DataFrame({"published_at": [NOON] * 500, "text": ["words " * 100_000] * 500})
    table.write_parquet(tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 100_000
    with pytest.raises(UnreadableFile, match="of memory"):
        read_news(tmp_path / "a.parquet")


def test_damage_anywhere_in_a_parquet_is_refused_or_read_and_never_ends_the_program(tmp_path: Path) -> None:
    full_parquet(
        tmp_path / "a.parquet", [(NOON + timedelta(hours=i), f"Title {i}", "Text") for i in range(100)]
    )
    whole = (tmp_path / "a.parquet").read_bytes()
    for at in range(0, len(whole) - 8, len(whole) // 50):
        (tmp_path / "a.parquet").write_bytes(whole[:at] + b"\xff" * 8 + whole[at + 8 :])
        [file] = read_folder(tmp_path)
        assert file.articles.schema == ARTICLE_SCHEMA


def test_a_column_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """A flipped bit in a Parquet footer makes something else of a text."""
    path = full_parquet(tmp_path / "a.parquet", [(NOON, "Title", "Text")])
    pl.read_parquet(path).with_columns(pl.concat_list("title")).write_parquet(path)
    with pytest.raises(UnreadableFile, match=r"a\.parquet cannot be read"):
        read_news(path)
