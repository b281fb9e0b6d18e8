"""One setting chooses where candles, features and the tape lie; who reads them does not notice."""

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from orchestration.commands.doctor import examine
from orchestration.commands.findings import Health
from orchestration.dataset_span import dataset_span
from orchestration.services import Services
from orchestration.settings import load_settings
from orchestration.stream_stores import build_tape
from orchestration.tables import candle_table, dataset_database
from tests.clickhouse import engine_client
from trading.candles import complete
from trading.errors import InvalidSettings
from trading.market import TIME, Pair, Timeframe
from trading.stores.clickhouse import ClickHouse, ClickHouseTable, ClickHouseTape
from trading.stores.lake import LakeTable
from trading.stores.live_candles import LiveCandles
from trading.stores.tape_lake import LakeTape

BTC = Pair("BTC", "USDT")


def settings_with(home: Path, **variables: str) -> Any:
    names = {"MARKETLOOM_HOME": str(home)}
    return load_settings(names | {f"MARKETLOOM__{name.upper()}": text for name, text in variables.items()})


@pytest.mark.parametrize(
    ("store", "table", "tape"),
    [("lake", LakeTable, LakeTape), ("clickhouse", ClickHouseTable, ClickHouseTape)],
)
def test_one_setting_chooses_the_analytical_store(
    tmp_path: Path, store: str, table: type, tape: type
) -> None:
    settings = settings_with(tmp_path, analytics__store=store)
    services = Services(settings, tmp_path, "")
    assert (type(services.candle_store), type(services.feature_store)) == (table, table)
    assert type(build_tape(settings, tmp_path)) is tape


def test_a_dataset_has_a_database_of_its_own(tmp_path: Path) -> None:
    settings = settings_with(
        tmp_path, analytics__store="clickhouse", market__source="cryptocompare:kraken", market__timeframe="1h"
    )
    assert dataset_database(settings).database == "marketloom_cryptocompare_kraken_1h"


@pytest.mark.parametrize(
    ("source", "until", "streamed"),
    [("kraken", "", True), ("sandbox", "", True), ("kraken", "2024-01-01", False), ("simulator", "", False)],
)
def test_decisions_read_through_the_stream_where_there_is_one(
    tmp_path: Path, source: str, until: str, streamed: bool
) -> None:
    settings = settings_with(tmp_path, market__source=source, market__until=f'"{until}"')
    reader = Services(settings, tmp_path, "").known_candles
    assert type(reader) is (LiveCandles if streamed else LakeTable)


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8123", "http://user:secret@127.0.0.1:8123", "http://", "http://host/path", "ftp://host"],
)
def test_an_address_that_is_none_or_has_a_password_is_refused_without_showing_it(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(InvalidSettings, match="CLICKHOUSE_PASSWORD") as error:
        settings_with(tmp_path, analytics__clickhouse_url=url)
    assert "analytics" in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.service
def test_what_reads_the_lake_reads_clickhouse_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = classmethod(lambda cls, url, database: ClickHouse(engine_client, f"of_{database}", url))
    monkeypatch.setattr(ClickHouse, "at", at)
    settings = settings_with(
        tmp_path, analytics__store="clickhouse", market__source="kraken", market__since='""'
    )
    opens = pl.Series("open_time", [dt.datetime(2013, 5, 1, tzinfo=dt.UTC)], TIME)
    numbers = pl.Series([1.0])
    candles = complete(
        pl.DataFrame([opens, *map(numbers.alias, ("open", "high", "low", "close", "volume"))]),
        Timeframe.M1,
        "kraken",
    )
    candle_table(settings, tmp_path).write(BTC, dt.date(2013, 5, 1), candles)
    assert dataset_span(settings, tmp_path, dt.date(2026, 1, 1)).first == dt.date(2013, 5, 1)
    assert not list(tmp_path.rglob("*.parquet"))


def test_doctor_says_that_clickhouse_does_not_answer_where_it_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETLOOM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("orchestration.commands.doctor._postgres", lambda home: "not looked at")
    monkeypatch.setattr("orchestration.commands.doctor._embedding_model", lambda: "not looked at")
    assert [each for each in examine() if each.what == "ClickHouse"] == []
    monkeypatch.setenv("MARKETLOOM__ANALYTICS__STORE", "clickhouse")
    monkeypatch.setenv("MARKETLOOM__ANALYTICS__CLICKHOUSE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("CLICKHOUSE_PASSWORD", "hunter2-secret")
    [found] = [each for each in examine() if each.what == "ClickHouse"]
    assert found.health is Health.BROKEN
    assert "127.0.0.1:1" in found.detail
    assert "secret" not in found.detail
