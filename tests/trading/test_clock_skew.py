from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.doubles.kraken import KrakenDouble, running
from trading.clock_skew import ClockSkew
from trading.venues.kraken import KrakenClient


@given(skew=st.floats(-1e5, 1e5), sent=st.floats(1e9, 2e9), way=st.floats(0, 10), back=st.floats(0, 10))
def test_the_true_skew_is_never_outside_what_is_stated(
    skew: float, sent: float, way: float, back: float
) -> None:
    second = float(int(sent + way + skew))
    measured = ClockSkew.between(sent, sent + way + back, second)
    assert abs(measured.seconds - skew) <= measured.uncertainty + 1e-5
    assert measured.uncertainty <= (1 + way + back) / 2 + 1e-5


@pytest.mark.parametrize(
    ("seconds", "uncertainty", "exceeds"),
    [(2.0, 0.0, False), (2.1, 0.0, True), (-2.1, 0.0, True), (2.4, 0.5, False), (18_000.0, 0.6, True)],
)
def test_clocks_differ_too_much_only_when_that_is_sure(
    seconds: float, uncertainty: float, exceeds: bool
) -> None:
    assert ClockSkew(seconds, uncertainty).surely_exceeds(2.0) is exceeds


def test_a_machine_clock_five_hours_slow_is_measured_through_the_client(tmp_path: Path) -> None:
    """Whatever this machine's clock says, the venue's time is known."""
    slow = 5 * 3600.0
    truth = datetime(2026, 3, 1, 12, tzinfo=UTC)
    with running(KrakenDouble()) as double:
        double.now = truth.timestamp
        machine = truth - timedelta(seconds=slow)
        with KrakenClient(tmp_path, None, double.url, now=machine.timestamp) as client:
            skew = client.clock_skew()
    assert skew.seconds == pytest.approx(slow, abs=skew.uncertainty)
    assert skew.surely_exceeds(2.0)
    assert abs(skew.venue_time(machine) - truth) <= timedelta(seconds=skew.uncertainty)
