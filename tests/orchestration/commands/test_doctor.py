"""What is wrong with the machine is blamed on what names it."""

from pathlib import Path

import pytest

from orchestration.commands.doctor import examine_port
from orchestration.commands.findings import Health
from orchestration.postgres.embedded import prepare_home
from orchestration.settings import load_settings
from orchestration.system import POSTGRES, postgres_addresses
from trading.errors import InvalidSettings, StoreUnreachable, UnusableHome


def test_a_host_that_is_none_is_a_finding_and_no_trace(tmp_path: Path) -> None:
    settings = load_settings(
        {"MARKETLOOM_HOME": str(tmp_path), "MARKETLOOM__DAGSTER__HOST": "no host of anybody"}
    )
    finding = examine_port(settings)
    assert finding.health is Health.BROKEN
    assert "MARKETLOOM__DAGSTER__HOST" in finding.detail


@pytest.mark.parametrize(
    ("address", "kind"),
    [("nonsense", InvalidSettings), ("postgresql://u:secret@127.0.0.1:1/db", StoreUnreachable)],
)
def test_a_wrong_server_of_ones_own_is_blamed_on_its_variable_without_the_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str, kind: type[Exception]
) -> None:
    monkeypatch.setenv(POSTGRES, address)
    with (
        pytest.raises(kind, match="environment variable MARKETLOOM_POSTGRES: ") as error,
        postgres_addresses(tmp_path),
    ):
        pass
    assert "secret" not in str(error.value)


def test_a_home_that_is_none_is_blamed_on_its_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "file"
    home.write_text("no folder")
    monkeypatch.setenv("MARKETLOOM_HOME", str(home))
    with pytest.raises(UnusableHome, match="environment variable MARKETLOOM_HOME names it"):
        prepare_home(home)
