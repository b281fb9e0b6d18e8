"""Builds what back-tests, without Dagster, which takes a second to import, and without PostgreSQL."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ml.agents.vote_weights import Run, WeightVersions
from ml.backtests import Backtester
from ml.decision.market_reader import MarketReader
from ml.decision_history import DecisionHistory, KnownThen
from ml.learning.policy import Policy
from ml.learning.registry import PolicyFolders, PolicyRegistry
from ml.strategies import StrategyLibrary
from orchestration.settings_schema import Settings
from orchestration.tables import candle_table, feature_table
from trading.errors import InvalidSettings
from trading.importers.landing_area import LandingArea
from trading.market import Pair, Timeframe
from trading.ports import CandleSource

REPORTS = "reports"  # folder in the home folder


@dataclass(frozen=True, slots=True)
class RecordedPast:
    """The past that the database recorded, as the decisions of then would have read it."""

    market: MarketReader
    policies: PolicyRegistry
    versions: WeightVersions | None  # of the weights of votes; None: nobody weighs by them

    def sentiments(self, pair: Pair, times: pl.Series) -> pl.DataFrame:
        return self.market.sentiments(pair, times)

    def champions(self, pair: Pair, times: pl.Series) -> list[tuple[slice, Policy | None]]:
        return self.policies.champions(pair, times)

    def weights(self, times: pl.Series) -> list[Run]:
        return self.versions.runs(times) if self.versions else [(slice(0, len(times)), None)]


def build_backtester(settings: Settings, home: Path, known: KnownThen | None = None) -> Backtester:
    """Build from the settings; candles, features and policies are read from the home folder.

    `known` gives the past champions and news, which lie in PostgreSQL; only the strategy `desk` needs them.
    """
    features = feature_table(settings, home)
    library = StrategyLibrary(
        candles=candle_table(settings, home),
        features=features,
        policies=PolicyFolders(home / "policies" / settings.market.universe.dataset),
        decisions=DecisionHistory(features, settings.decision_rules, settings.market.timeframe),
        known=known,
    )

    def finer_candles(timeframe: Timeframe) -> CandleSource:
        """Return imported candles of the same venue in another timeframe; a simulated market has none."""
        market = settings.market
        if market.source != "files":
            raise InvalidSettings(
                'finer candles are only there where [market] source = "files": leave the path out'
            )
        return LandingArea(home / "landing").source(market.venue, timeframe, market.known_until)

    return Backtester(
        universe=settings.market.universe,
        library=library,
        rules={pair: settings.account_rules(pair) for pair in settings.market.pairs},
        resampling=settings.resampling,
        finer=finer_candles,
    )
