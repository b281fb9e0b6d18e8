"""The services of a process follow its settings, also when they change."""

from pathlib import Path

import psycopg
import pytest

from orchestration.services import Services
from orchestration.system import POSTGRES
from trading.errors import NotStored
from trading.market import Instrument, Pair

SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"


def test_settings_that_change_often_leave_no_connections_behind(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETLOOM_HOME", str(tmp_path))
    monkeypatch.setenv(POSTGRES, dsn)

    def sessions_with(limit: int) -> int:
        monkeypatch.setenv("MARKETLOOM__RISK__FAILURES_IN_A_ROW", str(limit))
        services = Services.current()
        assert callable(services.clock)  # a circle: what the clock reads knows the services
        with pytest.raises(NotStored):
            services.journal.balances("nobody")
        with psycopg.connect(dsn) as connection:
            found = connection.execute(SESSIONS).fetchone()
        assert found is not None
        return int(found[0])

    first = sessions_with(3)
    assert [sessions_with(limit) for limit in range(4, 9)] == [first] * 5


@pytest.mark.parametrize("wanted", [False, True])
def test_a_challenger_decides_beside_live_decisions_where_the_settings_say_so(
    wanted: bool, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETLOOM_HOME", str(tmp_path))
    monkeypatch.setenv(POSTGRES, dsn)
    monkeypatch.setenv("MARKETLOOM__SHADOW__CHALLENGER", str(wanted).lower())
    monkeypatch.setattr(Services, "instruments", dict[Pair, Instrument]())  # none is stored
    assert Services.current().input_reader.challenges is wanted
