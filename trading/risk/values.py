"""The inputs and results of risk, and the halts of trading: plain values without rules."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from trading.orders import Side

Amount = float | Decimal


@dataclass(frozen=True, slots=True)
class Proposal:
    """The order that the consensus proposes. Prices are quote per base; None where there is none."""

    pair_key: str
    side: Side
    entry: Amount  # the price it expects to trade at
    stop: Amount | None
    take_profit: Amount | None
    reduces: bool  # closes a position (or a part): rules that only guard entries are skipped
    reduce_quantity: Decimal | None  # base currency; None unless it reduces or converts
    converts: bool = False  # turns one asset into another: rules about a position and its stop are skipped
    wanted_share: Amount | None = (
        None  # of equity, the most that an entry asks for; None: what the rules allow
    )


@dataclass(frozen=True, slots=True)
class OtherPosition:
    """A position, or an order that is still to be filled, in another pair."""

    pair_key: str
    side: Side
    correlation: float | None  # with the pair that is asked about, -1..1; None or NaN: not known


class HaltKind(StrEnum):
    """Named as the risk rules that they close."""

    DRAWDOWN = "drawdown"
    DAILY_LOSS = "daily loss"
    LOSING_STREAK = "losing streak"
    KILL_SWITCH = "kill switch"
    RECONCILIATION = "reconciliation"  # the venue's books differ from ours and nobody knows why
    PROTECTION = "protection"  # a position could not be protected in time
    FAILURES = (
        "failures"  # too much failed in a row: rejected orders, failed decisions, agents without an answer
    )


@dataclass(frozen=True, slots=True)
class Resume:
    """Who ended a pause, and why. `at` is the person's clock, which on history is not the account's."""

    at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Halt:
    """No new position from `since` on. Closing goes on."""

    kind: HaltKind
    since: datetime
    until: datetime | None  # None: until a person resumes
    reason: str  # what was measured against which limit
    resume: Resume | None = None

    @property
    def needs_resume(self) -> bool:
        """True when only a person can end it."""
        return self.until is None and self.resume is None

    def active(self, at: datetime) -> bool:
        """Return whether it stops entries at that time; a pause that a person ended is over at every time."""
        return self.since <= at and self.binds(at)

    def binds(self, at: datetime) -> bool:
        """Return whether it stops whoever read its clock at `at`: also one that began since then."""
        return self.resume is None and (self.until is None or at < self.until)


@dataclass(frozen=True, slots=True)
class LivePermit:
    """Whether positions may be opened with real money, and what that rests on: sentences for a person."""

    is_live: bool  # the account is one at the real exchange
    holds: tuple[str, ...]
    missing: tuple[str, ...]  # each with what to do; without real money they stop nothing
    unwatched: tuple[
        str, ...
    ] = ()  # other accounts with real money in the market: nothing is opened beside them


@dataclass(frozen=True, slots=True)
class AccountState:
    """Values are in the equity currency, balances in their own units. Orders still to be filled count as filled."""

    equity: Amount
    equity_peak: Amount  # since the account opened or a person resumed
    day_opening_equity: Amount
    position_value: Amount  # of this pair, never negative
    base_exposure: Amount  # all positions that have this pair's base as base or quote, this pair's included
    quote_exposure: Amount  # the same for its quote; 0 where equity is counted in it: that is cash
    exposure_value: Amount  # all positions, this pair's included
    available_base: Amount  # free balance
    available_quote: Amount  # free balance
    quote_rate: Amount  # equity currency per unit of the pair's quote
    recent_orders: int  # in the last minute
    others: tuple[OtherPosition, ...]
    halts: tuple[Halt, ...]  # those active now
    permit: LivePermit | None = None  # None: real money is not asked for
    model_usd: Amount | None = None  # what language models cost this UTC day; None: nobody counts it


@dataclass(frozen=True, slots=True)
class MarketState:
    """Market figures that the size depends on besides prices; None where not known: then the careful choice is made."""

    btc_correlation: float | None  # -1..1; ignored for pairs of BTC itself


@dataclass(frozen=True, slots=True)
class Ages:
    """How old the inputs are; None where the decision did not use that input."""

    candle: float  # since the newest candle closed, in candles
    features: float  # since the oldest market behind the features closed its newest candle, in candles
    balance: float  # since the oldest order whose outcome is not known yet, in candles; 0 without one
    trade: float  # since the newest candle with a volume closed, in candles
    prices: float | None  # since the oldest price that values something of the account closed, in candles
    oldest_price: str  # the pair of that price; empty where nothing needs one
    policy_days: float | None
    sentiment_hours: float | None
    # How far the machine's clock and the venue's are apart, or an input's and the decision's; 0: there is one alone.
    # None: the venue's could not be read.
    clock_skew_seconds: float | None
    # Since the newest stretch ended in which trades of the pair may be missing, in candles; None: the window has none.
    feed_gap: float | None = None
    book_seconds: float | None = None  # since the order book was last seen verified; None: nobody watches it
    # Since ledger and exchange last agreed, in seconds of the machine; None: the account is at no exchange.
    reconciliation_seconds: float | None = None


class Answer(NamedTuple):
    """The result of one rule: what it measured, against which limit, and whether it lets the order pass."""

    measured: Amount
    limit: Amount
    passes: bool
    note: tuple[str, *tuple[object, ...]]  # a format and its values: most are never read

    @property
    def sentence(self) -> str:
        words, *values = self.note
        try:
            return words.format(*values)
        except Exception:  # a value of a kind that has no such format
            return f"cannot be put in words: {', '.join(type(value).__name__ for value in values)}"


def not_judged(error: Exception) -> Answer:
    """Return the answer of a rule that its inputs do not let answer: it does not pass."""
    return Answer(math.nan, math.nan, False, ("cannot be judged: {} in the inputs", type(error).__name__))


class RuleVerdict(NamedTuple):
    """One rule's answer as it is shown."""

    rule: str
    value: float
    limit: float
    passes: bool
    note: str


@dataclass(frozen=True, slots=True)
class RiskAssessment:
    """Size 0 and no prices when rejected; a closing order has no prices either."""

    approved: bool
    adjusted_size: Decimal  # base currency, a multiple of the quantity increment
    stop_loss_price: Decimal | None
    take_profit_price: Decimal | None
    trailing_after_price: Decimal | None  # once reached, the stop follows the best price ...
    trailing_distance: Decimal | None  # ... this far behind; a fill at another price moves both with it
    rejection_reason: str  # the first rule that failed; empty when approved
    answers: Mapping[str, Answer]  # of every rule, by its name

    @property
    def verdicts(self) -> tuple[RuleVerdict, ...]:
        """Every rule's answer in words."""
        return tuple(
            RuleVerdict(
                rule=rule,
                value=_as_float(answer.measured),
                limit=_as_float(answer.limit),
                passes=answer.passes,
                note=answer.sentence,
            )
            for rule, answer in self.answers.items()
        )

    def facts(self) -> dict[str, Any]:
        """Return everything above as plain values, verdicts in words."""
        facts = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "answers"}
        return facts | {"verdicts": [verdict._asdict() for verdict in self.verdicts]}


def _as_float(value: Amount) -> float:
    try:
        return float(value)
    except Exception:  # a number beyond every float, or none at all
        return math.nan
