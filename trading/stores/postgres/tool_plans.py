"""Plans of changes that a person approves before they are carried out, in PostgreSQL. Each starts once, or never.

    waiting -> approved -> started -> done | failed
    waiting -> declined

All times are the server's own. A plan that has expired stays as it is and starts no more. One whose process died while
it was carried out stays started: its outcome is looked up where it would be, and it is never repeated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg.types.json import Jsonb

from trading.errors import InvalidValue, NotStored
from trading.ports import Message
from trading.stores.postgres.connection import Connection, Database
from trading.stores.postgres.outbox import append_many

MAX_WAITING = 20  # per account: nobody reads more, and a program in a loop must end
PLANS_LOCK = 0x706C616E
COLUMNS = """plan_id, code, action, account, request, facts, facts_sha256, words, caller, created_at, expires_at, state,
    expires_at <= clock_timestamp() AS expired, decided_by, decided_through, started_at, ended_at, outcome"""
ADD = f"""
INSERT INTO tool_plans (plan_id, code, action, account, request, facts, facts_sha256, words, caller, expires_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp() + make_interval(secs => %s)) RETURNING {COLUMNS}
"""
WAITING = """
SELECT count(*) AS plans FROM tool_plans
WHERE account = %s AND state IN ('waiting', 'approved') AND expires_at > clock_timestamp()
"""
THAT_WAIT = "WHERE state = 'waiting' AND expires_at > clock_timestamp()"
DECIDE = f"""
UPDATE tool_plans SET state = %s, decided_at = clock_timestamp(), decided_by = %s, decided_through = %s
WHERE plan_id = %s AND state = 'waiting' AND expires_at > clock_timestamp() RETURNING {COLUMNS}
"""
START = f"""
UPDATE tool_plans SET state = 'started', started_at = clock_timestamp()
WHERE plan_id = %s AND state = 'approved' AND expires_at > clock_timestamp() RETURNING {COLUMNS}
"""
END = f"""
UPDATE tool_plans SET state = %s, ended_at = clock_timestamp(), outcome = %s
WHERE plan_id = %s AND state = 'started' RETURNING {COLUMNS}
"""


class PlanState(StrEnum):
    """How far a plan is."""

    WAITING = "waiting"  # for a person
    APPROVED = "approved"
    DECLINED = "declined"
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class NewPlan:
    """A plan as it is made. `code` is what a person types to approve it; whoever asked for the plan never sees it."""

    plan_id: str
    code: str
    action: str
    account: str
    request: Mapping[str, Any]
    facts: Mapping[str, Any]
    facts_sha256: str
    words: str
    caller: str


@dataclass(frozen=True, slots=True)
class ToolPlan(NewPlan):
    """A stored plan."""

    created_at: datetime
    expires_at: datetime
    state: PlanState
    expired: bool
    decided_by: str | None
    decided_through: str | None
    started_at: datetime | None
    ended_at: datetime | None
    outcome: Mapping[str, Any] | None

    @property
    def waits(self) -> bool:
        """Return whether a person can still decide about it."""
        return self.state is PlanState.WAITING and not self.expired

    @property
    def title(self) -> str:
        """Return the first line of its words, which are the server's own: what would be done."""
        return self.words.partition("\n")[0]

    @property
    def standing(self) -> str:
        """Say in words how far it is."""
        by = f"{self.decided_by} ({self.decided_through})"
        if self.expired and self.state in (PlanState.WAITING, PlanState.APPROVED):
            return f"expired at {self.expires_at:%Y-%m-%d %H:%M:%S} UTC without being carried out"
        return {
            PlanState.WAITING: "waits for a person",
            PlanState.APPROVED: f"approved by {by}, not carried out yet",
            PlanState.DECLINED: f"declined by {by}",
            PlanState.STARTED: "started; without an end its process died meanwhile: look at what it would have done",
            PlanState.DONE: f"carried out, approved by {by}",
            PlanState.FAILED: f"failed, approved by {by}",
        }[self.state]


class PostgresToolPlans:
    """Every method is one transaction."""

    def __init__(self, dsn: str) -> None:
        self._database = Database(dsn)

    def add(self, plan: NewPlan, seconds: float) -> ToolPlan:
        """Store a plan that expires after so long, and tell people of it in the same transaction.

        InvalidValue while too many of the account wait for a person.
        """
        with self._database.transaction() as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (PLANS_LOCK,))
            waiting = connection.execute(WAITING, (plan.account,)).fetchone()
            if waiting and waiting["plans"] >= MAX_WAITING:
                raise InvalidValue(
                    f"{waiting['plans']} plans of account {plan.account} wait already: a person decides about them "
                    "with `marketloom mcp plans`, or they expire"
                )
            values = (
                plan.plan_id, plan.code, plan.action, plan.account, Jsonb(dict(plan.request)), Jsonb(dict(plan.facts)),
                plan.facts_sha256, plan.words, plan.caller, seconds,
            )  # fmt: skip
            added = _plan(connection.execute(ADD.encode(), values).fetchone())
            append_many(connection, [_waiting_alert(added)])
            return added

    def plan(self, plan_id: str) -> ToolPlan:
        """Return the plan. NotStored for an unknown one."""
        with self._database.reading() as connection:
            return _find(connection, "plan_id", plan_id)

    def with_code(self, code: str) -> ToolPlan:
        """Return the plan with this code. NotStored for an unknown one."""
        with self._database.reading() as connection:
            return _find(connection, "code", code)

    def newest(self, limit: int) -> list[ToolPlan]:
        """List the newest plans, newest first."""
        query = f"SELECT {COLUMNS} FROM tool_plans ORDER BY created_at DESC, plan_id LIMIT %s"
        with self._database.reading() as connection:
            return [_plan(row) for row in connection.execute(query.encode(), (limit,)).fetchall()]

    def waiting(self) -> list[ToolPlan]:
        """List the plans that wait for a person, newest first."""
        query = f"SELECT {COLUMNS} FROM tool_plans {THAT_WAIT} ORDER BY created_at DESC, plan_id"
        with self._database.reading() as connection:
            return [_plan(row) for row in connection.execute(query.encode()).fetchall()]

    def decide(self, plan_id: str, *, approved: bool, by: str, through: str) -> ToolPlan:
        """Note a person's word. InvalidValue unless it waits."""
        state = PlanState.APPROVED if approved else PlanState.DECLINED
        return self._step(DECIDE, (state, by, through, plan_id), plan_id)

    def start(self, plan_id: str) -> ToolPlan:
        """Begin to carry it out: to one caller, once. InvalidValue unless it is approved and has not expired."""
        return self._step(START, (plan_id,), plan_id)

    def end(self, plan_id: str, *, done: bool, outcome: Mapping[str, Any]) -> ToolPlan:
        """Note what became of it. InvalidValue unless it has started."""
        state = PlanState.DONE if done else PlanState.FAILED
        return self._step(END, (state, Jsonb(dict(outcome)), plan_id), plan_id)

    def _step(self, statement: str, values: tuple[Any, ...], plan_id: str) -> ToolPlan:
        with self._database.transaction() as connection:
            row = connection.execute(statement.encode(), values).fetchone()
            if row is None:
                standing = _find(connection, "plan_id", plan_id).standing
                raise InvalidValue(f"nothing was done: plan {plan_id} {standing}")
            return _plan(row)


def _waiting_alert(plan: ToolPlan) -> Message:
    """Return what people are told of a new plan: once, and without its code, which whoever reads alerts would have."""
    from trading.bus_messages import alert  # loading the graph must not import msgspec

    text = (
        f"plan {plan.plan_id} of account {plan.account} waits for a person until {plan.expires_at:%Y-%m-%d %H:%M:%S} "
        f"UTC: {plan.title} `marketloom mcp plans` shows all of it with its code; `marketloom mcp approve CODE` "
        "approves it, `marketloom mcp decline CODE` refuses it, and so does the job `answer_plan` in the UI"
    )
    return alert(
        f"account {plan.account}", "approval", "warning", text, plan.created_at, about=f"plan {plan.plan_id}"
    )


def _find(connection: Connection, column: str, value: str) -> ToolPlan:
    query = f"SELECT {COLUMNS} FROM tool_plans WHERE {column} = %s"
    row = connection.execute(query.encode(), (value,)).fetchone()
    if row is None:
        raise NotStored(f"no plan has the {column.replace('plan_id', 'id')} {value[:40]!r}")
    return _plan(row)


def _plan(row: dict[str, Any] | None) -> ToolPlan:
    assert row is not None
    return ToolPlan(**{**row, "state": PlanState(row["state"])})
