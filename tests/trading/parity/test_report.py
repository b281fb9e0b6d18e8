"""A day is explained when nothing is left of any pair and of the balances; nothing cancels something else."""

from datetime import date
from decimal import Decimal

import pytest

from trading.market import Pair
from trading.parity import Kind, PairParity, ParityReport


def report(*unexplained: str, residual: str = "0") -> ParityReport:
    """Pairs that earned what is unexplained, in balances that moved by `residual` more."""
    earned = [Decimal(each) for each in unexplained]
    pairs = [
        PairParity(
            Pair(f"A{number}", "USDT"),
            Decimal(0),
            each,
            {Kind.UNEXPLAINED: each},
            (),
            candles=24,
            decisions=24,
        )
        for number, each in enumerate(earned)
    ]
    closing = 1000 + sum(earned) + Decimal(residual)
    none = Decimal(0)
    return ParityReport(date(2024, 3, 1), "a", "USDT", Decimal(1000), closing, none, none, none, pairs)


@pytest.mark.parametrize(
    ("unexplained", "residual", "left_over"),
    [(["-12.5"], "12.5", "25"), (["-3", "3"], "0", "6"), (["0"], "-2", "2"), (["2"], "0", "2")],
    ids=["a fill that no balance has", "two pairs", "balances alone", "a pair alone"],
)
def test_unexplained_amounts_do_not_cancel(unexplained: list[str], residual: str, left_over: str) -> None:
    found = report(*unexplained, residual=residual)
    assert found.left_over == Decimal(left_over)
    assert not found.is_explained
    assert "a part is unexplained" in found.headline


def test_what_floats_round_off_is_explained() -> None:
    found = report("1e-7", "-1e-7")
    assert found.is_explained
    assert "unexplained" not in found.headline
