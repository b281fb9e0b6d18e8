"""What `marketloom status` says of who decides."""

import pytest

from orchestration.commands.status import decided_line

PAIRS = ("BTC/USDT", "XRP/USDT")


@pytest.mark.parametrize(
    ("served", "decided", "text"),
    [
        (False, (), "  decisions: none, `marketloom dev` does not run"),
        (True, PAIRS, "  decisions: the sensors are on"),
        (
            True,
            (),
            "  decisions: the sensor is off for every pair; its switch is in the UI, under Automation",
        ),
        (
            True,
            ("BTC/USDT",),
            "  decisions: the sensor is off for XRP/USDT; its switch is in the UI, under Automation",
        ),
    ],
)
def test_pairs_on_which_nothing_is_decided_are_named_with_the_reason(
    served: bool, decided: tuple[str, ...], text: str
) -> None:
    assert decided_line({"dev_runs": served, "pairs": decided}, PAIRS).plain == text
