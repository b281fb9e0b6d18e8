"""The board: who stands on it, what counts, and that nothing after its time does."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from math import sin

import polars as pl
import pytest

from assets.board_page import HEAD, board_page, judge_rows
from ml.track_record.board import HORIZONS, Board, BoardMaker
from ml.track_record.cut_off import CutOffs
from tests.doubles.stores import MemoryTable
from tests.ml.agents.records import record, weights
from tests.ml.track_record.voted import BTC, CHAT, FIRST, FRAME, HOUR, RULES, XRP, candles, table, vote
from trading.fills import Costs
from trading.market import month_of

COSTS = {pair: Costs(0.004, 0.0005, 0.0005) for pair in (BTC, XRP)}
OPENS = [100 + 5 * sin(number) for number in range(100)]
LATER = FIRST + 200 * HOUR
CUT_OFFS = CutOffs({CHAT: date(2024, 3, 2)})


class Votes:
    def __init__(self, votes: pl.DataFrame) -> None:
        self.votes = votes

    def read(self, start: datetime, end: datetime, models: Sequence[str] | None = None) -> pl.DataFrame:
        found = self.votes.filter(pl.col("closed_at") >= start, pl.col("closed_at") < end)
        return found if models is None else found.filter(pl.col("model").is_in(list(models)))


def stored(pair_opens: dict[object, list[float]]) -> tuple[MemoryTable, MemoryTable]:
    prices, features = MemoryTable(None), MemoryTable(None)
    for pair, opens in pair_opens.items():
        rows = candles(opens).with_columns(close_time=pl.col("open_time") + HOUR)
        prices.write(pair, month_of(FIRST), rows)  # type: ignore[arg-type]
        regimes = [
            None if number < 3 else "quiet" if number < 50 else "volatile" for number in range(len(opens))
        ]
        features.write(pair, month_of(FIRST), rows.with_columns(regime=pl.Series(regimes, dtype=pl.String)))  # type: ignore[arg-type]
    return prices, features


def maker(votes: pl.DataFrame) -> BoardMaker:
    prices, features = stored({BTC: OPENS, XRP: OPENS[::-1]})
    return BoardMaker(Votes(votes), prices, features, (BTC, XRP), FRAME, COSTS, CUT_OFFS)


def everybody() -> pl.DataFrame:
    sides = ["LONG" if OPENS[number + 2] > OPENS[number + 1] else "SHORT" for number in range(98)]
    return table(
        *(vote(number, side, 0.9) for number, side in enumerate(sides)),
        *(vote(number, side, 0.9, pair=str(XRP)) for number, side in enumerate(sides)),
        *(vote(number, "LONG", 0.2, agent="trader", model=CHAT, usd=0.01) for number in range(98)),
        vote(99, "LONG", agent="quant", model="a-policy"),  # what followed is not stored
    )


@pytest.fixture
def board() -> Board:
    return maker(everybody()).board(FIRST, LATER)


def test_each_judge_stands_on_it_with_what_counts(board: Board) -> None:
    facts = [(each.agent, each.clean, each.contaminated, each.cut_off) for each in board.judges]
    # 47 votes of the chat model are on candles that closed before 3 March.
    assert facts == [("quant", 1, 0, ""), ("technical", 196, 0, ""), ("trader", 51, 47, "2024-03-02")]
    quant, technical, trader = board.judges
    assert quant.scores == quant.earnings == ()
    assert [each.horizon for each in technical.scores] == list(HORIZONS)
    assert technical.scores[0].votes == 2 * 98
    assert [each.pair for each in technical.earnings] == [str(BTC), str(XRP)]
    assert (trader.scores[0].votes, trader.first) == (51, datetime(2024, 3, 3, tzinfo=UTC))
    assert trader.earnings[0].usd == pytest.approx(0.51)


def test_what_a_model_may_have_read_changes_nothing_on_the_board(board: Board) -> None:
    votes = everybody()
    dirty = (pl.col("model") == CHAT) & (pl.col("closed_at") <= datetime(2024, 3, 2, 23, 59, tzinfo=UTC))
    turned = votes.with_columns(action=pl.when(dirty).then(pl.lit("SHORT")).otherwise("action"))
    assert not turned.equals(votes)
    assert maker(turned).board(FIRST, LATER) == board


def test_regimes_are_those_of_the_candle_that_was_judged(board: Board) -> None:
    by_regime = {each.regime: each.votes for each in board.judges[1].by_regime}
    assert by_regime == {"quiet": 2 * 47, "unknown": 2 * 3, "volatile": 2 * 48}


@pytest.mark.parametrize("hours", [0, 1, 30, 60, 98])
def test_nothing_that_came_later_is_in_it(hours: int) -> None:
    """Whatever is stored of the time after it, the board of a moment is the same."""
    until = FIRST + hours * HOUR
    votes = everybody().filter(pl.col("closed_at") < until)
    known = [price if FIRST + (number + 1) * HOUR <= until else 1.0 for number, price in enumerate(OPENS)]
    mirrored = [
        price if FIRST + (number + 1) * HOUR <= until else 1.0 for number, price in enumerate(OPENS[::-1])
    ]
    prices, features = stored({BTC: known, XRP: mirrored})
    then = BoardMaker(Votes(votes), prices, features, (BTC, XRP), FRAME, COSTS, CUT_OFFS)
    assert then.board(FIRST, until) == maker(everybody()).board(FIRST, until)


def test_nobody_has_voted_yet() -> None:
    board = maker(table()).board(FIRST, LATER)
    assert board.judges == ()
    assert "Honesty board" in board_page(board)


def test_page_and_rows_say_it_in_words(board: Board) -> None:
    rows = {row[0]: row for row in judge_rows(board)}
    assert {len(row) for row in rows.values()} == {len(HEAD)}
    assert rows[f"trader, {CHAT}"][-3:] == ["0.01000", "", "47"]
    assert rows["quant, a-policy"][1:3] == ["0", "-"]
    page = board_page(board)
    assert "knowledge ends: 2024-03-02" in page
    assert f"technical, {RULES}" in page


def test_a_judge_is_shown_with_what_its_record_makes_of_its_next_vote(board: Board) -> None:
    known = weights(record("technical", 0.0, RULES), record("trader", 1.5, CHAT), record("desk", 2.0, "3"))
    rows = judge_rows(replace(board, weights=known))
    assert [row[-2] for row in rows] == ["1", "no vote", "1.50"]
