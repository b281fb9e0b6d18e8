"""The board through Dagster: its page, its table, and what the log says."""

from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from assets.board_page import HEAD
from assets.honesty_board import FILE, honesty_board
from ml.decision.clock import ClockReading
from tests.ml.track_record.test_board import LATER, everybody, maker
from tests.ml.track_record.voted import BTC, FRAME
from trading.market import Universe

UNIVERSE = Universe((BTC,), "USDT", FRAME, "simulated")


def test_the_page_lies_in_the_report_folder_and_the_table_is_in_the_metadata(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    result = dg.materialize(
        [honesty_board],
        resources={
            "board_maker": maker(everybody()),
            "clock": lambda: ClockReading(LATER, "system"),
            "report_folder": tmp_path,
            "backtester": SimpleNamespace(universe=UNIVERSE, library=SimpleNamespace(known=None)),
        },
    )
    [event] = result.asset_materializations_for_node("honesty_board")
    assert (event.metadata["judges"].value, event.metadata["contaminated_votes"].value) == (3, 47)
    assert "what news add is not known: champions and news lie in PostgreSQL" in capfd.readouterr().err
    table = event.metadata["board"]
    assert isinstance(table, dg.TableMetadataValue)
    assert [column.name for column in table.schema.columns] == list(HEAD)
    assert (tmp_path / FILE).read_text().count("<details>") == 3
