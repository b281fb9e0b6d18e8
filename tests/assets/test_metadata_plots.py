"""Pictures in metadata: short enough to be shown unasked, and true to the values."""

import re
import xml.etree.ElementTree as ElementTree
from datetime import UTC, date, datetime, timedelta
from urllib.parse import unquote

import numpy as np
import pytest

from assets.metadata_plots import BOTTOM, SHOWN_LENGTH, TOP, WIDTH, line_plot, short_number, thinned

START = datetime(2024, 1, 1, tzinfo=UTC)


def hours(count: int) -> list[datetime]:
    return [START + hour * timedelta(hours=1) for hour in range(count)]


def walk(count: int, seed: int = 1) -> list[float]:
    steps = np.random.default_rng(seed).normal(0, 0.01, count)
    return (30_000 * np.exp(np.cumsum(steps))).tolist()


def drawing(markdown: str) -> ElementTree.Element:
    found = re.fullmatch(r"!\[.*\]\(data:image/svg\+xml,([^()\s]+)\)", markdown)
    assert found, markdown
    return ElementTree.fromstring(unquote(found[1]))


def words(svg: ElementTree.Element) -> list[str]:
    return ["".join(each.itertext()) for each in svg if each.tag.endswith("text")]


def line(svg: ElementTree.Element, number: int = -1) -> list[tuple[int, int]]:
    path = [each for each in svg if each.tag.endswith("path")][number].attrib["d"]
    numbers = [int(each) for each in re.findall(r"-?\d+", path)]
    steps = np.array(numbers).reshape(-1, 2).cumsum(axis=0)
    return [(int(x), int(y)) for x, y in steps]


@pytest.mark.parametrize("count", [1, 2, 60, 44_640])
@pytest.mark.parametrize("lines", [1, 3])
def test_the_ui_shows_a_picture_without_a_click_however_many_points_there_are(count: int, lines: int) -> None:
    names = ("policy", "buy_and_hold", "cash")[:lines]
    values = {name: walk(count, seed) for seed, name in enumerate(names)}
    gaps = [(each, each + timedelta(minutes=30)) for each in hours(count)]
    shown = line_plot("Out of sample: BTC/USDT 2024-01", hours(count), values, shaded=gaps).value
    assert len(shown) <= SHOWN_LENGTH
    assert words(drawing(shown))[0].split()[2:] == list(names)


def test_a_line_runs_from_corner_to_corner_and_loses_no_extreme() -> None:
    values = [5.0] * 5000
    values[1234], values[4321] = 1.0, 9.0
    svg = drawing(line_plot("t", list(range(5000)), {"v": values}).value)
    points = line(svg)
    assert (points[0][0], points[-1][0]) == (0, WIDTH)
    assert (min(y for _, y in points), max(y for _, y in points)) == (TOP, BOTTOM)
    assert "high 9" in words(svg)[0]
    assert "low 1" in words(svg)


def test_dates_stand_in_the_two_corners_alone_where_they_cannot_overlap() -> None:
    days = [date(2012, 1, 1) + timedelta(days=day) for day in range(4000)]
    svg = drawing(line_plot("t", days, {"v": walk(4000)}).value)
    assert words(svg)[1::2] == ["2012-01-01", str(days[-1])]
    assert words(drawing(line_plot("t", hours(30), {"v": walk(30)}).value))[1] == "01-01 00:00"


def test_stretches_without_data_are_marked_where_they_are() -> None:
    gap = (START + timedelta(hours=25), START + timedelta(hours=50))
    svg = drawing(line_plot("t", hours(101), {"v": walk(101)}, shaded=[gap]).value)
    marked = next(iter(svg)).attrib["d"]
    assert marked == f"M{WIDTH // 4},{TOP}h{WIDTH // 4}V{BOTTOM}H{WIDTH // 4}"


def test_values_that_are_no_numbers_are_left_out_and_nothing_at_all_is_still_a_picture() -> None:
    svg = drawing(line_plot("t", [1, 2, 3], {"v": [1.0, float("nan"), 3.0]}).value)
    assert len(line(svg)) == 2
    assert words(drawing(line_plot("t", [], {"v": []}).value))


def test_of_many_points_the_ends_and_the_extremes_are_kept() -> None:
    points = [(float(at), float(at % 97)) for at in range(10_000)]
    kept = thinned(points, 40)
    assert len(kept) <= 42
    assert {points[0], points[-1]} <= set(kept)
    assert max(value for _, value in kept) == 96


@pytest.mark.parametrize(
    ("value", "text"), [(30341.27, "30,341"), (0.0000123456, "1.2346e-05"), (-0.25, "-0.25")]
)
def test_numbers_have_few_digits(value: float, text: str) -> None:
    assert short_number(value) == text
