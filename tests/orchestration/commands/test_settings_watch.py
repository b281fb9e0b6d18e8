"""Settings that cannot be used are told of by the keeper: each fault once, and once more when it is corrected."""

import re
from pathlib import Path

import pytest

from orchestration.commands.settings_watch import SettingsWatch
from orchestration.settings import PROJECT
from streaming.bus.postgres import PostgresBus
from streaming.messages import ALERTS, AlertMessage, decode
from trading.errors import StoreUnreachable


def write(file: Path, cap: str) -> None:
    text = (PROJECT / "marketloom.toml").read_text()
    file.write_text(re.sub(r"(?m)^position_cap .*", f"position_cap = {cap}", text))


def told(dsn: str) -> list[tuple[str, str, str]]:
    reader = PostgresBus(dsn).reader([ALERTS], from_start=True)
    messages = [decode(each, AlertMessage) for each in reader.poll(100, 0)]
    reader.close()
    assert len({each.about for each in messages}) == len(messages)
    return [(each.kind, each.severity, each.text) for each in messages]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings of a user, which the environment names."""
    path = tmp_path / "mine.toml"
    write(path, "0.2")
    monkeypatch.setenv("MARKETLOOM_CONFIG", str(path))
    return path


def test_a_fault_is_told_of_once_and_that_it_is_corrected(dsn: str, file: Path) -> None:
    watch = SettingsWatch(dsn=dsn)
    watch.look()
    assert told(dsn) == []
    write(file, "20.0")
    for _ in range(3):
        watch.look()
    [(kind, severity, text)] = told(dsn)
    assert (kind, severity) == ("settings", "error")
    assert text.startswith(
        f"the settings cannot be used, nothing is decided until they are corrected: {file}"
    )
    assert "position_cap" in text
    write(file, "0.25")
    for _ in range(3):
        watch.look()
    assert told(dsn)[1:] == [("settings", "info", "the settings can be used again")]


def test_a_fault_that_could_not_be_told_is_told_with_the_next_look(dsn: str, file: Path) -> None:
    watch = SettingsWatch(dsn="postgresql://nobody@127.0.0.1:1/nothing")
    write(file, "20.0")
    with pytest.raises(StoreUnreachable):
        watch.look()
    watch.dsn = dsn
    watch.look()
    assert [severity for _, severity, _ in told(dsn)] == ["error"]
