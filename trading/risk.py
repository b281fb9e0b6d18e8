"""The rules that every order must pass: total, pure, and the last word before the venue.

Order: numbers, pair, status, candle age, policy age, sentiment age, drawdown, daily loss, stop-loss,
take-profit, risk per trade, position cap, total exposure, balance, quantity increment, minimum quantity,
minimum cost. The rejection reason is the first that fails. The size is the largest that the rules from risk
per trade to balance allow, rounded down. An order that closes a position skips the rules that only guard
entries and the numbers that it does not need: to be kept in a position is never the safe side.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext

from trading.limits import AccountState, Ages, Limits, Proposal, RiskAssessment, Verdict
from trading.market import Instrument, PairStatus
from trading.sizing import EXACT, Numbers, kept, needed, number, numbers, size

__all__ = ["AccountState", "Ages", "Limits", "Proposal", "RiskAssessment", "Verdict", "assess"]


def assess(
    proposal: Proposal, state: AccountState, ages: Ages, instrument: Instrument, limits: Limits
) -> RiskAssessment:
    """Every rule's verdict and the size that all of them allow; never raises, whatever the numbers are."""
    with localcontext(EXACT):
        amounts = numbers(proposal, state, instrument)
        quantity, bound_by = size(proposal, amounts, instrument, limits)
        case = _Case(proposal, state, ages, instrument, limits, amounts, quantity, bound_by)
        verdicts = tuple(_verdict(rule, name, case) for name, rule in RULES.items())
    failed = next((verdict for verdict in verdicts if not verdict.passes), None)
    priced = failed is None and not proposal.reduces
    return RiskAssessment(
        approved=failed is None,
        adjusted_size=quantity if failed is None else Decimal(0),
        adjusted_leverage=1.0,
        stop_loss_price=amounts.stop if priced else None,
        take_profit_price=amounts.take_profit if priced else None,
        rejection_reason=f"{failed.rule}: {failed.note}" if failed else "",
        verdicts=verdicts,
    )


@dataclass(frozen=True, slots=True)
class _Case:
    proposal: Proposal
    state: AccountState
    ages: Ages
    instrument: Instrument
    limits: Limits
    amounts: Numbers
    size: Decimal
    bound_by: str


@dataclass(frozen=True, slots=True)
class _Answer:
    value: Decimal | float
    limit: Decimal | float
    passes: bool
    note: str


_Rule = Callable[[_Case], _Answer]


def _verdict(rule: _Rule, name: str, case: _Case) -> Verdict:
    if case.proposal.reduces and name in ENTRY_ONLY:
        return Verdict(name, 0.0, 0.0, True, "guards entries only; this order closes")
    answer = rule(case)
    return Verdict(name, float(answer.value), float(answer.limit), answer.passes, answer.note)


def _numbers(case: _Case) -> _Answer:
    wrong = [
        f"{name} is {value}"
        for name, (value, zero_allowed) in needed(case.proposal, case.state, case.instrument).items()
        if not (number(value) > 0 or (zero_allowed and number(value) == 0))
    ]
    return _Answer(len(wrong), 0, not wrong, ", ".join(wrong) or "all finite and possible")


def _pair(case: _Case) -> _Answer:
    asked, known = case.proposal.pair_key, case.instrument.pair.key
    return _Answer(int(asked != known), 0, asked == known, f"{asked} proposed, instrument of {known}")


def _status(case: _Case) -> _Answer:
    status = case.instrument.status
    closable = case.proposal.reduces and status is PairStatus.REDUCE_ONLY
    passes = status is PairStatus.ONLINE or closable
    return _Answer(int(not passes), 0, passes, f"{case.instrument.pair} is {status}")


def _candle_age(case: _Case) -> _Answer:
    return _age(case.ages.candle, case.limits.candle_age, "candles")


def _policy_age(case: _Case) -> _Answer:
    return _age(case.ages.policy_days, case.limits.policy_age_days, "days")


def _sentiment_age(case: _Case) -> _Answer:
    return _age(case.ages.sentiment_hours, case.limits.sentiment_age_hours, "hours")


def _age(age: float | None, limit: float, unit: str) -> _Answer:
    if age is None:
        return _Answer(0, limit, True, "not used")
    # A negative age is a clock that disagrees, not a fresh input.
    return _Answer(age, limit, 0 <= age <= limit, f"{age:.1f} {unit} old, at most {limit:g}")


def _drawdown(case: _Case) -> _Answer:
    note = "below the equity peak; from {} on no new position is opened"
    return _loss(case.amounts.equity, case.amounts.equity_peak, case.limits.drawdown, note)


def _daily_loss(case: _Case) -> _Answer:
    note = "below the day's opening equity; from {} on no new position is opened"
    return _loss(case.amounts.equity, case.amounts.day_opening_equity, case.limits.daily_loss, note)


def _loss(equity: Decimal, before: Decimal, limit: float, note: str) -> _Answer:
    lost = (before - equity) / before
    passes = before > 0 and before - equity < number(limit) * before
    return _Answer(lost, limit, passes, f"{_percent(lost)} {note.format(_percent(limit))}")


def _stop_loss(case: _Case) -> _Answer:
    amounts, limit = case.amounts, case.limits.stop_distance
    distance = amounts.sign * (amounts.entry - amounts.stop)
    share = distance / amounts.entry
    passes = 0 < distance <= number(limit) * amounts.entry and amounts.stop > 0
    if case.proposal.stop is None:
        return _Answer(share, limit, False, "missing: no entry without a stop")
    side = "below" if amounts.sign > 0 else "above"
    return _Answer(
        share, limit, passes, f"{_percent(share)} {side} the entry, more than 0 and at most {_percent(limit)}"
    )


def _take_profit(case: _Case) -> _Answer:
    amounts, limit = case.amounts, case.limits.reward_risk
    reward = amounts.sign * (amounts.take_profit - amounts.entry)
    risked = amounts.sign * (amounts.entry - amounts.stop)
    passes = risked > 0 and reward >= number(limit) * risked and amounts.take_profit > 0
    if case.proposal.take_profit is None:
        return _Answer(reward / risked, limit, False, "missing: no entry without a take profit")
    return _Answer(
        reward / risked, limit, passes, f"reward {float(reward / risked):.2f} x the risk, at least {limit:g}"
    )


def _risk_per_trade(case: _Case) -> _Answer:
    return _share(case, case.size * case.amounts.unit_risk, case.limits.risk_per_trade, "lost at the stop")


def _position_cap(case: _Case) -> _Answer:
    value = case.amounts.position_value + case.size * case.amounts.unit_value
    return _share(case, value, case.limits.position_cap, "in this position")


def _total_exposure(case: _Case) -> _Answer:
    value = case.amounts.exposure_value + case.size * case.amounts.unit_value
    return _share(case, value, case.limits.total_exposure, "in all positions")


def _share(case: _Case, value: Decimal, limit: float, note: str) -> _Answer:
    share = value / case.amounts.equity
    passes = value <= number(limit) * case.amounts.equity and case.amounts.equity > 0
    return _Answer(share, limit, passes, f"{_percent(share)} of equity {note}, at most {_percent(limit)}")


def _balance(case: _Case) -> _Answer:
    pair = case.instrument.pair
    asset = pair.quote if case.amounts.sign > 0 else pair.base
    needed = case.size * case.amounts.unit_cost
    usable = (1 - kept(case.proposal, case.limits)) * case.amounts.balance
    return _Answer(needed, usable, needed <= usable, f"{needed:.8g} {asset} needed, {usable:.8g} to spend")


def _quantity_increment(case: _Case) -> _Answer:
    step = number(case.instrument.quantity_increment)
    left = case.size % step
    return _Answer(left, 0, left == 0, f"{case.size} in steps of {step}, bound by {case.bound_by}")


def _minimum_quantity(case: _Case) -> _Answer:
    least, base = number(case.instrument.minimum_quantity), case.instrument.pair.base
    note = f"{case.size} {base} is what {case.bound_by} leaves, at least {least}"
    return _Answer(case.size, least, case.size > 0 and case.size >= least, note)


def _minimum_cost(case: _Case) -> _Answer:
    least, quote = number(case.instrument.minimum_cost), case.instrument.pair.quote
    cost = case.size * case.amounts.entry
    return _Answer(cost, least, cost >= least, f"{cost:.8g} {quote}, at least {least}")


def _percent(share: Decimal | float) -> str:
    return f"{100 * float(share):.2f} %"


RULES: dict[str, _Rule] = {
    "numbers": _numbers,
    "pair": _pair,
    "status": _status,
    "candle age": _candle_age,
    "policy age": _policy_age,
    "sentiment age": _sentiment_age,
    "drawdown": _drawdown,
    "daily loss": _daily_loss,
    "stop-loss": _stop_loss,
    "take-profit": _take_profit,
    "risk per trade": _risk_per_trade,
    "position cap": _position_cap,
    "total exposure": _total_exposure,
    "balance": _balance,
    "quantity increment": _quantity_increment,
    "minimum quantity": _minimum_quantity,
    "minimum cost": _minimum_cost,
}

ENTRY_ONLY = frozenset(
    {"policy age", "sentiment age", "drawdown", "daily loss", "stop-loss", "take-profit"}
    | {"risk per trade", "position cap", "total exposure"}
)
