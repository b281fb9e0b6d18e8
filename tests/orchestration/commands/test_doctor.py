"""What is wrong with the machine is blamed on what names it."""

from pathlib import Path

import pytest

from orchestration.alerting import URLS
from orchestration.commands.doctor import examine_broker, examine_messengers, examine_port, examine_redis
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


def test_a_broker_that_does_not_answer_is_named_with_its_setting(tmp_path: Path) -> None:
    settings = load_settings({"MARKETLOOM_HOME": str(tmp_path), "MARKETLOOM__BUS__BROKERS": "127.0.0.1:1"})
    with pytest.raises(StoreUnreachable, match=r"127\.0\.0\.1:1 does not answer.*\[bus\] brokers"):
        examine_broker(settings)


def test_messengers_are_named_without_their_secrets_and_none_is_worth_a_note() -> None:
    silent = examine_messengers({})
    assert (silent.health, "MARKETLOOM_ALERT_URLS" in silent.detail) == (Health.NOTE, True)
    found = examine_messengers({URLS: "json://host/s3cret tgram://s3cret/s3cret json://s3cret@host"})
    assert found.health is Health.BROKEN
    assert "address 2" in found.detail
    assert "the others work: json, json-2" in found.detail
    assert "s3cret" not in found.detail
    well = examine_messengers({URLS: "json://user:s3cret@host"})
    assert (well.health, well.detail.partition(";")[0]) == (Health.OK, "json")


def test_a_redis_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    url = "redis://:secret@127.0.0.1:1/0"
    settings = load_settings({"MARKETLOOM_HOME": str(tmp_path), "MARKETLOOM__HOT__REDIS_URL": url})
    with pytest.raises(StoreUnreachable, match=r"127\.0\.0\.1:1/0 \(\[hot\] redis_url\)") as error:
        examine_redis(settings)
    assert "secret" not in str(error.value)


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
