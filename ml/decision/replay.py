"""Decides again from what was recorded, and names the first input that the stores have otherwise now."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import polars as pl

from ml.agents.prompts import agent_prompt_hashes
from ml.agents.rules import DecisionRules
from ml.agents.vote_weights import VoteWeights
from ml.decision.differences import Difference, candle_difference, news_difference, value_difference
from ml.decision.inputs import DecisionInputs
from ml.decision.market_reader import MarketReader, features_of, tone_of_news
from ml.decision.plain_json import canonical_bytes, to_json_value
from ml.decision.receipt import Scope
from ml.decision.recording import code_version
from ml.decision.restoring import Read, Restored, restore
from ml.learning.policy import Policy
from ml.learning.registry import PolicyRegistry
from ml.sentiment.prompts import SENTIMENT_PROMPT_HASH
from trading.errors import InvalidBundle, InvalidValue, NotStored
from trading.market import Pair

PROMPTS = frozenset({SENTIMENT_PROMPT_HASH})  # those that would be used now
AGENT_PROMPTS = agent_prompt_hashes()


class Verdict(StrEnum):
    """What a replay has shown, from the best to the worst."""

    IDENTICAL = "identical"  # the same inputs, the same decision to the byte
    NOT_REPLAYABLE = "not replayable"  # something that it was decided from is not there any more
    INPUT_DIFFERS = "input differs"  # the stores, settings or receipt have an input otherwise now
    DECISION_DIFFERS = "decision differs"  # the recorded inputs lead to another decision


@dataclass(frozen=True, slots=True)
class Replay:
    """`reproduced`: the recorded inputs lead to the recorded decision to the byte; None: they cannot be restored."""

    decision_id: str
    verdict: Verdict
    reproduced: bool | None
    difference: Difference | None = None
    reason: str = ""  # why it cannot be replayed

    def facts(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        words = str(self.difference or self.reason)
        again = {
            True: "; the recorded inputs lead to the same decision to the byte",
            False: "; the recorded inputs lead to another decision",
            None: "",
        }[self.reproduced if self.difference else None]
        return f"{self.decision_id} {self.verdict}{': ' + words if words else ''}{again}"


@dataclass(frozen=True, slots=True)
class Replayer:
    """Replays decisions against the market's tables as of their time, the policies, and the settings of now."""

    market: MarketReader
    policies: PolicyRegistry
    rules: DecisionRules
    read: Read
    prompts: frozenset[str] = PROMPTS
    agent_prompts: frozenset[str] = AGENT_PROMPTS
    weights: Callable[[datetime], VoteWeights | None] = lambda at: (
        None
    )  # as they are stored, known before a time
    _loaded: dict[tuple[Pair, str], Policy] = field(default_factory=dict)  # a bundle never changes

    def replay(self, receipt: Mapping[str, Any]) -> Replay:
        """Replay one decision; the receipt is as it was stored."""
        identity = str(receipt["decision_id"])
        try:
            restored = restore(receipt, self.read, self._policy)
        except NotStored as error:
            return Replay(identity, Verdict.NOT_REPLAYABLE, None, reason=str(error))
        except (InvalidBundle, InvalidValue) as error:
            difference = Difference("recorded inputs", str(error), None)
            return Replay(identity, Verdict.INPUT_DIFFERS, None, difference)
        changed = decision_difference(receipt, restored)
        if first := next(self._differences(receipt, restored.inputs), None):
            return Replay(identity, Verdict.INPUT_DIFFERS, changed is None, first)
        if changed is not None:
            return Replay(identity, Verdict.DECISION_DIFFERS, False, _blame(receipt, changed))
        return Replay(identity, Verdict.IDENTICAL, True)

    def _policy(self, pair: Pair, policy_id: str) -> Policy:
        key = (pair, policy_id)
        if key not in self._loaded:
            self._loaded[key] = self.policies.by_id(pair, policy_id)
        return self._loaded[key]

    def _differences(self, receipt: Mapping[str, Any], inputs: DecisionInputs) -> Iterator[Difference]:
        """Yield the inputs that differ, in the order in which a decision uses them."""
        found: list[Difference | None] = []
        if receipt["scope"] != Scope.EXIT:
            yield from self._market_differences(inputs)
            yield from computed_differences(inputs)
            found = [
                *self._policy_difference(receipt, inputs),
                self._weights_difference(inputs),
                *self._prompt_differences(receipt),
            ]
        else:
            now = self._window(inputs.pair, inputs.decided_at, inputs.candles.height)
            found = [candle_difference(str(inputs.pair), inputs.candles, now)]
        found += self._setting_differences(receipt, inputs)
        yield from (each for each in found if each is not None)

    def _market_differences(self, inputs: DecisionInputs) -> Iterator[Difference]:
        market, at = self.market, inputs.decided_at
        for pair, recorded in {inputs.pair: inputs.candles, **inputs.companions}.items():
            now = self._window(pair, at, market.feature_rows)
            if difference := candle_difference(str(pair), recorded, now):
                yield difference
        if difference := news_difference(inputs.news, market.news_of(inputs.pair, at)):
            yield difference

    def _window(self, pair: Pair, at: datetime, rows: int) -> pl.DataFrame:
        return self.market.window_or_empty(pair, at, rows)

    def _policy_difference(
        self, receipt: Mapping[str, Any], inputs: DecisionInputs
    ) -> list[Difference | None]:
        """Compare the champion of that time, by the promotions that are recorded now; a challenger was chosen."""
        if receipt.get("challenger"):
            return []
        recorded = inputs.policy and inputs.policy.policy_id
        try:
            champion = self.policies.champion(inputs.pair, inputs.decided_at)
        except (InvalidBundle, NotStored) as error:
            return [Difference("policy", recorded, str(error))]
        return [value_difference("policy", recorded, champion and champion.policy_id)]

    def _weights_difference(self, inputs: DecisionInputs) -> Difference | None:
        versions = (each and each.version for each in (inputs.weights, self.weights(inputs.decided_at)))
        return value_difference("weights of votes", *versions)

    def _prompt_differences(self, receipt: Mapping[str, Any]) -> list[Difference | None]:
        edited = [each for each in receipt["inputs"]["news"]["prompts"] if each not in self.prompts]
        sentiment = [
            Difference("prompt of the sentiment", each, ", ".join(sorted(self.prompts))) for each in edited
        ]
        return [*sentiment, *self._agent_prompt_differences(receipt["inputs"].get("judgements", {}))]

    def _agent_prompt_differences(self, judgements: Mapping[str, Any]) -> Iterator[Difference]:
        for name, first in judgements.items():
            for each in (first, *filter(None, [first.get("debated")])):
                if each["prompt_hash"] and each["prompt_hash"] not in self.agent_prompts:
                    used_now = ", ".join(sorted(self.agent_prompts))
                    yield Difference(f"prompt of {name}", each["prompt_hash"], used_now)

    def _setting_differences(
        self, receipt: Mapping[str, Any], inputs: DecisionInputs
    ) -> list[Difference | None]:
        universe, known = self.market.universe, receipt["inputs"]
        now = to_json_value(asdict(universe) | {"timeframe": universe.timeframe.value})
        costs = to_json_value({pair: asdict(self.market.costs[pair]) for pair in inputs.costs})
        half_life = self.market.sentiment_half_life_hours
        return [
            value_difference("settings.market", known["universe"], now),
            value_difference("settings.costs", known["costs"], costs),
            value_difference(
                "settings.sentiment.half_life_hours", known["news"]["half_life_hours"], half_life
            ),
            value_difference("settings", receipt["rules"], to_json_value(asdict(self.rules))),
        ]


def computed_differences(inputs: DecisionInputs) -> Iterator[Difference]:
    """Compute features and sentiment again from the recorded tables, and yield what differs."""
    universe, costs = inputs.universe, inputs.costs
    features = features_of(inputs.pair, universe, costs, inputs.candles, inputs.companions)
    sentiment = tone_of_news(inputs.pair, inputs.news, inputs.decided_at, inputs.half_life_hours)
    pairs = (
        ("feature", dict(inputs.features), features),
        ("sentiment", inputs.sentiment and asdict(inputs.sentiment), sentiment and asdict(sentiment)),
    )
    for name, recorded, now in pairs:
        if difference := value_difference(name, to_json_value(recorded), to_json_value(now)):
            yield difference


def decision_difference(receipt: Mapping[str, Any], restored: Restored) -> Difference | None:
    """Decide again; None where the canonical bytes of the decision are those of the receipt."""
    try:
        again = restored.decide().receipt
    except InvalidValue as error:
        return Difference("decision", receipt["outcome"], str(error))
    recorded = {name: receipt.get(name) for name in again}
    if canonical_bytes(again) == canonical_bytes(recorded):
        return None
    return value_difference("decision", to_json_value(recorded), to_json_value(again))


def _blame(receipt: Mapping[str, Any], changed: Difference) -> Difference:
    """Name the code where it is another one; else the first value of the decision that differs."""
    recorded, now = receipt.get("code_version"), code_version()
    if recorded == now:
        return changed
    return Difference(f"code ({changed})", recorded, now)
