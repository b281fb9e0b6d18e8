"""An order that a program proposes: risk judges it for the plan, a person approves it, and risk judges it again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from ml.agents.opinions import Action
from ml.decision.approved_order import ApprovedOrder, JudgedOrder, ProposedOrder
from ml.decision.decision_id import decision_id
from ml.decision.plain_json import to_json_value, values_sha256
from ml.decision.proposed_order import OrderedProposal, ProposedOrders
from orchestration.mcp.market_tools import known_pair
from orchestration.mcp.planning import Draft
from orchestration.services import Services
from trading.errors import InvalidValue, NotStored
from trading.orders import Side
from trading.stores.postgres.tool_plans import ToolPlan


@dataclass(frozen=True, slots=True)
class Ordering:
    """The order becomes a decision like any other; its id follows from the plan's, so that it is never made twice."""

    name: str = "order"

    def draft(self, services: Services, request: Mapping[str, Any]) -> Draft:
        """Let risk judge the order now. InvalidValue with its reason where it refuses."""
        order = _order(services, request)
        judged = _judge(services, order)
        if judged.refusal:
            raise InvalidValue(f"risk refuses the order, nothing is planned: {judged.refusal}")
        return Draft(_terms(judged), _facts(services, judged), _words(services, judged))

    def facts(self, services: Services, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Read again what it rests on. That risk refuses it now is no fact: carrying it out says so, in a receipt."""
        return _facts(services, _judge(services, _order(services, request)))

    def carry_out(self, services: Services, plan: ToolPlan) -> Mapping[str, Any]:
        """Commit the decision and carry it out. InvalidValue where risk refuses it now: its receipt says why."""
        approved = _approved(services, plan)
        identity = approved.identity
        try:
            done = _orders(services).carry_out(approved, services.input_reader.read_clock())
        except Exception as error:
            if not _is_committed(services, identity):
                raise
            words = f"committed, and not followed to its end: {type(error).__name__}: {error}"
            return {"decision_id": identity, "outcome": f"{words}; it is sent once: `status` shows the order"}
        return _outcome(identity, done)


def _judge(services: Services, order: ProposedOrder) -> JudgedOrder:
    return _orders(services).judge(order, services.input_reader.read_clock())


def _facts(services: Services, judged: JudgedOrder) -> dict[str, Any]:
    """Return what an entry rests on; of a CLOSE only which position it closes: less of it needs no other approval."""
    order, held = judged.order, judged.inputs.position
    if order.action is Action.CLOSE:
        return {"position": held and [judged.proposal.side, held.opened_at]}
    mine = [each.intent.intent_id for each in judged.inputs.working if each.intent.pair == order.pair]
    return {
        "dataset": services.dataset,
        "limits_sha256": values_sha256(to_json_value(asdict(services.settings.risk))),
        "position": held and [f"{held.quantity:f}", held.opened_at],
        "orders": sorted(mine),
    }


def _approved(services: Services, plan: ToolPlan) -> ApprovedOrder:
    order = _order(services, plan.request)
    return ApprovedOrder(
        order,
        identity=decision_id(f"{plan.account}|plan {plan.plan_id}", order.pair, plan.created_at),
        why=f"proposed by {plan.caller}, approved by {plan.decided_by} ({plan.decided_through})",
        approval=_origin(plan),
    )


def _outcome(identity: str, done: OrderedProposal) -> dict[str, Any]:
    outcome = done.receipt["outcome"]
    if done.receipt["intent"] is None:
        raise InvalidValue(f"nothing was ordered: {outcome} (marketloom why {identity[:8]})")
    return {
        "decision_id": identity,
        "outcome": outcome,
        "order": done.order and done.order.status,
        "filled": done.order and done.order.filled,
    }


def _origin(plan: ToolPlan) -> dict[str, Any]:
    return {
        "plan_id": plan.plan_id,
        "caller": plan.caller,
        "approved_by": plan.decided_by,
        "approved_through": plan.decided_through,
        "reason": plan.request["reason"],
        "words": plan.words,
    }


def _is_committed(services: Services, identity: str) -> bool:
    """Return whether the order is in the ledger: then it goes out, whatever has failed since."""
    try:
        services.journal.decision(identity)
    except NotStored:
        return False
    return True


def _orders(services: Services) -> ProposedOrders:
    return ProposedOrders(services.input_reader, services.rules, services.journal, services.order_executor)


def _order(services: Services, request: Mapping[str, Any]) -> ProposedOrder:
    numbers = {
        name: _number(name, request.get(name))
        for name in ("quantity", "stop", "take_profit", "planned_at_price")
    }
    return ProposedOrder(
        pair=known_pair(services, str(request["pair"])),
        action=Action(request["action"]),
        price_move=Decimal(repr(services.settings.mcp.price_move)),
        **numbers,
    )


def _number(name: str, text: Any) -> Decimal | None:
    if text in (None, ""):
        return None
    try:
        number = Decimal(str(text))
    except InvalidOperation:
        number = Decimal("NaN")
    if not (number.is_finite() and number > 0):
        raise InvalidValue(f"{name} is {str(text)[:40]!r}: write a number above zero, such as 0.05")
    return number


def _terms(judged: JudgedOrder) -> dict[str, Any]:
    """Return what a person approves, exactly: from here on no level or quantity is chosen again."""
    order = judged.order
    opens = order.action is not Action.CLOSE
    return {
        "pair": order.pair,
        "action": order.action,
        "quantity": judged.quantity if opens else None,
        "stop": order.stop,
        "take_profit": order.take_profit,
        "planned_at_price": Decimal(repr(judged.inputs.close)),
    }


def _words(services: Services, judged: JudgedOrder) -> str:
    order, pair, close = judged.order, judged.order.pair, Decimal(repr(judged.inputs.close))
    verb = "buy" if judged.proposal.side is Side.BUY else "sell"
    worth = judged.quantity * close
    what = f"Order: {verb} {judged.quantity:f} {pair.base} at the market, about {worth:.2f} {pair.quote} at {close:f}"
    if order.action is Action.CLOSE:
        what += f", which closes the position of {pair}"
    else:
        assert order.stop is not None
        risked = abs(close - order.stop) * judged.quantity
        what += f"; stop {order.stop:.8g}, which would lose about {risked:.2f} {pair.quote}"
        what += f"; target {order.take_profit:.8g}"
    move = services.settings.mcp.price_move
    return (
        f"{what}. Risk allows it now, and judges it again before it is sent: it can become smaller, never larger. "
        f"Refused if the price has moved by more than {move:.2%}."
    )


ORDER = Ordering()
