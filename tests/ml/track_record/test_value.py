"""What news add: the same decision with fewer votes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assets.board_page import VALUE_HEAD, board_page, value_rows
from ml.agents.history import LONG, SHORT
from ml.agents.vote_weights import Run
from ml.backtests import Backtester, BacktestRequest
from ml.decision_history import DecisionHistory
from ml.learning.policy import Policy
from ml.learning.registry import PolicyFolders
from ml.sentiment.pair_history import SENTIMENT_AT_SCHEMA
from ml.strategies import Strategy, StrategyLibrary
from ml.track_record.board import Board
from ml.track_record.value import VARIANTS, values
from tests.doubles.stores import MemoryTable
from tests.ml.agents.records import record, weights
from tests.ml.decision.trading_day import RULES
from tests.ml.test_strategies import finer
from trading.backtest import AccountRules
from trading.errors import InvalidValue
from trading.fills import Costs
from trading.indicators import feature_table
from trading.market import CANDLE_SCHEMA, Pair, Timeframe, Universe, month_of
from trading.reports import Resampling
from trading.simulation.market import SimulatedMarket

PAIR = Pair("BTC", "USDT")
BEGIN, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)
ACCOUNT = AccountRules(
    costs=Costs(0.0026, 0.0001, 0.0002), drawdown_pause=0.1, daily_loss=0.03, losing_streak=5,
    cool_down=timedelta(minutes=30), cool_down_candles=3, trailing_after=1.5, leverage=1.0, shorts=False, margin=None,
)  # fmt: skip


class GoodNews:
    """Always known, always good; nobody was promoted."""

    def sentiments(self, pair: Pair, times: pl.Series) -> pl.DataFrame:
        rows = {
            "at": times,
            "score": 0.9,
            "confidence": 1.0,
            "articles": 5,
            "newest_known_at": times,
            "model": "m",
        }
        return pl.select(**{name: pl.lit(each) for name, each in rows.items()}).cast(SENTIMENT_AT_SCHEMA)  # type: ignore[arg-type]

    def champions(self, pair: Pair, times: pl.Series) -> list[tuple[slice, Policy | None]]:
        return [(slice(0, len(times)), None)]

    def weights(self, times: pl.Series) -> list[Run]:
        return [(slice(0, len(times)), None)]


@pytest.fixture(scope="module")
def tester(tmp_path_factory: pytest.TempPathFactory) -> Backtester:
    candles, features = MemoryTable(CANDLE_SCHEMA), MemoryTable(None)
    stored = SimulatedMarket((PAIR,), Timeframe.H1, 8, BEGIN, END).candles(PAIR, BEGIN, END)
    for kind, table in ((candles, stored), (features, feature_table(stored, Timeframe.H1))):
        for (month,), rows in table.group_by(pl.col("open_time").dt.truncate("1mo"), maintain_order=True):
            kind.write(PAIR, month_of(month), rows)  # type: ignore[arg-type]
    library = StrategyLibrary(
        candles, features, PolicyFolders(tmp_path_factory.mktemp("policies")),
        DecisionHistory(features, RULES, Timeframe.H1), GoodNews(),
    )  # fmt: skip
    universe = Universe((PAIR,), "USDT", Timeframe.H1, "simulated")
    return Backtester(universe, library, {PAIR: ACCOUNT}, Resampling(100, 0.9, 1), finer)


def test_the_full_consensus_is_the_strategy_that_decides_and_holding_that_of_its_report(
    tester: Backtester,
) -> None:
    found = {each.variant: each for each in values(tester, PAIR, None, None)}
    assert list(found) == [*VARIANTS, "buy and hold"]
    facts = tester.run(BacktestRequest(Strategy.DESK, PAIR))
    full = found["full consensus"]
    assert full.trades > 5
    assert full.earned == pytest.approx(facts.result.totals.total_return)
    assert found["buy and hold"].earned == pytest.approx(facts.holding.total_return)


def test_without_a_champion_neither_the_policy_nor_news_beside_it_enter_anything(tester: Backtester) -> None:
    found = {each.variant: each for each in values(tester, PAIR, None, None)}
    for name in ("policy alone", "policy and sentiment"):
        assert (found[name].trades, found[name].earned) == (0, 0.0)


def test_what_the_records_make_of_it_stands_beside_every_vote_alike(
    tester: Backtester, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = weights(record("analyst", 0.0, "m"))
    monkeypatch.setattr(GoodNews, "weights", lambda self, times: [(slice(0, len(times)), silent)])
    found = {each.variant: each for each in values(tester, PAIR, None, None)}
    assert list(found) == [*VARIANTS, "every vote alike", "buy and hold"]
    monkeypatch.undo()
    plain = {each.variant: each for each in values(tester, PAIR, None, None)}
    assert found["every vote alike"].earned == plain["full consensus"].earned
    assert found["full consensus"].earned != plain["full consensus"].earned


def test_whoever_votes_the_same_candles_are_asked_about(tester: Backtester) -> None:
    library, known = tester.library, GoodNews()
    table = library.table(PAIR, None, None)
    agents = library.decisions.every_agent(PAIR, table, known)
    signal = np.isin(agents.flat[0].actions, [LONG, SHORT])
    plan = library.decisions.plan(PAIR, table, agents.of(0, 2))
    entered = np.nan_to_num(np.asarray(plan.target)) > 0
    assert entered.any()
    assert not (entered & ~signal).any()
    assert agents.of(1, 2).of(1).gate is agents.flat[0]


def test_without_the_database_it_says_what_is_missing(tester: Backtester, tmp_path: Path) -> None:
    library = tester.library
    bare = StrategyLibrary(library.candles, library.features, PolicyFolders(tmp_path), library.decisions)
    with pytest.raises(InvalidValue, match="PostgreSQL"):
        values(Backtester(tester.universe, bare, tester.rules, tester.resampling, finer), PAIR, None, None)


def test_the_page_has_a_row_for_each(tester: Backtester) -> None:
    worth = values(tester, PAIR, None, None)
    assert {len(row) for row in value_rows(worth)} == {len(VALUE_HEAD)}
    page = board_page(Board(END, ()), worth)
    assert "What news add" in page
    assert "policy and sentiment" in page
