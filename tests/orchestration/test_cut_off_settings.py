"""Two entries whose results bear one name are judged by what either may have read."""

from datetime import date

import pytest

from ml.models.specification import Provider
from orchestration.model_settings import ModelsSettings, NamedModelSettings

EARLY, LATE = date(2024, 1, 1), date(2025, 1, 1)


@pytest.mark.parametrize(
    ("days", "known"),
    [
        ((EARLY, LATE), {"ollama/qwen": LATE}),
        ((LATE, EARLY), {"ollama/qwen": LATE}),
        ((None, LATE), {}),
        ((LATE, None), {}),
    ],
)
def test_of_two_servers_with_one_name_the_latest_day_counts_and_an_unknown_one_leaves_none(
    days: tuple[date | None, date | None], known: dict[str, date]
) -> None:
    named = {
        f"server{number}": NamedModelSettings(
            provider=Provider.OLLAMA, model="qwen", base_url=f"http://gpu{number}:11434", cut_off=day
        )
        for number, day in enumerate(days)
    }
    settings = ModelsSettings(
        seconds=1.0,
        at_once=1,
        failures=1,
        pause_seconds=1.0,
        one_model_from=0.5,
        cached_from=0.9,
        prices=(),
        named=named,
    )
    assert settings.cut_offs.days == known
