"""Texts in run configuration that are checked before a run starts.

Dagster runs the validators of pydantic inside the run, when its first step begins. The types here are Dagster's own:
it asks them whenever a run is launched, from the UI, a schedule or the command line, and a wrong text starts none.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dagster._config import ConfigScalar, ConfigScalarKind
from pydantic_core import CoreSchema, core_schema

from ml.backtests import parse_timeframe, parse_utc


class CheckedText(ConfigScalar):
    """A text that `check` accepts, or refuses with the reason; it stays a text."""

    def __init__(self, name: str, description: str, check: Callable[[str], object]) -> None:
        super().__init__(
            key=name, given_name=name, scalar_kind=ConfigScalarKind.STRING, description=description
        )
        self._check = check

    def post_process(self, value: str) -> str:
        self._check(value)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        """Tell pydantic what it is inside the run."""
        return core_schema.no_info_after_validator_function(self.post_process, core_schema.str_schema())


if TYPE_CHECKING:
    UtcTime = str
    TimeframeName = str
else:
    UtcTime = CheckedText("UtcTime", "A UTC day or time, such as 2020-02-21 or 2020-02-21T23:00.", parse_utc)
    TimeframeName = CheckedText("Timeframe", "1m 5m 15m 30m 1h 4h 1d", parse_timeframe)
