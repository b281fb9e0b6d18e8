"""Orders without an outcome, as a decision sees them: which entries must be cancelled, and how they are described."""

from ml.agents.opinions import Action
from ml.decision.inputs import DecisionInputs
from trading.orders import OrderKind, Side, WorkingOrder

TURNED = "the consensus wants {} now"


def entries_to_cancel(inputs: DecisionInputs, agreed: Action, closing: bool) -> dict[str, str]:
    """Return the id of each entry that must not be filled any more, with the reason.

    While a halt is active that is every entry of the account. Else it is the pair's, where the position is being
    closed, or the consensus does not want its side any more: also a HOLD ends what nobody would order now. A position
    that is open and stays leaves the rest of its entry alone.
    """
    if inputs.state.halts:
        halted = ", ".join(sorted({halt.kind.value for halt in inputs.state.halts}))
        entries = [each for each in inputs.working if each.intent.kind is OrderKind.ENTRY]
        return {each.intent.intent_id: f"halted: {halted}" for each in entries}
    if inputs.position is not None:
        stale = inputs.pending_entries if closing or inputs.exit_under_way else ()
    else:
        stale = tuple(each for each in inputs.pending_entries if side_of(each) is not agreed)
    return {each.intent.intent_id: TURNED.format("out" if closing else agreed.value) for each in stale}


def side_of(order: WorkingOrder) -> Action:
    """Return the side of an entry as the agents name it."""
    return Action.LONG if order.intent.side is Side.BUY else Action.SHORT


def describe(order: WorkingOrder) -> str:
    """Describe an order and how far it has come."""
    intent, state = order.intent, order.order
    known = f" ({state.reason})" if state.reason else ""
    return (
        f"{intent.side.value} {order.remaining:f} {intent.pair.base}, {state.status.value} since "
        f"{intent.created_at:%Y-%m-%d %H:%M} UTC{known}"
    )
