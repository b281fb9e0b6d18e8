"""`marketloom import`: candle files into the landing area, each with its report."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestration.postgres.embedded import prepare_home
from orchestration.settings import home_folder
from trading.errors import InvalidCandles, InvalidValue
from trading.importers import ImportedFile, import_path
from trading.importers.landing_area import LandingArea
from trading.market import Pair, Timeframe


def import_files(
    path: Path, venue: str | None, pair: str | None, timeframe: str | None
) -> list[dict[str, Any]]:
    """Import files and return one report each, as JSON values; a refused file stores nothing and stops no other."""
    landing = LandingArea(prepare_home(home_folder()) / "landing")
    return [
        _store(imported, landing)
        for imported in import_path(
            path,
            venue=venue,
            pair=Pair.parse(pair) if pair else None,
            timeframe=parse_timeframe(timeframe) if timeframe else None,
        )
    ]


def parse_timeframe(text: str) -> Timeframe:
    try:
        return Timeframe(text)
    except ValueError:
        raise InvalidValue(
            f"{text!r} is not a timeframe: choose one of {', '.join(each.value for each in Timeframe)}"
        ) from None


def _store(imported: ImportedFile, landing: LandingArea) -> dict[str, Any]:
    report = imported.report.as_json()
    if report["refused_reason"]:
        return report
    try:
        landing.add(imported)
    except InvalidCandles as error:
        return report | {"rows_stored": 0, "warnings": [], "refused_reason": str(error)}
    return report


def ignored_series(reports: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for every imported series that disagrees with a longer one of the same pair and is not read."""
    landing = LandingArea(home_folder() / "landing")
    stored = {(row["venue"], row["timeframe"], row["pair"]) for row in reports if row["rows_stored"]}
    for venue, timeframe, pair in sorted(stored):
        for series in landing.source(venue, Timeframe(timeframe)).disagreeing_series(Pair.parse(pair)):
            yield f"{venue} {pair} {timeframe}: the {series} series disagrees with a longer one and is not read"


def show(reports: list[dict[str, Any]], out: Console) -> None:
    columns = "file format pair tf read stored dup bad open missing gaps from to"
    table = Table(*columns.split())
    for row in reports:
        bad = row["impossible"] + row["misaligned"]
        cells = [Path(row["path"]).name, row["format"], row["pair"], row["timeframe"], row["rows_read"],
                 row["rows_stored"], row["duplicates_dropped"], bad, row["unfinished"], row["missing"], row["gaps"],
                 str(row["first"] or "")[:10], str(row["last"] or "")[:10]]  # fmt: skip
        table.add_row(*("" if cell is None else str(cell) for cell in cells))
    out.print(table)
    for row in reports:
        for warning in row["warnings"]:
            _print_about(row, "[yellow]warning[/yellow] ", warning, out)
        if row["refused_reason"]:
            _print_about(row, "[red]refused[/red] ", row["refused_reason"], out)


def _print_about(row: Mapping[str, Any], heading: str, text: str, out: Console) -> None:
    out.print(heading, end="")
    out.print(f"{row['path']}: {text}", markup=False, highlight=False, soft_wrap=True)
