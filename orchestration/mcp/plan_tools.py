"""Tools that plan changes, and the one that carries out a plan that a person has approved."""

import getpass
from typing import Annotated, Any, Literal

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.resolve import (
    AcceptedElicitation,
    DeclinedElicitation,
    Elicit,
    ElicitationResult,
    Resolve,
)
from pydantic import BaseModel, Field

from orchestration.mcp.answers import quoted, raising_advice
from orchestration.mcp.audit import caller
from orchestration.mcp.halting_actions import KILL, PAUSE
from orchestration.mcp.http_access import WRITE
from orchestration.mcp.materialising_action import MATERIALISE
from orchestration.mcp.ordering_action import ORDER
from orchestration.mcp.planning import PlannedAction, carry_out, make_plan, plans
from orchestration.services import Services
from trading.errors import InvalidValue, NotAuthorised
from trading.stores.postgres.tool_plans import PlanState, ToolPlan

ACTIONS: dict[str, PlannedAction] = {each.name: each for each in (MATERIALISE, PAUSE, KILL, ORDER)}
THROUGH = "the client's dialogue"
BY_HAND = (
    "a person looks at it with `marketloom mcp plans` and approves it with `marketloom mcp approve CODE`, both in a "
    "terminal; then call execute_plan again"
)
Reason = Annotated[
    str,
    Field(description="Why, in one sentence; the person who decides reads it", min_length=3, max_length=500),
]
PlanId = Annotated[str, Field(description="The plan_id of a plan_... tool's answer", max_length=40)]
Number = Annotated[str, Field(description="A decimal number; empty: chosen by the rules", max_length=40)]


def plan_materialise(
    job: Annotated[str, Field(description="Such as history, news or daily_parity", max_length=60)],
    reason: Reason,
    partition: Annotated[
        str, Field(description="Such as 2024-03-01|BTC-USDT for history, 2024-03-14 for news", max_length=80)
    ] = "",
) -> dict[str, Any]:
    """Plan to make one partition of a job's assets again. Nothing is run before a person has approved the plan."""
    return _plan(MATERIALISE, {"job": job, "partition": partition}, reason)


def plan_pause(reason: Reason) -> dict[str, Any]:
    """Plan to open no position from now on; what is open stays protected. A person approves it, and alone ends it."""
    return _plan(PAUSE, {}, reason)


def plan_kill(reason: Reason) -> dict[str, Any]:
    """Plan to pause and to close every position at the market. A person approves it, and alone ends the pause."""
    return _plan(KILL, {}, reason)


def plan_order(
    pair: Annotated[str, Field(description="Such as BTC/USDT", max_length=40)],
    action: Literal["LONG", "SHORT", "CLOSE"],
    reason: Reason,
    quantity: Annotated[
        str, Field(description="Base asset, at most; empty: what risk allows; not with CLOSE", max_length=40)
    ] = "",
    stop: Number = "",
    take_profit: Number = "",
) -> dict[str, Any]:
    """Plan one order at the market. Risk judges it now and again later; no argument can raise a limit.

    Nothing is sent before a person has approved the plan.
    """
    asked = {"pair": pair, "action": action, "quantity": quantity, "stop": stop, "take_profit": take_profit}
    return _plan(ORDER, asked, reason)


def list_plans(count: Annotated[int, Field(ge=1, le=50)] = 10) -> dict[str, Any]:
    """List the newest plans and how far each is. What a person approves them with is not among it."""
    return {"plans": [_shown(each) for each in plans(Services.current()).newest(count)]}


class Consent(BaseModel):
    """What a person types."""

    account: str = Field(
        title="Account",
        description="Type the account's name to approve exactly this plan; anything else declines it",
    )


@raising_advice
def ask_person(plan_id: PlanId, ctx: Context[Any, Any]) -> Elicit[Consent] | None:
    """Ask the person at the client, where there is a dialogue and one is enough; None: nobody is asked here."""
    _require_right()
    services = Services.current()
    plan = plans(services).plan(plan_id)
    if plan.state is not PlanState.WAITING or plan.expired:
        return None
    if not _dialogue_is_enough(services) or not _has_dialogue(ctx):
        return None
    return Elicit(f"{plan.words}\nTo approve it, type the account's name: {plan.account}", Consent)


def _dialogue_is_enough(services: Services) -> bool:
    """Return whether no real money is at stake: nobody can see from here whether a person or a program answers."""
    return services.settings.mcp.elicitation and not services.plan_answers.is_real()


def _has_dialogue(ctx: Context[Any, Any]) -> bool:
    known = ctx.client_capabilities
    asked = known.elicitation if known else None
    return asked is not None and (asked.form is not None or asked.url is None)


def execute_plan(
    plan_id: PlanId, consent: Annotated[ElicitationResult[Consent], Resolve(ask_person)]
) -> dict[str, Any]:
    """Carry out a plan, once, after a person has approved it: in the client's dialogue, or in a terminal.

    Where what it was planned on has changed, nothing is done.
    """
    store = plans(Services.current())
    plan = store.plan(plan_id)
    if isinstance(consent, DeclinedElicitation):
        return _shown(store.decide(plan_id, approved=False, by=caller(getpass.getuser()), through=THROUGH))
    if not isinstance(consent, AcceptedElicitation):
        raise ToolError(f"the dialogue was closed, nothing was decided: plan {plan_id} waits; {BY_HAND}")
    answer: object = consent.data  # None where nobody was asked
    if isinstance(answer, Consent):
        typed = answer.account.strip()
        by = caller(getpass.getuser())
        plan = store.decide(plan_id, approved=typed == plan.account, by=by, through=THROUGH)
        if plan.state is PlanState.DECLINED:
            raise InvalidValue(
                f"{typed[:60]!r} is not {plan.account}: plan {plan_id} is declined, nothing was done"
            )
    elif plan.state is PlanState.WAITING and not plan.expired:
        raise ToolError(f"nobody has approved plan {plan_id}: {BY_HAND}")
    return _shown(carry_out(ACTIONS[plan.action], plan_id))


def _plan(action: PlannedAction, request: dict[str, Any], reason: str) -> dict[str, Any]:
    _require_right()
    plan = make_plan(action, request, reason, caller(f"a program of {getpass.getuser()}"))
    return {
        **_shown(plan),
        "next": f"call execute_plan with this plan_id: it asks a person; without a dialogue, {BY_HAND}",
    }


def _shown(plan: ToolPlan) -> dict[str, Any]:
    names = ("plan_id", "action", "account", "state", "created_at", "expires_at", "outcome")
    return {
        **{name: getattr(plan, name) for name in names},
        "words": quoted(plan.words),
        "standing": plan.standing,
    }


def _require_right() -> None:
    token = get_access_token()
    if token is not None and WRITE not in token.scopes:
        raise NotAuthorised(f"this token lets its holder read: planning a change needs the scope {WRITE}")
