"""The assessment of one proposal: its numbers converted once, its size, and the verdict of every rule."""

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal, localcontext
from operator import attrgetter

from trading.market import Instrument
from trading.orders import Side
from trading.risk.correlation import correlated_size
from trading.risk.exact import EXACT, ONE, exact_limits, number, on_grid
from trading.risk.limits import Limits
from trading.risk.rule_inputs import AccountAmounts, AmountsPerUnit, RuleInputs, VenueTerms
from trading.risk.rules import ENTRY_ONLY, POSITION_ONLY, PRE_CHECK, RULES, Rule
from trading.risk.sizing import closing_bound, entry_bound, spendable_balance
from trading.risk.values import (
    AccountState,
    Ages,
    Amount,
    Answer,
    MarketState,
    Proposal,
    RiskAssessment,
    not_judged,
)

_amounts = attrgetter(*AccountAmounts._fields)
_terms = attrgetter(*VenueTerms._fields)
_SKIPPED = Answer(0, 0, True, ("guards entries only; this order closes",))
_NO_POSITION = Answer(0, 0, True, ("guards positions only; this order opens none",))


def assess(
    proposal: Proposal,
    state: AccountState,
    market: MarketState,
    ages: Ages,
    instrument: Instrument,
    limits: Limits,
) -> RiskAssessment:
    """Return every rule's verdict and the size that all of them allow; never raises, whatever it is given.

    The rejection reason is the first rule that fails; a rule that cannot be judged fails. An order that closes a
    position skips the rules that only guard entries, and the numbers that it does not need: a position that cannot
    be closed is never the safe side.
    """
    try:
        with localcontext(EXACT):
            inputs = build_rule_inputs(
                proposal=proposal, state=state, market=market, ages=ages, instrument=instrument, limits=limits
            )
            answers = _answers(inputs)
            trailing_after = inputs.entry + inputs.sign * inputs.exact.trailing_after * inputs.risked
    except Exception as error:  # not even the size can be computed from what was given
        return _rejection(dict.fromkeys(RULES, not_judged(error)))
    if not all(answer.passes for answer in answers.values()):
        return _rejection(answers)
    protected = not (proposal.reduces or proposal.converts)
    return RiskAssessment(
        approved=True,
        adjusted_size=inputs.size,
        stop_loss_price=inputs.stop if protected else None,
        take_profit_price=inputs.take_profit if protected else None,
        trailing_after_price=trailing_after if protected else None,
        trailing_distance=inputs.risked if protected else None,
        rejection_reason="",
        answers=answers,
    )


def pre_check(
    pair_key: str,
    price: Amount,
    state: AccountState,
    market: MarketState,
    ages: Ages,
    instrument: Instrument,
    limits: Limits,
) -> RiskAssessment | None:
    """Return the refusal that every entry at this price would meet, before anything is proposed; None without one.

    It has the verdicts of `PRE_CHECK` alone. `ages` are those of every input that a vote may use. Never raises.
    """
    entry = Proposal(
        pair_key, Side.BUY, price, stop=None, take_profit=None, reduces=False, reduce_quantity=None
    )
    try:
        with localcontext(EXACT):
            inputs = build_rule_inputs(
                proposal=entry, state=state, market=market, ages=ages, instrument=instrument, limits=limits
            )
            answers = {name: _judge(RULES[name], inputs) for name in PRE_CHECK}
    except Exception as error:
        answers = dict.fromkeys(PRE_CHECK, not_judged(error))
    return None if all(answer.passes for answer in answers.values()) else _rejection(answers)


def _rejection(answers: dict[str, Answer]) -> RiskAssessment:
    failed = next(name for name, answer in answers.items() if not answer.passes)
    return RiskAssessment(
        approved=False,
        adjusted_size=Decimal(0),
        stop_loss_price=None,
        take_profit_price=None,
        trailing_after_price=None,
        trailing_distance=None,
        rejection_reason=f"{failed}: {answers[failed].sentence}",
        answers=answers,
    )


def _answers(inputs: RuleInputs) -> dict[str, Answer]:
    if inputs.proposal.converts:
        skipped, instead = POSITION_ONLY, _NO_POSITION
    else:
        skipped, instead = (ENTRY_ONLY if inputs.proposal.reduces else frozenset()), _SKIPPED
    return {name: instead if name in skipped else _judge(rule, inputs) for name, rule in RULES.items()}


def _judge(rule: Rule, inputs: RuleInputs) -> Answer:
    try:
        return rule(inputs)
    except Exception as error:  # a value of a kind that the rule cannot even compare
        return not_judged(error)


def build_rule_inputs(
    proposal: Proposal,
    state: AccountState,
    market: MarketState,
    ages: Ages,
    instrument: Instrument,
    limits: Limits,
) -> RuleInputs:
    """Convert every number and size the order; to be called inside EXACT."""
    exact = exact_limits(limits)
    account = AccountAmounts._make(map(number, _amounts(state)))
    terms = VenueTerms._make(map(number, _terms(instrument)))
    buys = proposal.side is Side.BUY
    sign, entry, proposed_stop = (1 if buys else -1), number(proposal.entry), number(proposal.stop)
    # The stop moves towards the entry: rounding never risks more. The target moves away: it never earns less.
    rounding = ROUND_CEILING if buys else ROUND_FLOOR
    stop = on_grid(proposed_stop, terms.price_increment, rounding)
    per_unit = AmountsPerUnit(
        risk=sign * (entry - proposed_stop) * account.quote_rate,
        value=entry * account.quote_rate,
        cost=entry * (ONE + terms.taker_fee) if buys else ONE,
    )
    spendable = spendable_balance(proposal, exact, account, per_unit)
    if proposal.reduces or proposal.converts:
        bound, share = closing_bound(proposal, spendable, per_unit), ONE
    else:
        wanted = None if proposal.wanted_share is None else number(proposal.wanted_share)
        bound = entry_bound(exact, account, spendable, per_unit, wanted)
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
        per_unit=per_unit,
        spendable=spendable,
        correlated_share=share,
        bound=bound,
        size=on_grid(bound.quantity * share, terms.quantity_increment, ROUND_DOWN),
    )
