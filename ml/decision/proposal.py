"""The order that a decision proposes, and risk's assessment of it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from ml.agents.news_analyst import cited_at, rests_on_citations
from ml.agents.opinions import Action, Opinion
from ml.agents.panel import AGENTS, ANALYST
from ml.agents.trader import wanted_share
from ml.decision.inputs import DecisionInputs
from trading.invalidation import broken_by_features
from trading.orders import Side
from trading.portfolio import Position
from trading.risk import Ages, Limits, Proposal, RiskAssessment, assess, pre_check
from trading.signals import Direction, SignalRules, TechnicalSignal, protective_levels


def tradable_position(inputs: DecisionInputs) -> Position | None:
    """Return the open position, with a reason to close where an indicator has invalidated it.

    One too small for the venue to trade cannot be closed and does not block the pair.
    """
    position, instrument = inputs.position, inputs.instrument
    if position is None:
        return None
    quantity = abs(position.quantity)
    dust = (
        quantity < instrument.minimum_quantity or quantity * Decimal(inputs.close) < instrument.minimum_cost
    )
    if dust or position.exit_reason or not position.invalidations:
        return None if dust else position
    return replace(position, exit_reason=broken_by_features(position.invalidations, inputs.features))


def propose(
    inputs: DecisionInputs,
    action: Action,
    signal: TechnicalSignal,
    rules: SignalRules,
    opinions: tuple[Opinion, ...] = (),
) -> Proposal | None:
    """Return the order that carries out the action; None for HOLD. Models that voted for it can ask for less."""
    if action is Action.HOLD:
        return None
    if action is Action.CLOSE:
        return propose_close(inputs)
    direction = Direction.LONG if action is Action.LONG else Direction.SHORT
    stop, target = protective_levels(direction, inputs.close, inputs.features, rules)
    return Proposal(
        pair_key=inputs.pair.key,
        side=Side.BUY if action is Action.LONG else Side.SELL,
        entry=inputs.close,
        stop=stop,
        take_profit=target,
        reduces=False,
        reduce_quantity=None,
        wanted_share=wanted_share(inputs.judgements.values(), opinions, action),
    )


def propose_close(inputs: DecisionInputs) -> Proposal:
    """Return the order that closes all of the open position."""
    assert inputs.position is not None
    return Proposal(
        pair_key=inputs.pair.key,
        side=Side.SELL if inputs.position.quantity > 0 else Side.BUY,
        entry=inputs.close,
        stop=None,
        take_profit=None,
        reduces=True,
        reduce_quantity=abs(inputs.position.quantity),
    )


def assess_proposal(
    inputs: DecisionInputs, proposal: Proposal | None, opinions: tuple[Opinion, ...], limits: Limits
) -> RiskAssessment | None:
    """Let risk assess the proposal; None without one."""
    if proposal is None:
        return None
    return assess(
        proposal,
        inputs.state,
        inputs.market,
        ages=_ages(
            inputs,
            {each.agent: each for each in opinions if each.action is not None},
            # What was waited for leaves no exit undone.
            waited=timedelta(0) if proposal.reduces else inputs.waited,
        ),
        instrument=inputs.instrument,
        limits=limits,
    )


def refuse_entries(inputs: DecisionInputs, limits: Limits) -> RiskAssessment | None:
    """Return the refusal that any entry would meet before anybody is waited for; None without one."""
    return pre_check(
        inputs.pair.key,
        inputs.close,
        inputs.state,
        inputs.market,
        ages=_ages(inputs, dict.fromkeys(AGENTS)),
        instrument=inputs.instrument,
        limits=limits,
    )


def _ages(
    inputs: DecisionInputs, voted: Mapping[str, Opinion | None], waited: timedelta = timedelta(0)
) -> Ages:
    """Ages of the inputs that were used, at the vote: an agent that abstained has used none.

    Waiting makes no gap in the feed older: what counts is whether trades of the newest candles may be missing. The
    book, and when ledger and exchange agreed, are looked at after it.
    """
    newest = _newest_article_at(inputs, voted.get(ANALYST)) if ANALYST in voted else None
    now, candle, oldest = inputs.decided_at + waited, inputs.timeframe.duration, inputs.oldest_price
    unsettled = inputs.oldest_unsettled_age
    return Ages(
        candle=(now - inputs.candle_close_time) / candle,
        features=(now - inputs.oldest_market_time) / candle,
        balance=(unsettled + waited if unsettled else unsettled) / candle,
        trade=(now - inputs.last_trade_time) / candle,
        prices=(now - oldest.close_time) / candle if oldest else None,
        oldest_price=oldest.pair.key if oldest else "",
        policy_days=inputs.policy_age_days if "quant" in voted else None,
        sentiment_hours=(now - newest) / timedelta(hours=1) if newest else None,
        clock_skew_seconds=inputs.clock_skew_seconds,
        feed_gap=inputs.feed_gap_age,
        book_seconds=inputs.book.age_seconds(now) if inputs.book else None,
        reconciliation_seconds=inputs.comparison_seconds,
    )


def _newest_article_at(inputs: DecisionInputs, vote: Opinion | None) -> datetime | None:
    """Return when the newest article became known that the analyst's vote rests on; None: it has not voted yet."""
    judgement = inputs.judgements.get(ANALYST)
    if judgement is not None and vote is not None and rests_on_citations(vote):
        return cited_at(judgement)
    return inputs.sentiment.newest_known_at if inputs.sentiment else None
