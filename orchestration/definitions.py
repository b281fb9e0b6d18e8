"""All Dagster definitions, from explicit lists. Importing this reads no settings and opens no connection."""

from datetime import UTC, datetime

import dagster as dg

from assets import (
    backtests,
    balance_history,
    decisions,
    features,
    gap_checks,
    honesty_board,
    learning_checks,
    market,
    news,
    news_checks,
    order_book,
    parity,
    performance,
    policies,
    portfolio,
    rebalancing,
    trading_checks,
)
from assets.market import ohlcv_from
from assets.partitions import Span, within
from assets.sources import external_sources
from assets.tape import market_tape
from orchestration.automation import automated, automation
from orchestration.dataset_span import dataset_span
from orchestration.jobs import JOBS
from orchestration.plan_answers import answer_plan
from orchestration.progress import progress
from orchestration.resources import RESOURCES
from orchestration.schedules import schedules
from orchestration.settings import home_folder, load_settings
from orchestration.settings_schema import Settings
from orchestration.tape_compaction import tape_compaction
from sensors.decisions import decision_sensors
from sensors.failures import failure_sensor
from sensors.monitor import monitor_sensors
from sensors.news import news_sensors

MODULES = [
    market,
    order_book,
    features,
    news,
    policies,
    backtests,
    performance,
    honesty_board,
    decisions,
    portfolio,
    balance_history,
    parity,
    rebalancing,
]
CHECK_MODULES = [*MODULES, gap_checks, news_checks, learning_checks, trading_checks]


def definitions(settings: Settings, span: Span | None = None) -> dg.Definitions:
    """Build the whole graph of the settings' dataset; without `span`, months and days are those of its candles."""
    span = span or dataset_span(settings, home_folder(), datetime.now(UTC).date())
    graph = dg.Definitions(
        assets=[
            *external_sources(*settings.market.sources_in_words),
            market_tape(),
            ohlcv_from(settings.market.pool),
            *dg.load_assets_from_modules(MODULES),
        ],
        asset_checks=dg.load_asset_checks_from_modules(CHECK_MODULES),
        jobs=[*JOBS, tape_compaction, answer_plan],
        schedules=schedules(settings.market.timeframe, span, settings.market.reads_feeds),
        sensors=[
            *decision_sensors(settings.market.pairs),
            *news_sensors(settings.market.reads_feeds, 60 * settings.news.poll_minutes),
            *monitor_sensors(bool(settings.agents.monitor_model), 60 * settings.agents.monitor_minutes, JOBS),
            failure_sensor,
            automation,
        ],
        resources=RESOURCES,
        # A process per step would cost two seconds each; what is long, training, starts its own.
        executor=dg.in_process_executor,
        loggers={"console": dg.colored_console_logger, "progress": progress},
    )
    return graph.map_asset_specs(func=within(span)).map_asset_specs(func=automated(settings))


@dg.definitions
def defs() -> dg.Definitions:
    """Load the definitions for Dagster; a wrong setting shows there as its message."""
    return definitions(load_settings())
