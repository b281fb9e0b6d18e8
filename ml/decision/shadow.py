"""Decisions that nobody carries out: over the past, and of a challenger beside the champion's.

They are recorded under a name of their own beside the account's. Nothing of the account changes: no halt begins, no
order is committed, sent or cancelled, nothing is settled, and no peak or snapshot is stored.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from ml.agents.hearing import HEARING, Hearing
from ml.agents.panel import QUANT
from ml.decision.account_reader import AccountReader, no_models, no_permit
from ml.decision.clock import ClockReading
from ml.decision.decide import Decision, DecisionRules, ask, decide, reason_to_skip
from ml.decision.decision_id import decision_id
from ml.decision.execute import ExecutedDecision
from ml.decision.inputs import GatheredMarket
from ml.decision.reader import InputReader, policy_age_days
from ml.decision.receipt import Scope
from ml.decision.recording import code_version
from ml.decision.restoring import restore
from ml.learning.policy import Policy
from ml.learning.registry import PolicyRegistry
from trading.account import opening_balances
from trading.errors import NotStored
from trading.execution import Execution
from trading.market import Pair
from trading.ports import AccountBooks, Journal


def shadow_account(account: str, challenger: str) -> str:
    """Return the name that shadow decisions of an account are recorded under."""
    return f"{account} shadow {challenger}".rstrip()


def shadow_decision(
    pair: Pair,
    clock: ClockReading,
    reader: InputReader,
    rules: DecisionRules,
    journal: Journal,
    challenger: str = "",
    hearing: Hearing = HEARING,
) -> ExecutedDecision:
    """Decide on the newest candle known at the clock's time, record it, and change nothing else.

    At a chosen time the account is flat, with its balances of then, or with its capital where it had not opened yet:
    its positions of then are not known any more. Otherwise it is the account as it is now. `challenger` is the id of a
    policy that votes in the champion's place. The same candle again changes nothing.
    """
    reader, at = reader.for_one_decision(clock.at), clock.at
    name = shadow_account(reader.account.name, challenger)
    identity = decision_id(name, pair, reader.market.last_close_time(pair, at))
    if found := _find(journal, identity):
        return ExecutedDecision(found, None, repeated=True, execution=Execution())
    books = _books(reader.account, clock)
    market = reader.market_inputs(pair, clock)
    if challenger:
        market = _with_policy(market, reader, challenger)
    decision = _decide(_renamed(reader, name), market, books, rules, hearing)
    if market.tables:
        journal.store_inputs(market.tables.contents)
    _record(decision, journal, challenger)
    return ExecutedDecision(journal.decision(identity), None, repeated=False, execution=Execution())


def newest_challenger(
    pair: Pair, champion: str | None, policies: PolicyRegistry, at: datetime
) -> Policy | None:
    """Return the pair's newest policy; None without one, and where it is the champion or learned from after `at`."""
    if not (months := policies.months(pair)):
        return None
    newest = policies.bundle(pair, months[-1])
    return None if newest.policy_id == champion or newest.manifest.training_end > at else newest


def challenge(
    receipt: Mapping[str, Any], policies: PolicyRegistry, journal: Journal
) -> dict[str, Any] | None:
    """Decide once more on a decision's recorded inputs, with the pair's challenger for the champion, and record it.

    Returns the receipt; None without a challenger, and of a decision on which nobody had a vote. The account is as the
    champion found it. The same decision again changes nothing. Raises as `restore` does.
    """
    if receipt["scope"] != Scope.FULL:
        return None
    pair, champion = Pair.parse(receipt["pair"]), receipt["inputs"]["policy_id"]
    at = datetime.fromisoformat(receipt["decided_at"])
    if (policy := newest_challenger(pair, champion, policies, at)) is None:
        return None
    restored = restore(receipt, journal.inputs, policies.by_id)
    inputs, name = restored.inputs, shadow_account(receipt["account"], policy.policy_id)
    if found := _find(journal, decision_id(name, pair, inputs.candle_close_time)):
        return found
    inputs = replace(
        inputs,
        account=name,
        state=replace(inputs.state, permit=None, model_usd=None),
        policy=policy,
        policy_age_days=policy_age_days(policy, inputs.decided_at),
        absent={agent: why for agent, why in inputs.absent.items() if agent != QUANT},
    )
    return _record(decide(inputs, restored.rules), journal, policy.policy_id)


def _record(decision: Decision, journal: Journal, challenger: str) -> dict[str, Any]:
    facts = {"shadow": True, "challenger": challenger, "code_version": code_version(), "timings_ms": {}}
    receipt = {**decision.receipt, **facts}
    journal.record_decision(receipt, None)
    return receipt


def _find(journal: Journal, identity: str) -> dict[str, Any] | None:
    try:
        return journal.decision(identity)
    except NotStored:
        return None


def _renamed(reader: InputReader, name: str) -> InputReader:
    own = reader.account
    # No real money is asked for: what a live account still lacks says nothing of a challenger, nor do today's costs.
    account = replace(own.account, name=name)
    renamed = replace(own, account=account, permit=no_permit, model_usd=no_models)
    return replace(reader, account=renamed)


def _books(account: AccountReader, clock: ClockReading) -> AccountBooks:
    try:
        books = account.books(clock.at)
    except NotStored:
        return _flat(opening_balances(account.account, account.market.prices(clock.at)))
    if not clock.chosen:
        return books
    return _flat(
        dict(books.balances_then) or opening_balances(account.account, account.market.prices(clock.at))
    )


def _flat(balances: Mapping[str, Decimal]) -> AccountBooks:
    return AccountBooks(
        balances=balances,
        balances_then=balances,
        balances_before_day={},
        positions=(),
        working=(),
        adjustments=(),
        snapshots=(),
        peak=None,
        halts=(),
        recent_orders=0,
    )


def _with_policy(market: GatheredMarket, reader: InputReader, challenger: str) -> GatheredMarket:
    policy = reader.policies.by_id(market.pair, challenger)
    return replace(market, policy=policy, policy_age_days=policy_age_days(policy, market.decided_at))


def _decide(
    reader: InputReader, market: GatheredMarket, books: AccountBooks, rules: DecisionRules, hearing: Hearing
) -> Decision:
    inputs = reader.inputs(market, books)
    question = ask(inputs, rules)
    if reason_to_skip(inputs, question, rules):
        return decide(inputs, rules)
    heard = hearing.ask(question, rules.answer_seconds.by_agent())
    return decide(replace(inputs, absent=heard.absent), rules, heard.opinions)
