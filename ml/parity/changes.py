"""Why the rows of a back-test are not what was ordered: each decision's receipt against the data and rules of now."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl

from ml.agents.consensus import consensus
from ml.agents.opinions import Action, Opinion
from ml.agents.panel import AGENTS
from ml.agents.vote_weights import VoteWeights
from ml.decision.decide import ask
from ml.decision.differences import candle_difference, value_difference
from ml.decision.inputs import DecisionInputs
from ml.decision.market_reader import MarketReader, features_of
from ml.decision.plain_json import to_json_value
from ml.decision.recording import code_version
from ml.decision.restoring import Read, recorded_rules, recorded_weights, restore, with_numbers
from ml.decision_history import DecisionHistory, KnownThen
from ml.learning.registry import PolicyRegistry
from ml.parity.votes import RULES_ALONE, SIDE, alone, opinions_of, same_row, voted_row, with_answer
from trading.errors import InvalidBundle, InvalidValue, NotStored
from trading.indicators.regimes import newest_label
from trading.invalidation import INVALIDATED
from trading.market import CANDLE_SCHEMA, TIME, Pair
from trading.orders import Side
from trading.parity import Change, Kind, Row
from trading.parity.walk import order_target
from trading.ports import TableStore

ENTRIES = {Action.LONG: 1, Action.SHORT: -1}


@dataclass(frozen=True, slots=True)
class DecidedCandle:
    """One decision of the day, the candle that it was about, and the back-test's row there."""

    candle: int
    receipt: Mapping[str, Any]
    planned: Row
    refused: bool  # a rule about the market's own state lets the back-test enter nothing here

    @property
    def held(self) -> Action | None:
        """Return the side that was held and could be traded then, as far as the ledger knew."""
        position = self.receipt["inputs"]["position"]
        return position and self.side_of(Decimal(position["quantity"]))

    def side_of(self, quantity: Decimal) -> Action | None:
        """Return the side of a quantity that could be traded at the candle's close; None for less."""
        instrument, size = self.receipt["inputs"]["instrument"], abs(quantity)
        worth = size * Decimal(self.receipt["close"])
        if size < Decimal(instrument["minimum_quantity"]) or worth < Decimal(instrument["minimum_cost"]):
            return None
        return Action.LONG if quantity > 0 else Action.SHORT

    @property
    def is_waiting(self) -> bool:
        """Return whether nothing was ordered because an order of the pair had no outcome yet."""
        if self.receipt["intent"] is not None or self.receipt["proposal"] is not None:
            return False
        pair = self.receipt["pair"]
        return any(
            each["pair"] == pair and each["kind"] in ("entry", "exit")
            for each in self.receipt["inputs"]["orders"]
        )

    @property
    def is_refused_unasked(self) -> bool:
        """Return whether risk refused every entry, so that nobody voted."""
        return self.receipt["proposal"] is None and self.receipt["risk"] is not None

    @property
    def seen(self) -> dict[str, Any]:
        """Return what the vote's levels and size were computed from."""
        return {
            "close_time": datetime.fromisoformat(self.receipt["candle_close_time"]),
            "close": self.receipt["close"],
            "features": with_numbers(self.receipt["inputs"]["features"]),
        }


@dataclass(frozen=True, slots=True)
class DecisionAuditor:
    """Compares decisions of one pair with what the stores, settings and code of now make of them.

    `candles` has the pairs' candles as they are known now; `read` the recorded contents.
    """

    market: MarketReader
    candles: TableStore
    decisions: DecisionHistory  # with the rules of now
    policies: PolicyRegistry
    read: Read
    known: KnownThen
    _plain_rules: list[Any] = field(default_factory=list)  # the rules of now as a receipt has them

    def changes(self, pair: Pair, decided: DecidedCandle) -> Iterator[Change]:
        """Yield what turns the back-test's row into what was ordered, cause after cause."""
        receipt, held, opinions = decided.receipt, decided.held, opinions_of(decided.receipt)
        if decided.is_waiting or not opinions:
            return
        if decided.is_refused_unasked:
            yield from self._refusal_change(decided)
            return
        recorded = self._recorded(receipt)
        regime = newest_label(with_numbers(receipt["inputs"]["features"]))
        weights = recorded_weights(receipt)
        agreed = consensus(opinions, recorded.rules.consensus, held, weights, regime).action
        if agreed != receipt["consensus"]["action"]:
            words = f"its votes come to {agreed}, its receipt says {receipt['consensus']['action']}"
            yield Change(Kind.UNEXPLAINED, decided.candle, _ordered(decided, decided.planned), words)
            return
        ruled = self._row(pair, decided, alone(opinions), recorded, decided.planned, weights=weights)
        if not same_row(decided.planned, ruled):
            yield from self._vote_changes(pair, decided, ruled)
        enters_nothing = held is None and agreed not in ENTRIES  # also where the news held what was voted for
        voted = self._row(pair, decided, opinions, recorded, ruled, refused=enters_nothing, weights=weights)
        if not same_row(ruled, voted):
            yield Change(Kind.LLM, decided.candle, voted, _readers_in_words(opinions))
        yield from _order_changes(decided, voted, agreed)

    def _refusal_change(self, decided: DecidedCandle) -> Iterator[Change]:
        """Yield what risk kept from being voted on, where the back-test entered."""
        ordered = _ordered(decided, decided.planned)
        if same_row(ordered, decided.planned):
            return
        try:
            again = restore(decided.receipt, self.read, self.policies.by_id).decide().receipt["why"]
        except (InvalidBundle, InvalidValue, NotStored) as error:
            again = f"it cannot be decided again: {error}"
        if again == decided.receipt["why"]:
            yield Change(Kind.RISK, decided.candle, ordered, f"risk: {_refusal(decided.receipt)}")
        else:
            words = f"its inputs are not refused as its receipt says: {again}"
            yield Change(Kind.UNEXPLAINED, decided.candle, ordered, words)

    def _recorded(self, receipt: Mapping[str, Any]) -> DecisionHistory:
        if receipt["rules"] == self._rules_of_now():
            return self.decisions
        return replace(self.decisions, rules=recorded_rules(receipt))

    def _rules_of_now(self) -> Any:
        if not self._plain_rules:
            self._plain_rules.append(to_json_value(asdict(self.decisions.rules)))
        return self._plain_rules[0]

    def _row(
        self,
        pair: Pair,
        decided: DecidedCandle,
        opinions: Sequence[Opinion],
        rules: DecisionHistory,
        before: Row,
        features: Mapping[str, float | None] | None = None,
        refused: bool = False,
        weights: VoteWeights | None = None,
    ) -> Row:
        seen = decided.seen | ({} if features is None else {"features": features})
        row = voted_row(rules, pair, opinions, seen, weights=weights, refused=refused or decided.refused)
        return with_answer(before, row, decided.held)

    def _vote_changes(self, pair: Pair, decided: DecidedCandle, ruled: Row) -> Iterator[Change]:
        """Decide again on the recorded data: what differs from the back-test is the data's, the rest the vote's."""
        receipt, candle = decided.receipt, decided.candle
        try:
            inputs = restore(receipt, self.read, self.policies.by_id).inputs
            again = self._again(inputs)
        except (InvalidBundle, InvalidValue, NotStored) as error:
            yield Change(Kind.UNEXPLAINED, candle, ruled, f"it cannot be decided again: {error}")
            return
        features, opinions = again
        weights = self._weights_of_now(decided)
        row = self._row(pair, decided, opinions, self.decisions, decided.planned, features, weights=weights)
        if not same_row(decided.planned, row):
            if data := self._data_difference(inputs):
                yield Change(Kind.RESTATED, candle, row, data)
            else:
                words = "the stored features are not those of the stored candles: materialise `features` of that time"
                yield Change(Kind.UNEXPLAINED, candle, row, words)
        if not same_row(row, ruled):
            words = self._why_another_vote(receipt, inputs, opinions, weights)
            yield Change(Kind.SIGNAL, candle, ruled, words)

    def _weights_of_now(self, decided: DecidedCandle) -> VoteWeights | None:
        """Return the weights of votes that the stores of now had known when the candle closed."""
        close: datetime = decided.seen["close_time"]
        return self.known.weights(pl.Series([close], dtype=TIME))[0][1]

    def _again(self, inputs: DecisionInputs) -> tuple[dict[str, float | None], tuple[Opinion, ...]]:
        """Ask the agents that read no texts about the recorded data, with the rules, costs and champion of now."""
        market = self.market
        features = features_of(inputs.pair, market.universe, market.costs, inputs.candles, inputs.companions)
        policy = self.policies.champion(inputs.pair, inputs.decided_at)
        question = ask(replace(inputs, features=features, policy=policy), self.decisions.rules)
        return features, tuple(AGENTS[name](question) for name in RULES_ALONE)

    def _data_difference(self, inputs: DecisionInputs) -> str:
        """Name the first recorded candle, of the pair or of one it is compared with, that is another one now."""
        for pair, recorded in {inputs.pair: inputs.candles, **inputs.companions}.items():
            if recorded.is_empty():
                continue
            first, last = recorded["open_time"][0], recorded["close_time"][-1]
            if difference := candle_difference(str(pair), recorded, self._stored(pair, first, last)):
                return str(difference)
        return ""

    def _stored(self, pair: Pair, first: datetime, last: datetime) -> pl.DataFrame:
        try:
            return self.candles.between(pair, first, last)
        except NotStored:
            return CANDLE_SCHEMA.to_frame()

    def _why_another_vote(
        self,
        receipt: Mapping[str, Any],
        inputs: DecisionInputs,
        opinions: Sequence[Opinion],
        weights: VoteWeights | None,
    ) -> str:
        champion = self.policies.champion(inputs.pair, inputs.decided_at)
        policy = value_difference("policy", receipt["inputs"]["policy_id"], champion and champion.policy_id)
        settings = value_difference("settings", receipt["rules"], self._rules_of_now())
        code = value_difference("code", receipt.get("code_version"), code_version())
        versions = (each and each.version for each in (inputs.weights, weights))
        if found := settings or policy or value_difference("weights of votes", *versions):
            return str(found)
        for agent, why in inputs.absent.items():
            if agent in RULES_ALONE:
                return f"the {agent} agent {why}"
        votes = f"{_in_words(alone(opinions_of(receipt)))} recorded, {_in_words(opinions)} on the same data"
        return f"{votes}; {code}" if code else votes


def _order_changes(decided: DecidedCandle, voted: Row, agreed: Action) -> Iterator[Change]:
    """Yield what risk made of the vote; an order that the vote did not ask for is another signal."""
    receipt, candle, held = decided.receipt, decided.candle, decided.held
    ordered = _ordered(decided, voted)
    if same_row(ordered, voted) and ordered.quantity is None:
        return
    if held is None:
        wanted = agreed in ENTRIES and (not ordered.enters or ordered.target * ENTRIES[agreed] > 0)
    else:
        wanted = agreed is Action.CLOSE
    if wanted:
        yield Change(Kind.RISK, candle, ordered, "" if receipt["intent"] else f"risk: {_refusal(receipt)}")
    else:
        words = f"what was ordered is not what was voted for: {receipt['outcome']}"
        kind = Kind.LLM if receipt["why"].startswith(INVALIDATED) else Kind.SIGNAL
        yield Change(kind, candle, ordered, words)


def _ordered(decided: DecidedCandle, voted: Row) -> Row:
    """Return the row with what was ordered for the side that was held, nothing where nothing was."""
    intent, held = decided.receipt["intent"], decided.held
    if held is None:
        return _entry(decided, voted) if intent and not intent["reduces"] else Row(leaves=voted.leaves)
    return replace(voted, leaves=voted.leaves | SIDE[held] if intent else voted.leaves & ~SIDE[held])


def _entry(decided: DecidedCandle, voted: Row) -> Row:
    """Return the entry that was ordered: of its own quantity, protected by the levels of its intent."""
    intent, close = decided.receipt["intent"], float(decided.receipt["close"])
    stop, take_profit = (_distance(intent[name], close) for name in ("stop_loss", "take_profit"))
    target = order_target(1 if intent["side"] == Side.BUY else -1, voted.target if voted.enters else 0.0)
    return Row(target, stop, take_profit, voted.leaves, Decimal(intent["quantity"]))


def _distance(level: str | None, close: float) -> float:
    return math.nan if level is None else abs(float(level) / close - 1.0)


def _refusal(receipt: Mapping[str, Any]) -> str:
    risk = receipt["risk"]
    return str(risk["rejection_reason"] if risk else receipt["why"])


def _readers_in_words(opinions: Sequence[Opinion]) -> str:
    readers = [each for each in opinions if each.agent not in RULES_ALONE]
    return f"{_in_words(readers)}, beside {_in_words(alone(opinions))}"


def _in_words(opinions: Sequence[Opinion]) -> str:
    return (
        ", ".join(f"{each.agent} {each.action or 'abstains'} {each.confidence:.2f}" for each in opinions)
        or "nobody"
    )
