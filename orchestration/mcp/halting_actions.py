"""Pause and kill, as `marketloom kill` does them. Only a person ends either: `marketloom resume`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestration.commands.kill import kill_account
from orchestration.kill_switch import KillSwitch
from orchestration.mcp.planning import Draft
from orchestration.services import Services
from trading.errors import InvalidValue
from trading.orders import OPENING
from trading.portfolio.exact import trim_zeros
from trading.stores.postgres.tool_plans import ToolPlan


@dataclass(frozen=True, slots=True)
class Halting:
    """`flatten`: every position is closed, too."""

    name: str
    flatten: bool

    def draft(self, services: Services, request: Mapping[str, Any]) -> Draft:
        """Say what would be cancelled and closed. InvalidValue where trading is halted so already."""
        account, journal = services.account.name, services.journal
        pulled = KillSwitch(services.home).requested()
        is_open = account in journal.accounts()
        positions = [f"{trim_zeros(each.quantity):f} {each.pair}" for each in journal.positions(account)]
        waiting = (
            [each for each in journal.working_orders(account) if each.intent.kind in OPENING]
            if is_open
            else []
        )
        if pulled and not (self.flatten and positions):
            raise InvalidValue(
                f"trading is halted already: {pulled}; a person ends it with `marketloom resume`"
            )
        held = ", ".join(positions) or "none"
        what = (
            f"Kill: close every position that is open then at the market (now {held})"
            if self.flatten
            else f"Pause: open no position from now on, keep those that are open ({held}) with their stops"
        )
        return Draft(
            request={},
            facts={},
            words=(
                f"{what}. Entries that wait are cancelled (now {len(waiting)}). Nothing is opened again before a "
                "person says so: `marketloom resume`."
            ),
        )

    def facts(self, services: Services, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Rest on nothing but the account itself: what is open when it is carried out is closed, less of it too."""
        return {}

    def carry_out(self, services: Services, plan: ToolPlan) -> Mapping[str, Any]:
        """Pull the kill switch, cancel what waits, close what is to be closed."""
        reason = f"{plan.request['reason']} (plan {plan.plan_id} of {plan.caller})"
        return kill_account(services, reason, self.flatten, str(plan.decided_by))


PAUSE, KILL = Halting("pause", flatten=False), Halting("kill", flatten=True)
