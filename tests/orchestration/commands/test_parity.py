"""The exit code of `marketloom parity` says whether every part has a cause, whatever cancels what."""

from datetime import date
from decimal import Decimal

import pytest

from orchestration.commands.parity import EXPLAINED, UNEXPLAINED, exit_code, facts
from trading.market import Pair
from trading.parity import Kind, PairParity, ParityReport


@pytest.mark.parametrize(
    ("unexplained", "closing", "code"),
    [("-12.5", "1000", UNEXPLAINED), ("0", "1001", UNEXPLAINED), ("0", "1000", EXPLAINED)],
    ids=["a fill that no balance has", "a balance that no fill has", "nothing"],
)
def test_a_fill_that_no_balance_has_is_no_success(unexplained: str, closing: str, code: int) -> None:
    none, part = Decimal(0), Decimal(unexplained)
    pair = PairParity(Pair("BTC", "USDT"), none, part, {Kind.UNEXPLAINED: part}, (), candles=24, decisions=24)
    report = ParityReport(
        date(2024, 3, 1), "a", "USDT", Decimal(1000), Decimal(closing), none, none, none, [pair]
    )
    assert exit_code(report) == code
    assert facts(report)["explained"] is (code == EXPLAINED)
    assert bool(facts(report)["left_over"]) is (code == UNEXPLAINED)
