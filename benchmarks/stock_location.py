"""The project's graph as stock Dagster asks for decisions: its sensor looks and does not wait."""

import dagster as dg

from orchestration.definitions import definitions
from orchestration.jobs import decide
from orchestration.settings import load_settings
from sensors.decisions import decision_sensor


@dg.definitions
def defs() -> dg.Definitions:
    """Return what a decision needs, with one sensor that is evaluated as often as the daemon does."""
    settings = load_settings()
    made = definitions(settings)
    return dg.Definitions(
        assets=made.assets,
        asset_checks=made.asset_checks,
        jobs=[decide],
        sensors=[decision_sensor("stock", settings.market.pairs, patience=0.0)],
        resources=made.resources,
        executor=made.executor,
        loggers=made.loggers,
    )
