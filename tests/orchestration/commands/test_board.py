"""`marketloom board`: what it prints, and that it reads the stores and cut-offs of the settings."""

import io
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console

from ml.track_record.board import Board
from orchestration.commands.board import show
from orchestration.services import Services
from orchestration.settings import load_settings
from tests.contracts.trade import NOON, receipt
from tests.ml.track_record.test_board import LATER, everybody, maker
from tests.ml.track_record.voted import CHAT, FIRST
from trading.stores.postgres import PostgresJournal


def printed(board: Board) -> str:
    show(board, Console(file=(out := io.StringIO()), width=200))
    return out.getvalue()


def test_each_judge_is_a_row_and_the_words_explain_the_columns() -> None:
    text = printed(maker(everybody()).board(FIRST, LATER))
    assert CHAT in text
    assert "skill" in text
    assert "count nowhere" in text


def test_before_anybody_has_voted_it_says_where_votes_come_from() -> None:
    assert "marketloom demo" in printed(Board(LATER, ()))


def test_the_board_of_the_settings_reads_recorded_votes_and_knows_each_models_cut_off(
    tmp_path: Path, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "MARKETLOOM__MODELS__NAMED__HAIKU",
        '{provider = "anthropic", model = "claude-haiku-4-5", cut_off = 2025-07-31}',
    )
    monkeypatch.setenv("MARKETLOOM_HOME", str(tmp_path))
    services = Services(load_settings(), tmp_path, dsn)
    assert services.settings.models.cut_offs.day(CHAT) == date(2025, 7, 31)
    journal = PostgresJournal(dsn)
    journal.open_account("paper", {}, NOON)
    facts = receipt(
        dataset=services.dataset,
        candle_close_time=NOON.isoformat(),
        strategy_version="desk/1",
        pair="ETH/EUR",
    )
    assert journal.record_decision(facts, None)
    board = services.board_maker.board(FIRST.replace(year=2019), LATER)
    assert [(each.agent, each.clean) for each in board.judges] == [("desk", 1), ("technical", 1)]
