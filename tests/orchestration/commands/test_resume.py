"""`marketloom resume` and what `marketloom status` says of halts, over a real journal."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from orchestration.commands import resume, status
from orchestration.services import Services
from orchestration.settings import load_settings
from orchestration.system import POSTGRES
from orchestration.terminal import open_console
from trading.candles import complete
from trading.errors import InvalidValue, NotStored
from trading.market import TIME, month_of
from trading.risk import Halt, HaltKind

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)
PAUSE = Halt(HaltKind.DRAWDOWN, NOON, None, "equity 880 is 12.00% (limit 10.00%) below 1000, the equity peak")


@pytest.fixture
def services(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    """Let the commands find this database running already."""

    @contextmanager
    def running() -> Iterator[None]:
        yield

    monkeypatch.setenv(POSTGRES, dsn)
    monkeypatch.setenv("MARKETLOOM_HOME", str(tmp_path))
    monkeypatch.setattr(resume, "running_system", running)
    return Services(load_settings(), tmp_path, dsn)


def opened(services: Services) -> None:
    """850 of cash; one candle of every pair gives the account its clock."""
    services.journal.open_account(services.account.name, {services.account.quote: Decimal(850)}, NOON)
    services.instrument_file.write(list(services.known_instruments.values()))
    numbers = {name: [1.0] for name in ("open", "high", "low", "close", "volume")}
    frame = pl.DataFrame(
        {"open_time": [NOON], **numbers}, {"open_time": TIME, **dict.fromkeys(numbers, pl.Float64)}
    )
    rows = complete(frame, services.settings.market.universe.timeframe, "test")
    for pair in services.settings.market.pairs:
        services.candle_store.write(pair, month_of(NOON), rows)


def printed(facts: dict[str, object]) -> str:
    out = open_console()
    with out.capture() as captured:
        resume.show(facts, out)
    return captured.get()


def test_a_person_resumes_the_account_of_the_chosen_data(services: Services) -> None:
    name = services.account.name
    services.journal.begin_halts(name, [PAUSE])
    services.journal.raise_peak(name, Decimal(1000))
    opened(services)
    before = datetime.now(UTC)
    facts = resume.resume_trading("checked by hand", "", "ada")
    [halt] = services.journal.halts(name)
    assert halt.resume is not None
    assert (halt.resume.by, halt.resume.reason) == ("ada", "checked by hand")
    assert before - timedelta(seconds=1) <= halt.resume.at <= datetime.now(UTC)
    assert services.journal.peak(name) == 850
    assert "resumed by ada: checked by hand" in printed(facts)
    assert "12.00%" in printed(facts)


def test_another_account_can_be_named_and_the_user_is_the_one_who_resumes(services: Services) -> None:
    services.journal.begin_halts("other", [PAUSE])
    for day, equity in ((5, 990), (6, 880)):
        kept = {"equity": Decimal(equity), "balances": {}}
        services.journal.save_snapshot("other", NOON.replace(day=day), kept)
    facts = resume.resume_trading("checked [by hand]", "other", "")
    assert facts["account"] == "other"
    assert services.journal.peak("other") == 880
    assert facts["resumed_by"]
    assert "checked [by hand]" in printed(facts)


def test_an_account_that_was_never_valued_stays_paused(services: Services) -> None:
    services.journal.begin_halts("other", [PAUSE])
    with pytest.raises(NotStored, match="never valued"):
        resume.resume_trading("checked", "other", "ada")
    assert services.journal.halts("other") == [PAUSE]


def test_an_account_that_is_not_paused_is_an_error(services: Services) -> None:
    opened(services)
    with pytest.raises(NotStored, match="not paused"):
        resume.resume_trading("why not", "", "ada")


def test_a_resume_without_a_reason_is_an_error(services: Services) -> None:
    opened(services)
    services.journal.begin_halts(services.account.name, [PAUSE])
    with pytest.raises(InvalidValue, match="reason is empty"):
        resume.resume_trading("  ", "", "ada")


def test_status_lists_the_halts_that_hold(services: Services) -> None:
    day = Halt(
        HaltKind.DAILY_LOSS, NOON, NOON + timedelta(hours=12), "equity 960 is 4.00% (limit 3.00%) below 1000,"
    )
    services.journal.begin_halts(services.account.name, [PAUSE, day])
    facts = status.halts(services, NOON)
    assert [each["kind"] for each in facts] == ["drawdown", "daily loss"]
    assert [each["kind"] for each in status.halts(services, NOON + timedelta(days=1))] == ["drawdown"]


def test_status_names_accounts_of_earlier_settings_that_hold_something(services: Services) -> None:
    opened(services)
    assert status.other_accounts(services) == []
    services.journal.open_account("paper-simulated-1h", {"USDT": Decimal(2069)}, NOON)
    services.journal.open_account("empty", {"USDT": Decimal(0)}, NOON)
    [note] = status.other_accounts(services)
    assert "paper-simulated-1h" in note
    assert "empty" not in note
