"""`marketloom import`: candle files into the landing area, each with its report."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

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


COUNTED = {  # what is named in a line where it is not 0
    "duplicates_dropped": "duplicate", "conflicts": "conflicting", "impossible": "impossible",
    "misaligned": "off the grid", "unfinished": "not closed yet", "zero_volume": "without volume",
    "unchanged": "unchanged",
}  # fmt: skip


RELOAD = (
    'With [market] source = "files" the months of these candles show in a running UI once its definitions are loaded '
    "again: Deployment, Reload. Everything else sees them at once."
)


def show(reports: list[dict[str, Any]], out: Console) -> None:
    """Print two lines per file, its whole name and what was found in it; refused files and warnings come last."""
    for row in reports:
        if not row["refused_reason"]:
            out.print(Path(row["path"]).name, style="bold", soft_wrap=True)
            out.print(f"    {_describe(row)}", soft_wrap=True)
    for row in reports:
        for warning in row["warnings"]:
            _print_about(row, ("warning", "yellow"), warning, out)
        if row["refused_reason"]:
            _print_about(row, ("refused", "red"), row["refused_reason"], out)


def _describe(row: Mapping[str, Any]) -> str:
    found = [f"{row[name]:,} {words}" for name, words in COUNTED.items() if row[name]]
    if row["missing"]:
        found.append(f"{row['missing']:,} missing in {row['gaps']} gap{'s' * (row['gaps'] != 1)}")
    times = f"{str(row['first'])[:10]} to {str(row['last'])[:10]}"
    market = f"{row['pair']} {row['timeframe']}, {times} ({row['venue']}, {row['format']})"
    return ", ".join([f"{market}: {row['rows_stored']:,} of {row['rows_read']:,} candles stored", *found])


def _print_about(row: Mapping[str, Any], heading: tuple[str, str], text: str, out: Console) -> None:
    out.print(Text.assemble(heading, f" {row['path']}: {text}"), soft_wrap=True)
