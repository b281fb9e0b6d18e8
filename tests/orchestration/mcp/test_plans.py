"""Plans and what a person says of them, through the SDK's own client, on paper: nothing happens without that word."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import count
from typing import Any

import anyio
import psycopg
import pytest
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult

from ml.parity.recorded_day import NOT_OF_CANDLES
from orchestration.commands import tool_plans
from orchestration.kill_switch import KillSwitch
from orchestration.mcp.audit import Audit
from orchestration.mcp.catalogue import READING, tools
from orchestration.mcp.planning import plans
from orchestration.mcp.server import build_server
from orchestration.plan_answers import answer_plan
from orchestration.postgres.embedded import EmbeddedPostgres
from tests.orchestration.mcp.tool_home import PAIR, ToolHome, data, tool_home
from trading.errors import StoreUnreachable
from trading.execution import Execution, OrderExecutor
from trading.orders import OrderStatus
from trading.stores.postgres.tool_calls import PostgresToolCalls
from trading.stores.postgres.tool_plans import PlanState

pytestmark = pytest.mark.anyio
WHY = "a person has asked for it"


@pytest.fixture(scope="module")
def filled(postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToolHome]:
    with tool_home(tmp_path_factory.mktemp("plans"), postgres_server.dsn) as opened:
        opened.fill()
        yield opened


@pytest.fixture
def home(filled: ToolHome) -> Iterator[ToolHome]:
    """The home with an account without a position, a halt or a plan."""
    yield filled
    KillSwitch(filled.services.home).release()
    with psycopg.connect(filled.services.dsn) as connection:
        connection.execute("TRUNCATE tool_plans")
    reset(filled)


def reset(home: ToolHome) -> None:
    """Forget what the account did since its first decision."""
    with psycopg.connect(home.services.dsn) as connection:
        connection.execute("DELETE FROM halts")


class Person:
    """Who sits at the client: answers its dialogue, and remembers what was shown."""

    def __init__(self, answer: str | None) -> None:
        self.answer = answer  # None: declines
        self.shown: list[str] = []

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        self.shown.append(params.message)
        if self.answer is None:
            return ElicitResult(action="decline")
        return ElicitResult(action="accept", content={"account": self.answer})


@asynccontextmanager
async def client_of(
    home: ToolHome, person: Person | None = None, mode: str = "auto"
) -> AsyncIterator[Client]:
    audit = Audit(PostgresToolCalls(home.services.dsn), "memory", "ada")
    server = build_server(audit, tools(write=True))
    async with Client(server, elicitation_callback=person, mode=mode) as opened:
        yield opened


@pytest.fixture
async def client(home: ToolHome) -> AsyncIterator[Client]:
    """A client without a dialogue."""
    async with client_of(home) as opened:
        yield opened


async def plan(client: Client, name: str, **arguments: Any) -> dict[str, Any]:
    return data(await client.call_tool(name, {"reason": WHY, **arguments}))


async def execute(client: Client, planned: dict[str, Any]) -> Any:
    return await client.call_tool("execute_plan", {"plan_id": planned["plan_id"]})


def approve(home: ToolHome, planned: dict[str, Any]) -> None:
    plans(home.services).decide(planned["plan_id"], approved=True, by="grace", through="a test")


async def test_there_are_at_most_twenty_and_only_one_changes_anything(client: Client) -> None:
    listed = (await client.list_tools()).tools
    assert len(listed) <= 20
    assert [each.name for each in listed][: len(READING)] == [each.name for each in READING]
    annotated = {each.name: each.annotations for each in listed if each.annotations}
    assert len(annotated) == len(listed)
    assert [name for name, each in annotated.items() if each.destructive_hint] == ["execute_plan"]


async def test_a_pause_waits_for_a_person_and_its_code_is_nowhere_in_the_answers(
    client: Client, home: ToolHome
) -> None:
    planned = await plan(client, "plan_pause")
    refused = await execute(client, planned)
    assert refused.is_error
    assert "marketloom mcp approve" in str(refused.content)
    assert KillSwitch(home.services.home).requested() == ""
    [stored] = tool_plans.read_plans(every=False)
    listed = data(await client.call_tool("plans", {}))
    assert stored["code"] not in json.dumps([planned, listed, str(refused)])
    assert "Pause: open no position" in stored["words"]
    assert WHY in stored["words"]


async def test_an_approved_pause_is_carried_out_once(client: Client, home: ToolHome) -> None:
    planned = await plan(client, "plan_pause")
    approve(home, planned)
    done = data(await execute(client, planned))
    assert done["state"] == "done"
    assert "pulled by grace" in KillSwitch(home.services.home).requested()
    again = await execute(client, planned)
    assert again.is_error
    assert "carried out, approved by grace" in str(again.content)


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
async def test_a_person_at_the_client_approves_in_its_dialogue(home: ToolHome, mode: str) -> None:
    person = Person(home.services.account.name)
    async with client_of(home, person, mode) as client:
        done = data(await execute(client, await plan(client, "plan_pause")))
    assert done["state"] == "done"
    [shown] = person.shown
    assert "Pause: open no position" in shown
    assert f"Account: {home.services.account.name}, paper money" in shown


@pytest.mark.parametrize("answer", [None, "yes"])
async def test_a_person_who_says_anything_else_declines_for_good(home: ToolHome, answer: str | None) -> None:
    async with client_of(home, Person(answer)) as client:
        planned = await plan(client, "plan_pause")
        await execute(client, planned)
        again = await execute(client, planned)
    assert "declined" in str(again.content)
    assert KillSwitch(home.services.home).requested() == ""


async def test_the_dialogue_is_not_enough_where_the_settings_say_so_or_money_is_real(
    home: ToolHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = Person(home.services.account.name)
    async with client_of(home, person) as client:
        planned = await plan(client, "plan_pause")
        monkeypatch.setenv("MARKETLOOM__MCP__ELICITATION", "false")
        refused = await execute(client, planned)
        monkeypatch.delenv("MARKETLOOM__MCP__ELICITATION")
        monkeypatch.setattr("orchestration.live.LiveGate.is_asked_for", True)
        live = await execute(client, planned)
    assert "nobody has approved" in str(refused.content)
    assert "nobody has approved" in str(live.content)
    assert person.shown == []


async def test_a_plan_expires(client: Client, home: ToolHome) -> None:
    planned = await plan(client, "plan_pause")
    approve(home, planned)
    with psycopg.connect(home.services.dsn) as connection:
        connection.execute("UPDATE tool_plans SET expires_at = clock_timestamp()")
    assert "expired" in str((await execute(client, planned)).content)
    assert KillSwitch(home.services.home).requested() == ""


async def test_what_was_planned_on_other_facts_is_refused(
    client: Client, home: ToolHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = await plan(client, "plan_order", pair="BTC/USDT", action="LONG")
    approve(home, planned)
    monkeypatch.setenv("MARKETLOOM__RISK__POSITION_CAP", "0.1")
    refused = await execute(client, planned)
    assert "rests on has changed (limits_sha256)" in str(refused.content)
    assert home.services.journal.positions(home.services.account.name) == []
    assert plans(home.services).plan(planned["plan_id"]).state is PlanState.FAILED


async def test_a_plan_whose_record_is_another_one_than_was_approved_is_refused(
    client: Client, home: ToolHome
) -> None:
    planned = await plan(client, "plan_order", pair="BTC/USDT", action="LONG", quantity="0.002")
    approve(home, planned)
    larger = (
        "UPDATE tool_plans SET request = jsonb_set(request, '{quantity}', '\"0.012\"') WHERE plan_id = %s"
    )
    with psycopg.connect(home.services.dsn, autocommit=True) as connection:
        assert connection.execute(larger, (planned["plan_id"],)).rowcount == 1
    refused = await execute(client, planned)
    assert "is not what it was when it was made" in str(refused.content)
    assert home.services.journal.positions(home.services.account.name) == []


@pytest.mark.parametrize("reason", ["   ", "\u200b\u200b\u200b"])
async def test_a_reason_that_nobody_can_read_is_none(client: Client, home: ToolHome, reason: str) -> None:
    refused = await client.call_tool("plan_pause", {"reason": reason})
    assert "the reason is empty" in str(refused.content)
    assert plans(home.services).newest(1) == []


async def test_plans_without_end_are_refused(client: Client) -> None:
    for _ in range(20):
        await plan(client, "plan_pause")
    refused = await client.call_tool("plan_pause", {"reason": WHY})
    assert "20 plans of account" in str(refused.content)


async def test_data_are_made_again_as_a_run_that_the_ui_shows(client: Client, home: ToolHome) -> None:
    planned = await plan(client, "plan_materialise", job="market_setup")
    assert "instruments" in planned["words"]
    approve(home, planned)
    done = data(await execute(client, planned))
    assert done["outcome"]["run_id"]


@pytest.mark.parametrize(
    ("job", "partition", "words"),
    [
        ("decide", "BTC-USDT", "there are market_setup"),
        ("promotion", "BTC-USDT", "there are market_setup"),
        ("market_setup", "BTC-USDT", "has no partitions"),
        ("history", "1999-01-01|BTC-USDT", "its newest are"),
    ],
)
async def test_what_trades_or_does_not_exist_cannot_be_made(
    client: Client, job: str, partition: str, words: str
) -> None:
    refused = await client.call_tool("plan_materialise", {"job": job, "partition": partition, "reason": WHY})
    assert words in str(refused.content)


async def test_an_order_is_a_decision_with_receipt_and_ledger_and_a_kill_closes_it(
    client: Client, home: ToolHome
) -> None:
    journal, account = home.services.journal, home.services.account.name
    planned = await plan(client, "plan_order", pair="BTC/USDT", action="LONG", quantity="0.002")
    assert "buy 0.002 BTC" in planned["words"].replace("0.00200000", "0.002")
    assert journal.positions(account) == []
    approve(home, planned)
    done = data(await execute(client, planned))["outcome"]
    receipt = journal.decision(done["decision_id"])
    assert (done["order"], Decimal(done["filled"])) == (OrderStatus.FILLED, Decimal("0.002"))
    assert receipt["risk"]["approved"]
    assert receipt["proposed"]["approval"]["approved_by"] == "grace"
    replayed = data(await client.call_tool("replay", {"decision_id": done["decision_id"]}))
    assert replayed["verdict"] == "identical"
    assert receipt["scope"] in NOT_OF_CANDLES
    [position] = journal.positions(account)
    assert (position.pair, position.quantity) == (PAIR, Decimal("0.002"))
    assert position.stop_loss is not None
    explained = data(await client.call_tool("why", {"decision_id": done["decision_id"]}))
    assert "approved by grace" in explained["explanation"]
    second = await client.call_tool("plan_order", {"pair": "BTC/USDT", "action": "LONG", "reason": WHY})
    assert "is open: propose CLOSE first" in str(second.content)

    closing = await plan(client, "plan_order", pair="BTC/USDT", action="CLOSE")
    approve(home, closing)
    kill = await plan(client, "plan_kill")
    assert "close every position that is open then at the market (now 0.002 BTC/USDT)" in kill["words"]
    approve(home, kill)
    assert len(data(await execute(client, kill))["outcome"]["closed"]) == 1
    assert journal.positions(account) == []
    assert "nothing to close" in str((await execute(client, closing)).content)
    entry = await client.call_tool("plan_order", {"pair": "BTC/USDT", "action": "LONG", "reason": WHY})
    assert "risk refuses the order, nothing is planned: kill switch" in str(entry.content)


async def test_a_position_is_closed_by_an_order_like_one_that_a_decision_closes(
    client: Client, home: ToolHome
) -> None:
    for action in ("LONG", "CLOSE"):
        planned = await plan(client, "plan_order", pair="BTC/USDT", action=action)
        approve(home, planned)
        assert data(await execute(client, planned))["outcome"]["order"] == OrderStatus.FILLED
    assert home.services.journal.positions(home.services.account.name) == []


async def test_an_order_that_was_committed_before_something_failed_is_not_called_failed(
    client: Client, home: ToolHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = await plan(client, "plan_order", pair="BTC/USDT", action="LONG")
    approve(home, planned)
    carry_out, calls = OrderExecutor.carry_out, count(1)

    def dying(self: OrderExecutor, account: str, at: datetime) -> Execution:
        if next(calls) == 2:  # after the commit
            raise StoreUnreachable("PostgreSQL went away")
        return carry_out(self, account, at)

    with monkeypatch.context() as patch:
        patch.setattr(OrderExecutor, "carry_out", dying)
        done = data(await execute(client, planned))
    assert done["state"] == "done"
    assert "committed, and not followed to its end" in done["outcome"]["outcome"]
    services = home.services
    services.order_executor.carry_out(services.account.name, services.clock().at)
    assert len(services.journal.positions(services.account.name)) == 1
    kill = await plan(client, "plan_kill")
    approve(home, kill)
    data(await execute(client, kill))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"action": "CLOSE"}, "nothing to close"),
        ({"quantity": "0.0000001"}, "less than the venue takes"),
        ({"quantity": "much"}, "a number above zero"),
        ({"stop": "1"}, "risk refuses the order"),
        ({"stop": "10000000"}, "risk refuses the order"),
        ({"pair": "DOGE/USDT"}, "choose one of"),
    ],
)
async def test_what_risk_or_the_rules_refuse_is_not_even_planned(
    client: Client, home: ToolHome, changes: dict[str, str], words: str
) -> None:
    refused = await client.call_tool(
        "plan_order", {"pair": "BTC/USDT", "action": "LONG", "reason": WHY, **changes}
    )
    assert refused.is_error
    assert words in str(refused.content)
    assert tool_plans.read_plans(every=True) == []


async def test_an_order_planned_before_a_kill_is_refused_after_it(client: Client, home: ToolHome) -> None:
    planned = await plan(client, "plan_order", pair="BTC/USDT", action="LONG")
    approve(home, planned)
    pause = await plan(client, "plan_pause")
    approve(home, pause)
    data(await execute(client, pause))
    refused = await execute(client, planned)
    assert "kill switch" in str(refused.content)
    assert home.services.journal.positions(home.services.account.name) == []


async def test_a_kill_closes_what_is_left_where_a_position_has_become_smaller(
    client: Client, home: ToolHome
) -> None:
    """A protective exit between plan and kill makes less to close: no reason to close nothing."""
    services, account = home.services, home.services.account.name
    opened = [await plan(client, "plan_order", pair=pair, action="LONG") for pair in ("BTC/USDT", "XRP/USDT")]
    for each in opened:
        approve(home, each)
        data(await execute(client, each))
    kill = await plan(client, "plan_kill")
    approve(home, kill)
    services.order_executor.flatten(account, services.clock().at, "flattened by a stop", [PAIR])
    assert [str(each.pair) for each in services.journal.positions(account)] == ["XRP/USDT"]
    done = data(await execute(client, kill))
    assert (done["state"], len(done["outcome"]["closed"])) == ("done", 1)
    assert services.journal.positions(account) == []
    assert "pulled by grace" in KillSwitch(services.home).requested()


async def test_a_close_is_carried_out_whatever_halts_began_meanwhile(client: Client, home: ToolHome) -> None:
    closing = None
    for name, arguments in (
        ("plan_order", {"pair": "BTC/USDT", "action": "LONG"}),
        ("plan_order", {"pair": "BTC/USDT", "action": "CLOSE"}),
        ("plan_pause", {}),
    ):
        planned = await plan(client, name, **arguments)
        approve(home, planned)
        if arguments.get("action") == "CLOSE":
            closing = planned
        else:
            data(await execute(client, planned))
    assert closing is not None
    assert data(await execute(client, closing))["outcome"]["order"] == OrderStatus.FILLED
    assert home.services.journal.positions(home.services.account.name) == []


async def test_a_kill_that_finds_nothing_to_close_still_halts(
    client: Client, home: ToolHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await plan(client, "plan_order", pair="BTC/USDT", action="LONG")
    approve(home, order)
    data(await execute(client, order))
    kill = await plan(client, "plan_kill")
    approve(home, kill)
    monkeypatch.setenv("MARKETLOOM__RISK__POSITION_CAP", "0.1")
    services = home.services
    services.order_executor.flatten(services.account.name, services.clock().at, "flattened by a stop")
    assert data(await execute(client, kill))["state"] == "done"
    assert "pulled by grace" in KillSwitch(services.home).requested()


async def test_what_waits_is_among_what_status_shows_without_its_code(client: Client, home: ToolHome) -> None:
    planned = await plan(client, "plan_pause")
    shown = data(await client.call_tool("status", {}))
    [waiting] = shown["plans"]
    assert waiting["plan_id"] == planned["plan_id"]
    [stored] = tool_plans.read_plans(every=False)
    assert stored["code"] not in json.dumps(shown)
    approve(home, planned)
    assert data(await client.call_tool("status", {}))["plans"] == []


async def answer_in_ui(home: ToolHome, code: str, answer: str, **config: str) -> bool:
    """Run the job in a thread of its own, as this one has a loop; returns whether it succeeded."""
    run = partial(
        answer_plan.execute_in_process,
        resources={"plan_answers": home.services.plan_answers},
        run_config={
            "ops": {"note_answer": {"config": {"code": code, "answer": answer, "by": "grace", **config}}}
        },
        raise_on_error=False,
    )
    return (await anyio.to_thread.run_sync(run)).success


async def test_a_person_approves_in_the_ui_and_the_run_shows_what(
    client: Client, home: ToolHome, capfd: pytest.CaptureFixture[str]
) -> None:
    planned = await plan(client, "plan_pause")
    [stored] = tool_plans.read_plans(every=False)
    account = home.services.account.name
    assert not await answer_in_ui(home, stored["code"], "APPROVE", account="yes")
    assert not await answer_in_ui(home, stored["code"], "APPROVE", account=account, by=" ")
    assert not await answer_in_ui(home, "WRONG", "APPROVE", account=account)
    assert plans(home.services).plan(planned["plan_id"]).state is PlanState.WAITING
    capfd.readouterr()
    assert await answer_in_ui(home, stored["code"], "APPROVE", account=account)
    assert "Pause: open no position" in capfd.readouterr().err
    approved = plans(home.services).plan(planned["plan_id"])
    assert approved.state is PlanState.APPROVED
    assert approved.standing.startswith("approved by grace (Dagster's UI, run ")
    assert data(await execute(client, planned))["state"] == "done"


async def test_in_the_ui_a_plan_is_declined_and_real_money_is_not_approved(
    client: Client, home: ToolHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = await plan(client, "plan_pause")
    [stored] = tool_plans.read_plans(every=False)
    monkeypatch.setattr("orchestration.live.LiveGate.is_asked_for", True)
    assert not await answer_in_ui(home, stored["code"], "APPROVE", account=home.services.account.name)
    assert plans(home.services).plan(planned["plan_id"]).state is PlanState.WAITING
    assert await answer_in_ui(home, stored["code"], "DECLINE")
    assert plans(home.services).plan(planned["plan_id"]).state is PlanState.DECLINED


async def test_without_a_terminal_nobody_approves(client: Client, home: ToolHome) -> None:
    await plan(client, "plan_pause")
    [stored] = tool_plans.read_plans(every=False)
    with pytest.raises(Exception, match="run `marketloom mcp approve` in a terminal"):
        tool_plans.approve_plan(stored["code"], "", home.console)
