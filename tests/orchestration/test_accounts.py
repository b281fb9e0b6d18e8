"""An account is a name and the origin of its prices on paper, else a venue and a key; never a timeframe."""

from pathlib import Path

import pytest

from orchestration.services import Services
from orchestration.settings import load_settings
from orchestration.venues import sandbox_credentials
from streaming.sandbox.keys import Keys
from streaming.sandbox.server import ACCOUNT, KEYS_FILE

SANDBOX = {"MARKETLOOM__VENUE__MODE": "sandbox", "MARKETLOOM__MARKET__SOURCE": "sandbox"}


def name(home: Path, **variables: str) -> str:
    return Services(load_settings({"MARKETLOOM_HOME": str(home), **variables}), home, dsn="").account.name


def make_key(home: Path) -> None:
    store = home / "sandbox" / KEYS_FILE
    store.parent.mkdir(parents=True, exist_ok=True)
    Keys(store).issue(ACCOUNT)


@pytest.mark.parametrize("variables", [{}, SANDBOX])
def test_another_timeframe_is_the_same_account(tmp_path: Path, variables: dict[str, str]) -> None:
    make_key(tmp_path)
    names = {name(tmp_path, **variables, MARKETLOOM__MARKET__TIMEFRAME=each) for each in ("15m", "1h", "4h")}
    assert len(names) == 1


def test_on_paper_another_name_or_origin_of_prices_is_another_account(tmp_path: Path) -> None:
    assert name(tmp_path) == "paper-main-simulated"
    assert name(tmp_path, MARKETLOOM__VENUE__ACCOUNT="ada") == "paper-ada-simulated"
    assert name(tmp_path, MARKETLOOM__MARKET__SOURCE="files") == "paper-main-binance"


def test_at_a_venue_another_key_is_another_account_whatever_the_settings_call_it(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    make_key(first)
    make_key(second)
    found = name(first, **SANDBOX)
    assert found == f"sandbox-{sandbox_credentials(first).fingerprint[:8]}"
    assert found == name(first, **SANDBOX, MARKETLOOM__VENUE__ACCOUNT="ada")
    assert found != name(second, **SANDBOX)


def test_a_sandbox_that_never_ran_has_no_key_and_no_account(tmp_path: Path) -> None:
    assert name(tmp_path, **SANDBOX) == "sandbox-without-key"
