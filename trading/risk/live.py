"""The rule that real money is only put into the market where every condition for it holds."""

from trading.risk.rule_inputs import RuleInputs
from trading.risk.values import Answer

NO_BOOK = "its order book was never seen verified: `marketloom dev` runs the stream that watches it"
NO_VOTE = "the champion has no vote in this decision: rules alone do not trade real money"


def live_permit(inputs: RuleInputs) -> Answer:
    """Refuse entries with real money while a condition is missing, and any beside real money that nobody watches.

    What was measured is the number of reasons against it.
    """
    permit = inputs.state.permit
    if permit is None:
        return Answer(0, 0, True, ("real money is not asked for",))
    against = list(permit.unwatched)
    if permit.is_live:
        against += permit.missing
        against += [NO_VOTE] if inputs.ages.policy_days is None else []
        against += [NO_BOOK] if inputs.ages.book_seconds is None else []
    if against:
        return Answer(len(against), 0, False, ("{}", "; ".join(against)))
    if permit.is_live:
        return Answer(0, 0, True, ("{}", "; ".join(permit.holds)))
    return Answer(0, 0, True, ("not real money: {}", "; ".join(permit.missing)))
