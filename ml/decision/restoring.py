"""The inputs and rules of a decision, read back from its receipt and the recorded contents: what `decide` was given."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import polars as pl

from ml.agents.judgements import Judgement
from ml.agents.rules import DecisionRules
from ml.agents.vote_weights import VoteWeights
from ml.decision.approved_order import ApprovedOrder, ProposedOrder, decide_approved
from ml.decision.clock import ClockReading
from ml.decision.decide import Decision, decide, protective_exit
from ml.decision.inputs import DecisionInputs, OldestPrice, OpenGap, RecordedTables
from ml.decision.receipt import Scope, known_sha256
from ml.decision.recorded_tables import RecordedTable, part_digests, restore_table
from ml.learning.policy import Policy
from ml.sentiment.pair import PairSentiment
from trading.errors import InvalidValue, NotStored
from trading.fills import Costs
from trading.market import CANDLE_SCHEMA, Instrument, Pair, Universe
from trading.orders import Order, OrderIntent, WorkingOrder
from trading.portfolio import Position
from trading.ports import SENTIMENT_SCHEMA
from trading.ports.market_data import SeenBook
from trading.risk import AccountState

Read = Callable[
    [Collection[str]], Mapping[str, bytes]
]  # contents by their digests; those that are missing left out
FindPolicy = Callable[[Pair, str], Policy]
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Restored:
    """One decision's inputs, rules and function."""

    scope: Scope
    inputs: DecisionInputs
    rules: DecisionRules
    approved: ApprovedOrder | None = None  # what a person has approved; None: it was voted for

    def decide(self) -> Decision:
        """Decide again. InvalidValue where the function that decided then does not decide on these inputs now."""
        if self.approved is not None:
            return decide_approved(self.approved, self.inputs, self.rules)
        if self.scope is Scope.FULL:
            return decide(self.inputs, self.rules)
        if (closed := protective_exit(self.inputs, self.rules)) is None:
            raise InvalidValue("the position would not be closed by its stop or target now")
        return closed


def is_replayable(receipt: Mapping[str, Any]) -> bool:
    """Return whether the receipt has everything that it was decided from; those of before 2026-12 have not."""
    if receipt.get("scope") == Scope.PROPOSED:
        return "order" in receipt.get("proposed", {})
    return receipt.get("scope") in (Scope.FULL, Scope.EXIT)


def restore(receipt: Mapping[str, Any], read: Read, find_policy: FindPolicy) -> Restored:
    """Restore what was decided from.

    NotStored where a recorded content or the policy's bundle is missing, InvalidValue where the receipt or a content is
    not what was written.
    """
    from msgspec import ValidationError  # loading the graph must not import msgspec

    if not is_replayable(receipt):
        raise NotStored(f"decision {receipt.get('decision_id')}: its receipt does not have all of its inputs")
    if known_sha256(receipt) != receipt["known_sha256"]:
        raise InvalidValue(
            f"the receipt of decision {receipt['decision_id']} was edited: its clock, inputs or rules are not those of "
            "its digest"
        )
    try:
        inputs = _inputs(receipt, read, find_policy)
        rules, approved = recorded_rules(receipt), _approved(receipt)
    except (ValidationError, KeyError, TypeError) as error:
        raise InvalidValue(f"the receipt of decision {receipt['decision_id']}: {error}") from None
    return Restored(Scope(receipt["scope"]), inputs, rules, approved)


def _approved(receipt: Mapping[str, Any]) -> ApprovedOrder | None:
    """Return the order that a person has approved; None of a decision that was voted for."""
    if receipt["scope"] != Scope.PROPOSED:
        return None
    known = receipt["proposed"]
    order = _as(ProposedOrder, known["order"])
    return ApprovedOrder(order, known["decision_id"], known["why"], known["approval"])


def _inputs(receipt: Mapping[str, Any], read: Read, find_policy: FindPolicy) -> DecisionInputs:
    known, pair = receipt["inputs"], Pair.parse(receipt["pair"])
    tables = restore_tables(known, read)
    sentiment, position, oldest = known["sentiment"], known["position"], known["oldest_price"]
    gap = known["open_gap"]
    book, compared = known.get("book"), known.get("comparison_seconds")  # older receipts have none
    return DecisionInputs(
        account=receipt["account"],
        universe=_as(Universe, known["universe"]),
        pair=pair,
        clock=_as(ClockReading, receipt["clock"]),
        newest_known_at=datetime.fromisoformat(known["newest_known_at"]),
        candles=tables.candles,
        companions=tables.companions,
        costs={Pair.parse(name): _as(Costs, each) for name, each in known["costs"].items()},
        features=with_numbers(known["features"]),
        policy=find_policy(pair, known["policy_id"]) if known["policy_id"] else None,
        policy_age_days=known["policy_age_days"],
        news=tables.news,
        tables=_recorded(known),
        half_life_hours=known["news"]["half_life_hours"],
        sentiment=_as(PairSentiment, sentiment) if sentiment else None,
        instrument=_as(Instrument, known["instrument"]),
        position=_as(Position, position) if position else None,
        working=tuple(
            WorkingOrder(_as(OrderIntent, each["intent"]), _as(Order, each["order"]))
            for each in known["orders"]
        ),
        state=_as(AccountState, known["account"]),
        oldest_unsettled_age=timedelta(seconds=known["oldest_unsettled_seconds"]),
        comparison_age=None if compared is None else timedelta(seconds=compared),
        oldest_price=_as(OldestPrice, oldest) if oldest else None,
        free=_as(dict[str, Decimal], known["free"]),
        left_out=_as(dict[str, Decimal], known["left_out"]),
        notes=tuple(known["notes"]),
        open_gap=_as(OpenGap, gap) if gap else None,
        book=_as(SeenBook, book) if book else None,
        waited=timedelta(
            seconds=known.get("waited_seconds", 0)
        ),  # where nothing was waited for there is none
        weights=recorded_weights(receipt),
        absent=_as(dict[str, str], known["absent"]),
        judgements=_judgements(known.get("judgements", {})),  # receipts without a model's answer have none
    )


def _judgements(recorded: Mapping[str, Any]) -> dict[str, Judgement]:
    from msgspec import convert

    return convert(recorded, dict[str, Judgement])  # as it stands: a text that says nan is a text here


@dataclass(frozen=True, slots=True)
class RestoredTables:
    """The tables that a decision read."""

    candles: pl.DataFrame
    companions: Mapping[Pair, pl.DataFrame]
    news: pl.DataFrame


def restore_tables(known: Mapping[str, Any], read: Read) -> RestoredTables:
    """Restore the tables of a receipt's inputs; errors as `restore_table` has them."""
    companions = {Pair.parse(name): each["sha256"] for name, each in known["companions"].items()}
    candles, news = known["candles"]["sha256"], known["news"]["sha256"]
    roots = dict(read({candles, news, *companions.values()}))
    contents = roots | dict(read({part for root in roots.values() for part in part_digests(root)}))
    return RestoredTables(
        candles=restore_table(candles, contents, CANDLE_SCHEMA),
        companions={pair: restore_table(each, contents, CANDLE_SCHEMA) for pair, each in companions.items()},
        news=restore_table(news, contents, SENTIMENT_SCHEMA),
    )


def _recorded(known: Mapping[str, Any]) -> RecordedTables:
    """Return the tables' digests: what they name was checked when it was restored."""
    nothing: Mapping[str, bytes] = {}
    return RecordedTables(
        candles=RecordedTable(known["candles"]["sha256"], nothing),
        companions={
            Pair.parse(name): RecordedTable(each["sha256"], nothing)
            for name, each in known["companions"].items()
        },
        news=RecordedTable(known["news"]["sha256"], nothing),
    )


def recorded_weights(receipt: Mapping[str, Any]) -> VoteWeights | None:
    """Return what the records of the agents made of their votes; None where no version was known."""
    recorded = receipt["inputs"].get("weights")
    return None if recorded is None else _as(VoteWeights, recorded)


def recorded_rules(receipt: Mapping[str, Any]) -> DecisionRules:
    """Return the rules that the decision followed."""
    return _as(DecisionRules, receipt["rules"])


def _as(kind: type[Value], values: Any) -> Value:
    from msgspec import convert

    return convert(with_numbers(values), kind)


def with_numbers(values: Any) -> Any:
    """Return the floats that JSON has no number for: the receipt has them as text."""
    if isinstance(values, Mapping):
        return {name: with_numbers(each) for name, each in values.items()}
    if isinstance(values, list):
        return [with_numbers(each) for each in values]
    return float(values) if values in ("nan", "inf", "-inf") else values
