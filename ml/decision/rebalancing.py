"""Rebalancing: recommends the account's next trade, and carries it out where the rules say so.

What is carried out is a decision like any other: a receipt and an intent in the journal, risk's verdict, the executor.
Its order belongs to no position: it turns one asset of the account into another.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from ml.agents.consensus import not_asked
from ml.agents.opinions import Action
from ml.decision.clock import ClockReading
from ml.decision.decision_id import STRATEGY_VERSION, decision_id, intent_id
from ml.decision.inputs import DecisionInputs, GatheredMarket
from ml.decision.plain_json import to_json_value
from ml.decision.proposal import assess_proposal
from ml.decision.reader import InputReader
from ml.decision.receipt import Scope, receipt
from ml.decision.valuation import Valuation
from trading.execution import OrderExecutor
from trading.market import Pair
from trading.orders import Order, OrderIntent, OrderKind
from trading.portfolio import priced
from trading.ports import Journal
from trading.rebalancing import (
    MarketConditions,
    NoRebalance,
    PlannedTrade,
    RebalanceRecommendation,
    RebalancingRules,
    RegimeShift,
    Situation,
    recommend,
)
from trading.regime import Regime, RegimeKind, regime
from trading.risk import Limits, Proposal, RiskAssessment

REBALANCE = "REBALANCE"
_NO_VOTE = not_asked("targets are settings")


@dataclass(frozen=True, slots=True)
class Rebalancing:
    """What is recommended at a moment, and what became of it."""

    at: datetime
    recommendation: RebalanceRecommendation | NoRebalance
    left_out: tuple[str, ...]  # assets of the account that no pair prices
    receipt: dict[str, Any] | None = None  # of the decision that carries it out; None: nothing was ordered
    order: Order | None = None


@dataclass(frozen=True, slots=True)
class _Market:
    """What the market says at one moment, read before the account is locked."""

    valuation: Valuation
    regimes: Mapping[Pair, Regime]
    inputs: Mapping[Pair, GatheredMarket]

    @property
    def prices(self) -> dict[Pair, Decimal]:
        return self.valuation.prices


class Rebalancer:
    """Rebalances one account."""

    def __init__(
        self,
        reader: InputReader,
        rules: RebalancingRules,
        limits: Limits,
        journal: Journal,
        executor: OrderExecutor,
    ) -> None:
        self._reader = reader
        self._account = reader.account.name
        self._rules = rules
        self._limits = limits
        self._journal = journal
        self._executor = executor

    def run(self, clock: ClockReading) -> Rebalancing:
        """Recommend, and with `execute` in the rules order the first trade; the same candle again orders nothing more.

        The trades that follow come with later runs, from what the first one really brought.
        """
        at, market = clock.at, self._read_market(clock)
        if self._account not in self._journal.accounts():
            return Rebalancing(
                at, NoRebalance("the account has not opened: its first decision opens it", ()), ()
            )
        if not self._rules.execute:
            return self._recommend(market, at)
        self._executor.carry_out(self._account, at)
        with self._journal.exclusive(self._account):
            result = self._recommend(market, at)
            if isinstance(result.recommendation, NoRebalance):
                return result
            result = self._commit(result, result.recommendation, market)
        self._executor.carry_out(self._account, at)
        order = result.receipt and self._journal.order(intent_id(result.receipt["decision_id"]))
        return replace(result, order=order or None)

    def _read_market(self, clock: ClockReading) -> _Market:
        inputs = {
            pair: self._reader.market_inputs(pair, clock) for pair in self._reader.market.universe.pairs
        }
        regimes = {pair: regime(each.features) for pair, each in inputs.items()}
        return _Market(self._reader.account.valuation(clock.at), regimes, inputs)

    def _recommend(self, market: _Market, at: datetime) -> Rebalancing:
        account = self._reader.account
        balances = self._journal.balances(self._account)
        valued, without_price = priced(balances, account.quote, market.prices)
        left_out = tuple(sorted(without_price))
        if under_way := self._conversion_under_way():
            return Rebalancing(at, NoRebalance(under_way, ()), left_out)
        free = account.commitments(market.valuation).free_balances(None)
        costs = account.market.costs.values()
        situation = Situation(
            balances={asset: max(each, Decimal(0)) for asset, each in valued.items()},
            reserved={
                asset: max(each - free[asset], Decimal(0)) for asset, each in valued.items() if each > 0
            },
            quote=account.quote,
            market=MarketConditions(
                {pair: market.prices[pair] for pair in market.inputs},
                {pair: each.instrument for pair, each in market.inputs.items()},
                Decimal(repr(max(each.half_spread + each.slippage for each in costs))),
            ),
            **self._since_last_time(market),
        )
        return Rebalancing(at, recommend(situation, self._rules), left_out)

    def _conversion_under_way(self) -> str:
        for each in self._journal.working_orders(self._account):
            if each.intent.kind is OrderKind.CONVERSION:
                return (
                    f"{each.intent.side} {each.intent.quantity:f} {each.intent.pair} is {each.order.status}"
                )
        return ""

    def _since_last_time(self, market: _Market) -> dict[str, Any]:
        """Return prices and regimes to compare with; nothing before the first rebalancing."""
        earlier = self._journal.newest_decision(self._account, REBALANCE)
        if earlier is None:
            return {"reference_prices": {}, "shifts": ()}
        known = earlier["rebalancing"]
        return {
            "reference_prices": {Pair.parse(pair): Decimal(price) for pair, price in known["prices"].items()},
            "shifts": tuple(
                RegimeShift(pair, RegimeKind(known["regimes"][str(pair)]), now)
                for pair, now in market.regimes.items()
                if known["regimes"].get(str(pair))
            ),
        }

    def _commit(
        self, result: Rebalancing, recommended: RebalanceRecommendation, market: _Market
    ) -> Rebalancing:
        """Let risk judge the first trade and record the decision; inside the account's lock."""
        trade = recommended.trades[0]
        inputs = self._reader.inputs(market.inputs[trade.pair])
        identity = decision_id(f"{self._account}|{REBALANCE}", trade.pair, inputs.candle_close_time)
        proposal = _propose(trade, inputs)
        assessment = assess_proposal(inputs, proposal, (), self._limits)
        intent = _intent(identity, trade, inputs, assessment)
        explained = receipt(
            decision_id=identity,
            strategy_version=STRATEGY_VERSION,
            scope=Scope.REBALANCING,
            inputs=inputs,
            rules={"limits": asdict(self._limits)},
            opinions=(),
            consensus=_NO_VOTE,
            action=Action.HOLD,
            why=recommended.reasoning,
            proposal=proposal,
            assessment=assessment,
            intent=intent,
            cancels={},
        )
        facts = {
            "priority": recommended.priority,
            "source_asset": recommended.source_asset,
            "target_asset": recommended.target_asset,
            "amount": recommended.amount,
            "trades": [str(each) for each in recommended.trades],
            "triggers": [asdict(each) for each in recommended.triggers],
            "prices": {pair: market.prices[pair] for pair in market.inputs},
            "regimes": {pair: each.kind for pair, each in market.regimes.items()},
        }
        stored = explained | {"action": REBALANCE, "rebalancing": to_json_value(facts)}
        if intent is None:  # refused: nothing was rebalanced, so nothing is to be compared with later
            return replace(result, receipt=stored)
        self._journal.record_decision(stored, intent)
        return replace(result, receipt=self._journal.decision(identity))


def _propose(trade: PlannedTrade, inputs: DecisionInputs) -> Proposal:
    return Proposal(
        pair_key=trade.pair.key,
        side=trade.side,
        entry=inputs.close,
        stop=None,
        take_profit=None,
        reduces=False,
        reduce_quantity=trade.quantity,
        converts=True,
    )


def _intent(
    identity: str, trade: PlannedTrade, inputs: DecisionInputs, assessment: RiskAssessment | None
) -> OrderIntent | None:
    if assessment is None or not assessment.approved:
        return None
    return OrderIntent(
        intent_id=intent_id(identity),
        decision_id=identity,
        account=inputs.account,
        pair=trade.pair,
        side=trade.side,
        quantity=assessment.adjusted_size,
        reduces=False,
        stop_loss=None,
        take_profit=None,
        created_at=inputs.decided_at,
        converts=True,
    )
