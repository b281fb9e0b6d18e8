"""What a long command shows: bars at a terminal, two lines per stage elsewhere."""

import io
import logging
import re

import pytest
from rich.console import Console

from orchestration.progress import LOGGER, stage


def console(terminal: bool) -> tuple[Console, io.StringIO]:
    written = io.StringIO()
    return Console(
        file=written, force_terminal=terminal, width=100, color_system=None, markup=False, highlight=False
    ), written


def log(text: str, level: int = logging.INFO) -> None:
    LOGGER.log(level, text, extra={"dagster_meta": {"orig_message": text, "dagster_event": None}})


def test_outside_of_a_terminal_a_stage_is_its_title_and_its_seconds() -> None:
    out, written = console(terminal=False)
    with stage(out, "Candles", 63):
        for month in range(1, 64):
            log(f"BTC/USDT: 742 candles; month {month} of 63")
    title, seconds = written.getvalue().splitlines()
    assert title == "• Candles"
    assert re.fullmatch(r"    \d+\.\d s", seconds)


def test_at_a_terminal_a_stage_is_one_line_with_what_was_done_of_how_much() -> None:
    out, written = console(terminal=True)
    with stage(out, "Candles", 2) as running:
        log("BTC/USDT: 742 candles; month 1 of 2")
        running.advance()
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.getvalue()).replace("\r", "\n").split("\n")
    assert any("Candles" in line and "2/2" in line for line in last)
    assert any("742 candles" in line for line in last)


def test_a_warning_of_an_asset_stays_on_the_screen() -> None:
    out, written = console(terminal=False)
    with stage(out, "News"):
        log("refused: [broken].csv", logging.WARNING)
    assert "refused: [broken].csv" in written.getvalue()


def test_what_is_logged_after_a_stage_that_failed_is_not_shown_in_it() -> None:
    out, written = console(terminal=False)
    with pytest.raises(RuntimeError), stage(out, "News"):
        raise RuntimeError
    log("late", logging.WARNING)
    assert written.getvalue().splitlines() == ["• News"]
