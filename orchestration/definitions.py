"""Everything Dagster shows, from explicit lists. Loading this reads no settings and opens no connection."""

import dagster as dg

from assets import backtests, decisions, features, market, news, performance, policies, portfolio
from orchestration.jobs import JOBS
from orchestration.progress import progress
from orchestration.resources import RESOURCES
from orchestration.schedules import SCHEDULES
from sensors.decisions import decision_sensor

MODULES = [market, features, news, policies, backtests, performance, decisions, portfolio]

defs = dg.Definitions(
    assets=dg.load_assets_from_modules(MODULES),
    asset_checks=dg.load_asset_checks_from_modules(MODULES),
    jobs=JOBS,
    schedules=SCHEDULES,
    sensors=[decision_sensor],
    resources=RESOURCES,
    # A process per step would cost two seconds each; what is long, training, starts its own.
    executor=dg.in_process_executor,
    loggers={"console": dg.colored_console_logger, "progress": progress},
)
