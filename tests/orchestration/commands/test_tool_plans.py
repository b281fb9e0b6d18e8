"""`marketloom mcp plans`, `approve`, `decline`, `calls`: what a person sees and says at a terminal."""

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from orchestration.cli import app
from orchestration.commands.tool_plans import approve_plan
from orchestration.system import POSTGRES
from tests.contracts.test_tool_plans import CALL, new
from trading.errors import InvalidValue, NotStored
from trading.stores.postgres.tool_calls import PostgresToolCalls
from trading.stores.postgres.tool_plans import PlanState, PostgresToolPlans


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def plans(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PostgresToolPlans:
    monkeypatch.setenv("MARKETLOOM_HOME", str(tmp_path))
    monkeypatch.setenv(POSTGRES, dsn)
    made = PostgresToolPlans(dsn)
    made.add(new(), 60)
    return made


def typed(text: str, monkeypatch: pytest.MonkeyPatch, code: str = "code-one") -> str:
    """Approve at a terminal; returns what was shown."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdin", Terminal(f"{text}\n"))
    approve_plan(code, "grace", Console(file=out, width=200))
    return out.getvalue()


def test_a_person_sees_the_plan_and_types_the_accounts_name(
    plans: PostgresToolPlans, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = typed("paper", monkeypatch)
    assert "Pause." in shown
    assert "planned by ada" in shown
    assert (plans.plan("one").state, plans.plan("one").decided_by) == (PlanState.APPROVED, "grace")
    with pytest.raises(InvalidValue, match="approved by grace"):
        typed("paper", monkeypatch)


def test_another_word_approves_nothing(plans: PostgresToolPlans, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidValue, match="that is not paper"):
        typed("yes", monkeypatch)
    assert plans.plan("one").state is PlanState.WAITING


def test_the_plans_own_id_is_no_code(plans: PostgresToolPlans, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotStored, match="no plan has the code"):
        typed("paper", monkeypatch, code="one")


def test_the_commands_show_decide_and_count(plans: PostgresToolPlans, dsn: str) -> None:
    PostgresToolCalls(dsn).begin(CALL)
    run = CliRunner().invoke
    listed = run(app, ["mcp", "plans"])
    assert "CODE-ONE" in listed.stdout
    assert "waits for a person" in listed.stdout
    refused = run(app, ["mcp", "approve", "code-one"])
    assert "nobody sits here" in str(refused.exception)
    assert run(app, ["mcp", "decline", "code-one", "--by", "grace"]).exit_code == 0
    assert plans.plan("one").state is PlanState.DECLINED
    assert "no plan waits" in run(app, ["mcp", "plans"]).stdout
    assert "declined by grace" in run(app, ["mcp", "plans", "--all"]).stdout
    assert "its process died" in run(app, ["mcp", "calls"]).stdout
