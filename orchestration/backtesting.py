"""Builds what back-tests, without Dagster, which takes a second to import, and without PostgreSQL."""

from pathlib import Path

from ml.backtests import Backtester
from ml.learning.registry import PolicyFolders
from ml.strategies import StrategyLibrary
from orchestration.settings import lake_folder
from orchestration.settings_schema import Settings
from trading.errors import InvalidSettings
from trading.importers.landing_area import LandingArea
from trading.market import CANDLE_SCHEMA, Timeframe
from trading.ports import CandleSource
from trading.stores.lake import LakeTable

REPORTS = "reports"  # folder in the home folder


def build_backtester(settings: Settings, home: Path) -> Backtester:
    """Build from the settings; candles, features and policies are read from the home folder."""
    lake = lake_folder(home, settings)
    library = StrategyLibrary(
        candles=LakeTable(lake / "ohlcv", CANDLE_SCHEMA),
        features=LakeTable(lake / "features", None),
        policies=PolicyFolders(home / "policies" / settings.market.universe.dataset),
        signals=settings.signals,
        limits=settings.risk,
        shorts=settings.backtest.shorts != "never",
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
        fees_valid_from=settings.venue.fees_valid_from,
        finer=finer_candles,
    )
