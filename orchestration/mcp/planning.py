"""Plans: what would be done, in the server's own words; a person's word; and then exactly that, once."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ml.decision.plain_json import to_json_value, values_sha256
from orchestration.mcp.answers import cleaned
from orchestration.services import Services
from trading.errors import InvalidValue
from trading.stores.postgres.tool_plans import NewPlan, PostgresToolPlans, ToolPlan

LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # none is taken for another one
CODE_LETTERS = 10
MAX_REASON = 200
MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Draft:
    """What an action would do now. `request` has everything that was left open filled in.

    `facts` is what it rests on: where one of them is another one later, the plan is void.
    """

    request: Mapping[str, Any]
    facts: Mapping[str, Any]
    words: str


class PlannedAction(Protocol):
    """One kind of change."""

    @property
    def name(self) -> str: ...

    def draft(self, services: Services, request: Mapping[str, Any]) -> Draft:
        """Say what would be done; nothing is changed. Raises where it cannot be done."""

    def facts(self, services: Services, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Read what a plan rests on again, as `draft` has read it. Raises where it cannot be done at all."""

    def carry_out(self, services: Services, plan: ToolPlan) -> Mapping[str, Any]:
        """Do it, with all limits of the server, and return what became of it."""


def make_plan(action: PlannedAction, request: Mapping[str, Any], reason: str, caller: str) -> ToolPlan:
    """Draft the action and store it for a person, who reads the server's words and the program's reason."""
    services = Services.current()
    draft = action.draft(services, request)
    facts = plain_facts(services, draft.facts)
    said = " ".join(cleaned(reason, MAX_REASON).split())
    if not said:
        raise InvalidValue("the reason is empty: say in one sentence why, the person who decides reads it")
    wanted = to_json_value({**draft.request, "reason": said})
    words = "\n".join(
        [
            draft.words,
            f"Account: {facts['account']}, {MONEY[services.traded.venue]}.",
            f'Reason that the program gives, which nobody has checked: "{said}"',
        ]
    )
    plan = NewPlan(
        plan_id=secrets.token_hex(8),
        code="".join(secrets.choice(LETTERS) for _ in range(CODE_LETTERS)),
        action=action.name,
        account=str(facts["account"]),
        request=wanted,
        facts=facts,
        facts_sha256=_seal(facts, wanted, words),
        words=words,
        caller=caller,
    )
    return plans(services).add(plan, MINUTE * services.settings.mcp.plan_minutes)


MONEY = {
    "paper": "paper money",
    "sandbox": "the sandbox exchange on this machine",
    "kraken": "REAL MONEY at Kraken",
}


def plain_facts(services: Services, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return an action's facts and those of every plan: the account, and where its orders go."""
    common = {"account": services.traded.name, "venue": services.traded.venue}
    plain: dict[str, Any] = to_json_value({**common, **facts})
    return plain


def carry_out(action: PlannedAction, plan_id: str) -> ToolPlan:
    """Carry out an approved plan, once; what it rests on must be what it was.

    InvalidValue where it is not approved, has expired, was started before, or where a fact, or the plan's own record,
    has changed.
    """
    services = Services.current()
    store = plans(services)
    plan = store.start(plan_id)
    try:
        _require_same_facts(plan, plain_facts(services, action.facts(services, plan.request)))
        outcome = action.carry_out(services, plan)
    except Exception as error:
        store.end(plan_id, done=False, outcome={"error": f"{type(error).__name__}: {error}"})
        raise
    return store.end(plan_id, done=True, outcome=to_json_value(dict(outcome)))


def _require_same_facts(plan: ToolPlan, now: Mapping[str, Any]) -> None:
    if _seal(now, plan.request, plan.words) == plan.facts_sha256:
        return
    if plan.facts == now:
        raise InvalidValue(
            f"nothing was done: the record of plan {plan.plan_id} is not what it was when it was made; plan it again"
        )
    changed = sorted(name for name in plan.facts.keys() | now.keys() if plan.facts.get(name) != now.get(name))
    raise InvalidValue(
        f"nothing was done: what plan {plan.plan_id} rests on has changed ({', '.join(changed)}); plan it again, and "
        "let a person approve that"
    )


def _seal(facts: Mapping[str, Any], request: Mapping[str, Any], words: str) -> str:
    """Return the digest of all that a person approves: what would be done, in which words, resting on what."""
    return values_sha256({"facts": dict(facts), "request": dict(request), "words": words})


def plans(services: Services) -> PostgresToolPlans:
    return services.plan_answers.store
