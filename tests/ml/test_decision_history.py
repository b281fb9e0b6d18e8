"""What is back-tested is what trades: votes, consensus and protection of a whole history against live decisions."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.agents.consensus import consensus
from ml.agents.history import AgentVotes, decided, quant_history, technical_history
from ml.agents.opinions import Action, Opinion, abstain
from ml.agents.quant import quant_opinion
from ml.agents.technical import technical_opinion
from ml.agents.vote_weights import Run, WeightVersions
from ml.agents.votes import ABSTAINS, ACTIONS, CODE
from ml.decision.market_reader import MarketReader
from ml.decision_history import DecisionHistory
from ml.learning.policy import Policy, PolicyAction
from ml.learning.promotion import PromotionVerdict
from ml.learning.registry import PolicyRegistry
from tests.doubles.stores import MemoryNews, MemoryPromotions, MemoryTable, MemoryWeights
from tests.ml.agents.records import record, weights
from tests.ml.agents.test_consensus import ANY_RULES, SHIPPED
from tests.ml.decision.decision_world import DecisionWorld, with_market, write_by_month
from tests.ml.decision.trading_day import LIMITS, PAIR, RULES, WINDOW
from tests.ml.learning.folds_of_candles import NAMES, TINY, bundle
from trading.backtest import Plan
from trading.indicators import feature_table
from trading.market import CANDLE_SCHEMA, TIME, Pair, Timeframe
from trading.portfolio import Position
from trading.ports import SENTIMENT_SCHEMA
from trading.signals import signal_table, technical_signal
from trading.simulation.market import SimulatedMarket

START = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DECISIONS = 300
HELD: dict[Action | None, int] = {None: 0, Action.LONG: 1, Action.SHORT: -1}


def simulated(hours: int, seed: int = 8) -> pl.DataFrame:
    market = SimulatedMarket((PAIR,), Timeframe.H1, seed, START, START + hours * HOUR)
    return market.candles(PAIR, START, START + hours * HOUR)


def position(held: Action | None) -> Position | None:
    size = HELD[held]
    return Position("a", PAIR, Decimal(size), Decimal(1), None, None, START) if size else None


def vote(votes: AgentVotes, row: int) -> tuple[Action | None, float]:
    code = votes.actions[row]
    return None if code == ABSTAINS else ACTIONS[code], float(votes.confidences[row])


# --- every agent, candle by candle


def test_the_technical_agent_votes_on_a_history_as_on_each_candle_alone() -> None:
    candles = simulated(1100)
    features = feature_table(candles, Timeframe.H1)
    votes = technical_history(signal_table(features, candles["close"].to_numpy(), RULES.signals))
    for row, (values, close) in enumerate(zip(features.iter_rows(named=True), candles["close"], strict=True)):
        alone = technical_opinion(technical_signal(values, close, RULES.signals))
        assert vote(votes, row) == (alone.action, alone.confidence)


@pytest.mark.parametrize("held", HELD)
def test_the_champion_votes_on_a_history_as_on_each_candle_alone(held: Action | None, tmp_path: Path) -> None:
    registry = PolicyRegistry(tmp_path, MemoryPromotions())
    folder = bundle(registry.folder(PAIR, date(2021, 3, 1)))
    policy = registry.by_id(PAIR, folder.name)
    random = np.random.default_rng(1)
    features = random.normal(0, 1, (200, len(NAMES)))
    features[random.random(features.shape) < 0.02] = np.nan
    votes = quant_history(policy, features, held)
    for row, values in enumerate(features):
        known = {name: None if np.isnan(value) else value for name, value in zip(NAMES, values, strict=True)}
        alone = quant_opinion(policy, known, position(held))
        action, confidence = vote(votes, row)
        assert (action, confidence) == (alone.action, pytest.approx(alone.confidence, abs=1e-6))
    assert {action for action, _ in (vote(votes, row) for row in range(200))} >= {None}


def test_without_a_champion_the_quant_abstains_on_a_history() -> None:
    votes = quant_history(None, np.empty((3, 0)), None)
    assert votes.actions.tolist() == [ABSTAINS] * 3


def test_the_champion_of_a_past_time_is_the_one_that_was_promoted_by_then(tmp_path: Path) -> None:
    registry = PolicyRegistry(tmp_path, MemoryPromotions())
    times = pl.Series([START + hour * HOUR for hour in range(60)], dtype=TIME)
    for seed, (hours, promoted) in enumerate([(20, True), (40, True), (30, True), (50, False), (30, True)]):
        folder = bundle(registry.folder(PAIR, date(2021, 3, 1)), replace(TINY, seed=seed))
        registry.record(PAIR, folder.name, PromotionVerdict(promoted, (), {}), START + hours * HOUR)
    found: list[Policy | None] = []
    for run, policy in registry.champions(PAIR, times):
        found += [policy] * (run.stop - run.start)
    alone = [registry.champion(PAIR, at) for at in times]
    assert [each and each.policy_id for each in found] == [each and each.policy_id for each in alone]
    assert len({each and each.policy_id for each in found}) == 3


# --- the vote

CODES = st.sampled_from([ABSTAINS, *CODE.values()])


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.lists(st.tuples(CODES, st.floats(0, 1)), min_size=3, max_size=3), min_size=1, max_size=8),
    ANY_RULES,
    st.lists(st.sampled_from([0.0, 0.25, 1.0, 1.7]), min_size=3, max_size=3),
)
def test_a_history_is_decided_as_each_of_its_candles_is_alone(
    rows: list[list[tuple[int, float]]], rules: Any, pulls: list[float]
) -> None:
    names = ("technical", "quant", "analyst")
    columns = [
        AgentVotes.of(
            np.array([code for code, _ in agent]),
            np.array([weight for _, weight in agent]),
            is_news=name == "analyst",
        ).weighed(np.full(len(rows), pull))
        for name, pull, agent in zip(names, pulls, zip(*rows, strict=True), strict=True)
    ]
    version = weights(
        *(record(name, pull, "" if name == "quant" else "m") for name, pull in zip(names, pulls, strict=True))
    )
    found = decided(columns, columns, columns, rules)
    for row, agents in enumerate(rows):
        opinions = [
            abstain(name, "m", "") if code == ABSTAINS else Opinion(name, "m", ACTIONS[code], weight, "", {})
            for name, (code, weight) in zip(names, agents, strict=True)
        ]
        alone = {held: consensus(opinions, rules, held, version).action for held in HELD}
        actionable = opinions[0].action in (Action.LONG, Action.SHORT)
        entered = alone[None] if actionable and alone[None] is not Action.CLOSE else Action.HOLD
        assert ACTIONS[found.entry[row]] is entered
        assert found.leaves_long[row] == (alone[Action.LONG] is Action.CLOSE)
        assert found.leaves_short[row] == (alone[Action.SHORT] is Action.CLOSE)


def test_the_technical_back_test_enters_where_the_technical_agent_alone_would_live() -> None:
    rules = replace(RULES, consensus=SHIPPED)
    candles = simulated(4000)
    features = feature_table(candles, Timeframe.H1)
    table = candles.join(features.drop("close_time", "known_at"), on="open_time", maintain_order="left")
    made = history(MemoryTable(None), rules=rules)
    plan = made.plan(PAIR, table, made.technical(table))
    quiet = [abstain("quant", "none", ""), abstain("analyst", "none", "")]
    live = Counter(
        consensus(
            [technical_opinion(technical_signal(row, row["close"], rules.signals)), *quiet], SHIPPED, None
        ).action
        for row in table.iter_rows(named=True)
    )
    tested = Counter(np.sign(np.asarray(plan.target)[~np.isnan(np.asarray(plan.target))]).tolist())
    assert tested == {1.0: live[Action.LONG], -1.0: live[Action.SHORT]}
    assert min(tested.values()) > 100


def history(store: MemoryTable, rules: Any = RULES) -> DecisionHistory:
    return DecisionHistory(store, rules, Timeframe.H1)


# --- whole decisions on the paper path


class Champion:
    """Wants in while the RSI is high, and a little rather what it has than a change; promoted halfway."""

    policy_id, feature_names, test_month = "champion", ("rsi_14",), date(2024, 1, 1)

    def choices(self, features: Any, exposure: float) -> tuple[Any, Any]:
        lean = 14 * (features[:, 0] - 0.5) + (0.4 if exposure else -0.4)
        return lean > 0, 1 / (1 + np.exp(-np.abs(lean)))

    def act(self, features: Any, exposure: float) -> PolicyAction:
        long, probability = self.choices(np.array([[features["rsi_14"]]]), exposure)
        return PolicyAction(float(long[0]), float(probability[0]))


class Past:
    """The champion's promotion and the news, to the back-test and to the live reader alike."""

    def __init__(self, market: MarketReader, promoted_at: datetime) -> None:
        self.market, self.promoted_at = market, promoted_at
        self.policy: Any = Champion()
        self.versions = WeightVersions(MemoryWeights())

    def champion(self, pair: Pair, until: datetime) -> Any:
        return self.policy if until >= self.promoted_at else None

    def champions(self, pair: Pair, times: pl.Series) -> list[tuple[slice, Any]]:
        split = int((times < self.promoted_at).sum())
        return [(slice(0, split), None), (slice(split, len(times)), self.policy)]

    def sentiments(self, pair: Pair, times: pl.Series) -> pl.DataFrame:
        return self.market.sentiments(pair, times)

    def weights(self, times: pl.Series) -> list[Run]:
        return self.versions.runs(times)


def news(closes: pl.Series) -> MemoryNews:
    """An article every nine hours, judged by one model or by two; days without any, until the newest is too old."""
    random = np.random.default_rng(4)
    rows = []
    for number, at in enumerate(closes.gather_every(9)):
        if number % 40 >= 30:
            continue
        for model in ("one", "two")[: 1 + number % 2]:
            known_at = at - timedelta(minutes=7)
            rows.append(
                (
                    f"a{number}",
                    "BTC",
                    known_at,
                    random.uniform(-1, 1),
                    random.uniform(0.05, 0.4),
                    model,
                    "",
                    0.0,
                )
            )
    store = MemoryNews()
    store.put_sentiment(pl.DataFrame(rows, SENTIMENT_SCHEMA, orient="row"))
    return store


TREND = "trend-momentum/1"
LEARNED = (  # what the desk learned about its agents while it traded
    [
        record("technical", 0.5, TREND, "trending down"),
        record("analyst", 2.0, "one"),
        record("quant", 1.5, ""),
    ],
    [record("technical", 0.0, TREND, "ranging"), record("technical", 1.4, TREND), record("quant", 0.0, "")],
    [record("analyst", 0.0, "one"), record("analyst", 0.3, "one + two"), record("technical", 1.2, TREND)],
)


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], pl.DataFrame, Plan, Any]:
    """Receipts of decisions on paper, candle after candle, with what the back-test decides on the same candles."""
    candles = simulated(WINDOW + DECISIONS)
    world = DecisionWorld(tmp_path_factory.mktemp("world"), market=candles)
    world.reader = with_market(world.reader, news=news(candles["close_time"]))
    past = Past(world.reader.market, promoted_at=candles["close_time"][-DECISIONS // 2])
    for place, records in enumerate(LEARNED):
        past.versions.record(weights(*records, known_at=candles["close_time"][WINDOW + 60 * (place + 1)]))
    world.reader = replace(world.reader, policies=past, weights=past.versions.at)  # type: ignore[arg-type]
    receipts = [world.execute(close).receipt for close in candles["close_time"][WINDOW - 1 : -1]]
    features = feature_table(candles, Timeframe.H1)
    store = MemoryTable(None)
    write_by_month(store, PAIR, features)
    table = candles.join(features.drop("close_time", "known_at"), on="open_time", maintain_order="left")
    made = history(store)
    agents = made.every_agent(PAIR, table, past)
    votes = decided(agents.flat, agents.long, agents.short, RULES.consensus)
    return receipts, table, made.plan(PAIR, table, agents), votes


def held_side(receipt: dict[str, Any]) -> Action | None:
    held = receipt["inputs"]["position"]
    if held is None:
        return None
    return Action.LONG if float(held["quantity"]) > 0 else Action.SHORT


def test_the_back_test_decides_what_the_paper_account_decided_candle_by_candle(traded: Any) -> None:
    receipts, _, _, votes = traded
    compared: Counter[tuple[Action | None, str]] = Counter()
    for row, receipt in enumerate(receipts, start=WINDOW - 1):
        if not receipt["opinions"] or "risk refuses every entry" in receipt["why"]:
            continue  # a stop or target was hit, or the account had lost too much for a day: nobody is asked
        held = held_side(receipt)
        leaves = {None: False, Action.LONG: votes.leaves_long[row], Action.SHORT: votes.leaves_short[row]}
        kept = ACTIONS[votes.entry[row]] if held is None else Action.HOLD
        expected = Action.CLOSE if leaves[held] else kept
        assert receipt["action"] == expected, (receipt["decided_at"], held, receipt["why"])
        compared[held, receipt["action"]] += 1
    for seen in (
        (None, "LONG"),
        (None, "SHORT"),
        (None, "HOLD"),
        (Action.LONG, "HOLD"),
        (Action.LONG, "CLOSE"),
        (Action.SHORT, "HOLD"),
    ):
        assert compared[seen], compared
    agents = [opinion for receipt in receipts for opinion in receipt["opinions"] if opinion["action"]]
    assert {opinion["agent"] for opinion in agents} == {"technical", "quant", "analyst"}


def test_the_back_test_protects_an_entry_where_the_live_proposal_does(traded: Any) -> None:
    receipts, table, plan, _ = traded
    proposed = 0
    for row, receipt in enumerate(receipts, start=WINDOW - 1):
        proposal = receipt["proposal"]
        if proposal is None or proposal["reduces"]:
            continue
        close, side = table["close"][row], 1 if proposal["side"] == "buy" else -1
        assert proposal["stop"] == pytest.approx(close * (1 - side * plan.stop[row]), rel=1e-12)
        assert proposal["take_profit"] == pytest.approx(close * (1 + side * plan.take_profit[row]), rel=1e-12)
        assert np.sign(plan.target[row]) == side
        proposed += 1
    assert proposed >= 5


def test_the_entry_of_a_champion_that_is_too_old_is_refused_as_risk_does(traded: Any) -> None:
    _, table, _, _ = traded
    tested_until = datetime(2024, 2, 1, tzinfo=UTC)  # the end of the champion's test month
    limits = replace(LIMITS, policy_age_days=7.0)
    write_by_month(store := MemoryTable(None), PAIR, table)
    made = history(store, rules=replace(RULES, limits=limits))
    reader = DecisionWorld(Path(), market=table.select(CANDLE_SCHEMA.names())).reader
    past = Past(with_market(reader, news=MemoryNews()).market, START)
    agents = made.every_agent(PAIR, table, past)
    old = (table["close_time"] > tested_until + timedelta(days=7)).to_numpy()
    voted = agents.flat[1].actions != ABSTAINS
    assert (agents.policy_too_old == (old & voted)).all()
    entered = ~np.isnan(np.asarray(made.plan(PAIR, table, agents).target))
    assert entered[~old].any()
    assert not entered[old & voted].any()


def test_nothing_is_entered_where_nothing_was_traded_for_too_long() -> None:
    candles = simulated(1100)
    quiet = candles.height - 60
    candles = candles.with_columns(
        volume=pl.when(pl.int_range(pl.len()) >= quiet).then(0.0).otherwise("volume")
    )
    features = feature_table(candles, Timeframe.H1)
    table = candles.join(features.drop("close_time", "known_at"), on="open_time", maintain_order="left")
    made = history(MemoryTable(None))
    always = AgentVotes(np.zeros(table.height, np.int8), np.ones(table.height))  # LONG
    agents = replace(made.technical(table), flat=(always,), long=(always,), short=(always,))
    entered = ~np.isnan(np.asarray(made.plan(PAIR, table, agents).target))
    silence = (table["close_time"] - table["close_time"][quiet - 1]).dt.total_hours().to_numpy()
    assert entered[quiet:][silence[quiet:] <= 24].all()
    assert not entered[silence > 24].any()
