"""Which answers of a trader are of its form."""

from typing import Any

import pytest
from pydantic import ValidationError

from ml.agents.trading_decision import TradingDecision
from tests.ml.agents.model_panel import LONG


@pytest.mark.parametrize("rest", [{"invalidation_side": "below"}, {"invalidation_value": 0.4}, {}])
def test_without_an_indicator_side_and_value_say_nothing(rest: dict[str, Any]) -> None:
    assert TradingDecision(**LONG | rest).invalidation_indicator is None


@pytest.mark.parametrize("rest", [{"invalidation_side": "below"}, {"invalidation_value": 0.4}, {}])
def test_an_indicator_without_its_side_or_value_is_refused(rest: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="invalidation_indicator needs"):
        TradingDecision(**LONG | {"invalidation_indicator": "rsi_14"} | rest)
