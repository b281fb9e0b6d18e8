"""The assessment of one proposal: its numbers converted once, its size, and the verdict of every rule."""

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal, localcontext
from operator import attrgetter

from trading.market import Instrument
from trading.orders import Side
from trading.risk.correlation import correlated_size
from trading.risk.exact import EXACT, ONE, exact_limits, number, on_grid
from trading.risk.limits import Limits
from trading.risk.rule_inputs import AccountAmounts, AmountsPerUnit, RuleInputs, VenueTerms
from trading.risk.rules import ENTRY_ONLY, RULES
from trading.risk.sizing import allowed_leverage, closing_bound, entry_bound, spendable_balance
from trading.risk.values import (
    AccountState,
    Ages,
    Answer,
    MarketState,
    Proposal,
    RiskAssessment,
)

_amounts = attrgetter(*AccountAmounts._fields)
_terms = attrgetter(*VenueTerms._fields)
_SKIPPED = Answer(0, 0, True, ("guards entries only; this order closes",))


def assess(
    proposal: Proposal,
    state: AccountState,
    market: MarketState,
    ages: Ages,
    instrument: Instrument,
    limits: Limits,
) -> RiskAssessment:
    """Return every rule's verdict and the size that all of them allow; never raises, whatever the numbers are.

    The rejection reason is the first rule that fails. An order that closes a position skips the rules that only
    guard entries, and the numbers that it does not need: a position that cannot be closed is never the safe side.
    """
    with localcontext(EXACT):
        inputs = build_rule_inputs(
            proposal=proposal, state=state, market=market, ages=ages, instrument=instrument, limits=limits
        )
        answers = _answers(inputs)
        failed = next((name for name, answer in answers.items() if not answer.passes), None)
        trailing_after = inputs.entry + inputs.sign * inputs.exact.trailing_after * inputs.risked
    protected = failed is None and not proposal.reduces
    return RiskAssessment(
        approved=failed is None,
        adjusted_size=inputs.size if failed is None else Decimal(0),
        adjusted_leverage=inputs.leverage if failed is None else ONE,
        stop_loss_price=inputs.stop if protected else None,
        take_profit_price=inputs.take_profit if protected else None,
        trailing_after_price=trailing_after if protected else None,
        trailing_distance=inputs.risked if protected else None,
        rejection_reason=f"{failed}: {answers[failed].sentence}" if failed else "",
        answers=answers,
    )


def _answers(inputs: RuleInputs) -> dict[str, Answer]:
    if inputs.proposal.reduces:
        return {name: _SKIPPED if name in ENTRY_ONLY else rule(inputs) for name, rule in RULES.items()}
    return {name: rule(inputs) for name, rule in RULES.items()}


def build_rule_inputs(
    proposal: Proposal,
    state: AccountState,
    market: MarketState,
    ages: Ages,
    instrument: Instrument,
    limits: Limits,
) -> RuleInputs:
    """Convert every number and size the order; to be called inside EXACT, never raises."""
    exact = exact_limits(limits)
    account = AccountAmounts._make(map(number, _amounts(state)))
    terms = VenueTerms._make(map(number, _terms(instrument)))
    buys = proposal.side is Side.BUY
    sign, entry, proposed_stop = (1 if buys else -1), number(proposal.entry), number(proposal.stop)
    # The stop moves towards the entry: rounding never risks more. The target moves away: it never earns less.
    rounding = ROUND_CEILING if buys else ROUND_FLOOR
    stop = on_grid(proposed_stop, terms.price_increment, rounding)
    allowed = allowed_leverage(proposal, market, exact, terms)
    leverage = ONE if proposal.reduces else min(number(proposal.leverage), allowed)
    per_unit = AmountsPerUnit(
        risk=sign * (entry - proposed_stop) * account.quote_rate,
        value=entry * account.quote_rate,
        cost=entry * (ONE + leverage * terms.taker_fee) if buys else ONE,
    )
    spendable = leverage * spendable_balance(proposal, exact, account, per_unit)
    if proposal.reduces:
        bound, share = closing_bound(proposal, spendable, per_unit), ONE
    else:
        bound = entry_bound(exact, account, spendable, per_unit)
        share = correlated_size(market, instrument, limits, exact)
    return RuleInputs(
        proposal=proposal,
        state=state,
        market=market,
        ages=ages,
        instrument=instrument,
        limits=limits,
        exact=exact,
        account=account,
        terms=terms,
        sign=sign,
        entry=entry,
        stop=stop,
        take_profit=on_grid(number(proposal.take_profit), terms.price_increment, rounding),
        risked=sign * (entry - stop),
        leverage=leverage,
        allowed_leverage=allowed,
        per_unit=per_unit,
        spendable=spendable,
        correlated_share=share,
        bound=bound,
        size=on_grid(bound.quantity * share, terms.quantity_increment, ROUND_DOWN),
    )
