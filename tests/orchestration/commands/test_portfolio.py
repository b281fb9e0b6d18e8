"""`marketloom portfolio`: the same facts for a person and for a program."""

import io
import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from orchestration.commands.portfolio import portfolio_facts, show
from tests.ml.decision.decision_world import ACCOUNT, DecisionWorld
from tests.ml.decision.trading_day import PAIR
from trading.errors import NotStored

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two decisions: the first one buys, the second sees what that brought."""
    world = DecisionWorld(tmp_path_factory.mktemp("policies"))
    newest = world.newest
    for at in (newest - HOUR, newest):
        world.execute(at)
    stored = world.journal.snapshots_since(ACCOUNT.name, newest - HOUR)
    return portfolio_facts(world.reader.account, newest, stored)


def printed(facts: dict[str, Any]) -> str:
    out = io.StringIO()
    show(facts, Console(file=out, width=160))
    return out.getvalue()


def test_the_parts_since_the_opening_add_up_to_the_change_of_equity(facts: dict[str, Any]) -> None:
    parts = facts["since_opening"]
    assert (
        sum(parts[name] for name in ("realised", "unrealised", "revaluation", "transfers", "fees"))
        == parts["equity"]
    )
    assert parts["equity"] == facts["equity"] - facts["opened_with"]
    assert parts["fees"] < 0


def test_an_open_position_has_its_price_its_gain_and_its_levels(facts: dict[str, Any]) -> None:
    (position,) = facts["positions"]
    assert position["pair"] == str(PAIR)
    assert position["stop_loss"] < position["entry_price"] < position["take_profit"]
    gain = position["quantity"] * (position["price"] - position["entry_price"])
    assert position["unrealised_pnl"] == facts["unrealised_pnl"] == pytest.approx(gain)


def test_each_snapshot_says_why_equity_moved_since_the_one_before(facts: dict[str, Any]) -> None:
    first, second = facts["history"]
    assert first["change"] is None
    assert second["equity"] - first["equity"] == second["change"]["equity"]


def test_a_person_reads_the_same_figures(facts: dict[str, Any]) -> None:
    text = printed(facts)
    assert f"{facts['equity']:.2f} USDT" in text
    for name in ("realised", "unrealised", "revaluation", "transfers", "fees"):
        assert f"{facts['since_opening'][name]:+.2f}" in text
    assert "no closed trade" in text
    assert str(facts["positions"][0]["quantity"]) in text


def test_the_newest_minute_of_the_stream_is_shown_where_there_is_one(facts: dict[str, Any]) -> None:
    assert "on the stream's prices" not in printed(facts)
    minute = {
        "at": facts["at"], "equity": Decimal("2000.5"), "unrealised_pnl": Decimal("-3"), "gross_exposure": None,
    }  # fmt: skip
    assert (
        f"on the stream's prices at {facts['at']:%Y-%m-%d %H:%M} UTC: 2000.50 USDT, of it -3.00 USDT unrealised, "
        "exposed with unknown"
    ) in printed(facts | {"newest_minute": minute}).replace("\n", " ")


def test_the_facts_are_json_with_exact_amounts(facts: dict[str, Any]) -> None:
    read = json.loads(json.dumps(facts, default=str))
    assert Decimal(read["equity"]) == facts["equity"]
    assert read["history"][1]["change"].keys() == {
        "equity",
        "realised",
        "unrealised",
        "revaluation",
        "transfers",
        "fees",
    }


def test_an_account_that_never_decided_says_what_opens_it(tmp_path: Path) -> None:
    world = DecisionWorld(tmp_path)
    with pytest.raises(NotStored, match="its first decision opens it"):
        portfolio_facts(world.reader.account, world.newest, [])
