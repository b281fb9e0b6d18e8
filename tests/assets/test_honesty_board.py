"""The board through Dagster: its page, its table, and what the log says."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from assets.board_page import HEAD, board_page
from assets.honesty_board import FILE, honesty_board, vote_weights
from ml.agents.vote_weights import WeightVersions
from ml.decision.clock import ClockReading
from tests.doubles.stores import MemoryWeights
from tests.ml.track_record.test_board import LATER, everybody, maker
from tests.ml.track_record.test_weighing import LATER as WEIGHED_AT
from tests.ml.track_record.test_weighing import votes, weigher
from tests.ml.track_record.voted import BTC, FIRST, FRAME
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


def test_the_weights_are_a_version_that_is_known_from_then_on(tmp_path: Path) -> None:
    versions = WeightVersions(MemoryWeights())
    recorded = [*votes(0.57, confidence=0.1), *votes(0.4, agent="analyst", confidence=0.5)]
    result = dg.materialize(
        [vote_weights],
        resources={
            "weigher": weigher(recorded),
            "weight_versions": versions,
            "clock": lambda: ClockReading(WEIGHED_AT, "system"),
        },
    )
    [event] = result.asset_materializations_for_node("vote_weights")
    assert versions.at(WEIGHED_AT) is None
    found = versions.at(WEIGHED_AT + timedelta(microseconds=1))
    assert found is not None
    assert event.metadata["version"].value == found.version
    assert (event.metadata["records_that_count"].value, event.metadata["without_a_vote"].value) == (6, 3)
    board = maker(everybody()).board(FIRST, LATER)
    assert "What past votes" not in board_page(board)
    page = board_page(replace(board, weights=found))
    assert "What past votes make of the next ones" in page
    assert "no vote" in page
