"""A person's word about a plan that a program has made: given in a terminal, or as a run in Dagster's UI."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import dagster as dg

from trading.errors import InvalidValue
from trading.stores.postgres.tool_plans import PostgresToolPlans, ToolPlan

REAL_MONEY = "real money is at stake, or has been asked for: `marketloom mcp approve` in a terminal alone approves that"


class Answer(Enum):
    """What a person says of a plan."""

    APPROVE = "approve"
    DECLINE = "decline"


@dataclass(frozen=True, slots=True)
class PlanAnswers:
    """Where every such word goes, whatever it comes through. `is_real`: whether real money could be moved."""

    store: PostgresToolPlans
    is_real: Callable[[], bool]

    def waiting(self, code: str) -> ToolPlan:
        """Return the plan with this code. NotStored for an unknown one, InvalidValue unless it waits for a person."""
        plan = self.store.with_code(code.strip().upper())
        if not plan.waits:
            raise InvalidValue(f"plan {plan.plan_id} {plan.standing}")
        return plan

    def approve(self, plan: ToolPlan, typed: str, by: str, through: str) -> ToolPlan:
        """Note that a person has typed the account's name. InvalidValue for another word: the plan still waits."""
        if typed.strip() != plan.account:
            raise InvalidValue(f"that is not {plan.account}: nothing is approved, and nothing has changed")
        return self.store.decide(plan.plan_id, approved=True, by=by, through=through)

    def decline(self, plan: ToolPlan, by: str, through: str) -> ToolPlan:
        """Note that it must not be carried out."""
        return self.store.decide(plan.plan_id, approved=False, by=by, through=through)


class PlanAnswer(dg.Config):
    """What a person enters in the UI's launchpad."""

    code: str
    answer: Answer
    by: str
    account: str = ""


@dg.op(description="Note a person's word about one plan; `code` is what `marketloom mcp plans` shows for it.")
def note_answer(
    context: dg.OpExecutionContext, config: PlanAnswer, plan_answers: dg.ResourceParam[PlanAnswers]
) -> None:
    """Approve or decline the plan. InvalidValue, and nothing is changed, where that cannot be done here."""
    plan = plan_answers.waiting(config.code)
    for line in plan.words.splitlines():
        context.log.info(line)
    if not (by := config.by.strip()):
        raise InvalidValue("nobody is named: enter in `by` who decides")
    through = f"Dagster's UI, run {context.run_id[:8]}"
    if config.answer is Answer.DECLINE:
        decided = plan_answers.decline(plan, by, through)
    elif plan_answers.is_real():
        raise InvalidValue(REAL_MONEY)
    else:
        decided = plan_answers.approve(plan, config.account, by, through)
    context.log.info(f"plan {decided.plan_id}: {decided.standing}")


@dg.job(
    description="Approve or decline what a program has planned: its code, the answer, who decides, and to approve it "
    "the name of its account.",
    tags={
        "dagster/max_retries": "2"
    },  # of a process that died; an answer that was noted is never noted again
)
def answer_plan() -> None:
    note_answer()
