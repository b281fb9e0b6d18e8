"""`marketloom board`: every judge by its recorded votes, in the terminal."""

from datetime import datetime

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from assets.board_page import HEAD, WORDS, judge_rows
from ml.track_record.board import BEGINNING, Board
from orchestration.services import Services
from orchestration.system import running_system


def judge_votes(start: datetime | None) -> Board:
    """Judge the votes on candles from `start` on, all without."""
    with running_system():
        services = Services.current()
        return services.board_maker.board(start or BEGINNING, services.clock().at)


def show(board: Board, out: Console) -> None:
    """Print it for a person."""
    if not board.judges:
        out.print(
            "nobody has voted yet: `marketloom demo`, or `marketloom shadow` over a past", soft_wrap=True
        )
        return
    table = Table(Column(HEAD[0], overflow="fold"), *HEAD[1:])
    for row in judge_rows(board):
        table.add_row(*map(Text, row))
    out.print(table)
    for words in WORDS:
        out.print(Text(words), soft_wrap=True)
