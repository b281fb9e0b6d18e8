"""What a warm worker does before its first run: computes and reads once what a decision does."""

from collections.abc import Iterable
from pathlib import Path

from ml.decision import warm_up as decision_code
from orchestration.services import Services
from orchestration.settings import settings_files
from trading.errors import MarketloomError


def _load_models(services: Services) -> None:
    if services.settings.agents.models:
        from orchestration.model_agents import (
            prepare,  # where no model is named, none of their code is loaded
        )

        prepare(services.model_panel)


def warm_up() -> Iterable[Path]:
    """Gather the inputs of a decision for each pair, and decide nothing. Returns the files that the settings come from.

    Before there are candles, or while a venue is away, there is nothing to gather: the first decision is slow then.
    """
    try:
        services = Services.current()
        decision_code.warm_up(services.settings.market.universe)
        _load_models(services)
        reader = services.input_reader
        clock = reader.read_clock()
        for pair in services.settings.market.pairs:
            reader.market_inputs(pair, clock)
    except MarketloomError as error:
        print(f"not warm: {error}")
    return settings_files()
