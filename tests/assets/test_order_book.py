"""The asset `order_book` through Dagster: rows of the tape's samples, their metadata, and checks that find faults."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.order_book import (
    missing_share,
    order_book,
    order_book_samples_are_there,
    order_books_are_possible,
    order_books_see_no_future,
)
from tests.assets.running import check_alone, partition_range, verdicts
from tests.doubles.stores import MemoryTable
from tests.doubles.stores.tape import MemoryTape
from tests.trading.test_order_book_features import sample
from trading.errors import NotStored
from trading.market import Pair, Timeframe, Universe, month_of
from trading.order_book_features import ORDER_BOOK_SCHEMA, candle_features
from trading.ports import TapeTable
from trading.ports.market_data import TAPE_SCHEMAS

PAIR = Pair("BTC", "USDT")
UNIVERSE = Universe((PAIR,), "USDT", Timeframe.H1, "kraken")
MARCH, APRIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
INTERVAL = timedelta(minutes=5)
CHECKS = [order_books_are_possible, order_book_samples_are_there, order_books_see_no_future]


def samples(
    start: datetime, count: int, leave_out: range = range(0), known_after: float = 0.05
) -> pl.DataFrame:
    """A sample each INTERVAL, whose bid rises from one to the next."""
    rows = []
    for number in set(range(count)) - set(leave_out):
        values = list(sample(0, [(99.0 + number / 1e4, 1 + number % 3)], [(101.0, 2.0)]))
        values[2] = values[-2] = start + number * INTERVAL
        values[-1] = values[2] + timedelta(seconds=known_after)
        rows.append(values)
    return pl.DataFrame(
        sorted(rows, key=lambda row: row[2]), schema=TAPE_SCHEMAS[TapeTable.BOOK], orient="row"
    )


class Harness:
    def __init__(self, *batches: pl.DataFrame) -> None:
        self.tape, self.store = MemoryTape(), MemoryTable(ORDER_BOOK_SCHEMA)
        for number, rows in enumerate(batches):
            self.tape.append(TapeTable.BOOK, rows, str(number))
        self.resources = {
            "universe": UNIVERSE, "tape": self.tape, "book_interval": INTERVAL, "order_book_store": self.store,
        }  # fmt: skip

    def run(
        self, first: str = "2026-03-01", last: str = "2026-03-01", **how: Any
    ) -> dg.ExecuteInProcessResult:
        with dg.DagsterInstance.ephemeral() as instance:
            instance.add_dynamic_partitions("pair", [PAIR.key])
            tags = partition_range(f"{first}|{PAIR.key}", f"{last}|{PAIR.key}")
            chosen = [order_book, *CHECKS]
            return dg.materialize(chosen, instance=instance, tags=tags, resources=self.resources, **how)

    def check(self, check: Any) -> dg.AssetCheckEvaluation:
        return check_alone(check, [order_book], self.resources)

    @property
    def rows(self) -> pl.DataFrame:
        return self.store.read(PAIR, month_of(MARCH))


def test_a_row_of_every_candle_that_is_over_is_stored_as_the_samples_of_the_whole_tape_give_it() -> None:
    tape = samples(MARCH, 12 * 24 * 3 + 6)
    harness = Harness(tape)
    result = harness.run()
    whole = candle_features(tape, Timeframe.H1, INTERVAL, MARCH + timedelta(days=3))
    assert harness.rows.height == 72
    assert harness.rows.equals(whole)
    assert verdicts(result) == dict.fromkeys(
        (each.name for check in CHECKS for each in check.check_keys), True
    )


def test_rows_of_the_edges_of_day_and_month_are_complete_and_in_their_own_month() -> None:
    tape = samples(MARCH - timedelta(hours=2), 12 * 24 * 31 + 12 * 5)
    harness = Harness(tape)
    harness.run(last="2026-04-01")
    both = harness.store.between(PAIR, MARCH, APRIL + timedelta(days=2))
    whole = candle_features(tape, Timeframe.H1, INTERVAL, APRIL + timedelta(hours=2))
    assert both.equals(whole.filter(pl.col("open_time") >= MARCH))
    assert harness.rows["open_time"].max() == APRIL - timedelta(hours=1)
    assert harness.rows["samples"].to_list() == [12] * 744


def test_the_metadata_say_how_much_is_missing_and_draw_spread_and_imbalance() -> None:
    harness = Harness(samples(MARCH, 12 * 24 + 1, leave_out=range(60, 132)))
    [event] = harness.run().asset_materializations_for_node("order_book")
    assert event.partition == f"2026-03-01|{PAIR.key}"
    numbers = {name: each.value for name, each in event.metadata.items()}
    assert (numbers["dagster/row_count"], numbers["samples"], numbers["crossed"]) == (18, 12 * 18, 0)
    assert numbers["share_missing"] == pytest.approx(0.25)
    assert all("data:image/svg+xml" in numbers[name] for name in ("spread", "imbalance"))


def test_the_version_of_a_month_is_that_of_its_content() -> None:
    versions = []
    for tape in (samples(MARCH, 100), samples(MARCH, 100), samples(MARCH, 100, leave_out=range(30, 31))):
        [event] = Harness(tape).run().asset_materializations_for_node("order_book")
        versions.append(event.tags["dagster/data_version"])
    assert versions[0] == versions[1] != versions[2]


def test_a_month_without_a_sample_is_left_out_and_a_run_of_nothing_else_says_what_records_one() -> None:
    harness = Harness(samples(MARCH, 30))
    result = harness.run(first="2026-02-01")
    assert [event.partition for event in result.asset_materializations_for_node("order_book")] == [
        f"2026-03-01|{PAIR.key}"
    ]
    with pytest.raises(NotStored, match="`marketloom stream` records books from its start on"):
        Harness().run()


def test_missing_samples_warn_and_name_the_worst_days() -> None:
    harness = Harness(samples(MARCH, 12 * 24 * 3, leave_out=range(12 * 24 + 12, 12 * 24 + 72)))
    harness.run()
    found = harness.check(order_book_samples_are_there)
    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.WARN
    days = found.metadata["days_with_most_missing"].value
    assert isinstance(days, dict)
    assert list(days[str(PAIR)]) == ["2026-03-02"]
    assert days[str(PAIR)]["2026-03-02"] == pytest.approx(60 / 288, abs=1e-4)


def test_nothing_is_missing_of_nothing() -> None:
    assert missing_share(ORDER_BOOK_SCHEMA.to_frame()) == 0.0


@pytest.mark.parametrize(
    ("column", "value", "fault"),
    [
        ("bid", 200.0, "bid is not below ask"),
        ("crossed", 1, "crossed samples"),
        ("ask_quantity", 0.0, "no quantity"),
        ("mean_spread", -0.1, "spread is not above 0"),
        ("microprice", 98.0, "microprice outside the spread"),
        ("depth_imbalance", 1.5, "a share outside -1..1"),
        ("mid", float("nan"), "no number"),
    ],
)
def test_an_impossible_row_is_found_and_named(column: str, value: float, fault: str) -> None:
    harness = Harness(samples(MARCH, 60))
    harness.run()
    assert harness.check(order_books_are_possible).passed
    row = pl.int_range(pl.len()) == 2
    wrong_value = pl.when(row).then(pl.lit(value)).otherwise(column)
    harness.store.write(PAIR, month_of(MARCH), harness.rows.with_columns(wrong_value.alias(column)))
    found = harness.check(order_books_are_possible)
    assert not found.passed
    wrong = found.metadata["wrong_rows"].value
    assert isinstance(wrong, dict)
    assert wrong[str(PAIR)][fault] == 1


def test_a_row_that_was_made_with_a_later_sample_is_found() -> None:
    """A late sample, known a minute after its candle's close, that somebody counted for it all the same."""
    tape = samples(MARCH, 60)
    late = pl.int_range(pl.len()) == 23
    known = tape.with_columns(
        known_at=pl.when(late).then(pl.col("at") + timedelta(minutes=6)).otherwise("known_at")
    )
    harness = Harness(known)
    harness.run()
    assert harness.check(order_books_see_no_future).passed
    leaked = candle_features(tape, Timeframe.H1, INTERVAL, MARCH + timedelta(hours=4))
    harness.store.write(PAIR, month_of(MARCH), leaked)
    found = harness.check(order_books_see_no_future)
    assert not found.passed
    moved = found.metadata["moved"].value
    assert isinstance(moved, dict)
    assert {"sample_at", "samples"} <= set(moved[str(PAIR)]["2026-03-01 02:00"])
