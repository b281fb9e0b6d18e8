"""What a supervisor is told of the end of a stream."""

from datetime import timedelta

import pytest

from streaming.bars.restart import AnotherMarket, check_same_market
from streaming.recorder.exit_codes import PERMANENT, ExitCode, exit_code
from tests.streaming.recorder.recorder_setup import START, trade
from trading.errors import InvalidSettings, LeaseLost, NotAuthorised, StoreUnreachable


def test_an_exchange_that_counts_anew_needs_a_person_and_no_restart() -> None:
    with pytest.raises(AnotherMarket, match="It is another exchange") as raised:
        check_same_market("sandbox", trade(5, START + timedelta(hours=1)), trade(900, START))
    assert exit_code(raised.value) is ExitCode.SETTINGS
    assert exit_code(raised.value) in PERMANENT


@pytest.mark.parametrize(
    ("error", "code", "lasts"),
    [
        (InvalidSettings("a key is wrong"), 2, True),
        (NotAuthorised("the key is refused"), 4, True),
        (LeaseLost("another stream took over"), 5, False),
        (StoreUnreachable("PostgreSQL does not answer"), 75, False),
        (KeyError("nobody expected this"), 70, False),
    ],
)
def test_each_end_has_its_code(error: Exception, code: int, lasts: bool) -> None:
    assert exit_code(error) == code
    assert (exit_code(error) in PERMANENT) is lasts
