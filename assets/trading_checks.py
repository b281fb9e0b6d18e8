"""Checks of decisions and of the account, over the partitions of the run."""

from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from typing import Any

import dagster as dg

from assets.check_scope import broken, run_pairs, run_partitions, verdict
from assets.decisions import decision
from assets.market import OHLCV
from assets.portfolio import portfolio_snapshots
from ml.decision.clock import HISTORY, Clock
from ml.decision.decide import DecisionRules
from ml.decision.market_reader import MarketReader
from ml.decision.plain_json import values_sha256
from ml.decision.reader import InputReader
from trading.account import equity_change
from trading.errors import NotStored
from trading.market import Pair
from trading.ports import Journal
from trading.stores.journal_rules import decided_at

CHECKED_DECISIONS = 20  # the newest ones of the account: the check runs behind every decision


@dg.asset_check(
    asset=decision,
    description="Receipts are as they were written, risk approved every order, and none was filled beyond its intent.",
)
def decisions_explain_their_orders(
    context: dg.AssetCheckExecutionContext,
    input_reader: dg.ResourceParam[InputReader],
    journal: dg.ResourceParam[Journal],
) -> dg.AssetCheckResult:
    pairs = {str(pair) for pair in run_pairs(context, input_reader.market.universe)}
    receipts = [
        row for row in journal.decisions(input_reader.account.name, CHECKED_DECISIONS) if row["pair"] in pairs
    ]
    filled: dict[str, Decimal] = defaultdict(Decimal)
    for fill in journal.fills(input_reader.account.name):
        filled[fill.intent_id] += fill.quantity
    return verdict(
        {row["decision_id"]: _receipt_faults(row, journal, filled) for row in receipts},
        decisions=len(receipts),
    )


def _receipt_faults(receipt: dict[str, Any], journal: Journal, filled: dict[str, Decimal]) -> list[str]:
    intent = journal.intent(receipt["decision_id"])
    inputs, risk = receipt["inputs"], receipt["risk"]
    closed = datetime.fromisoformat(receipt["candle_close_time"])
    digest = values_sha256(inputs["features"])
    return broken(
        {
            "the features are not those of their digest": digest != inputs["features_sha256"],
            "confidence outside 0..1": not 0 <= receipt["confidence"] <= 1,
            "decided before its candle closed": decided_at(receipt) < closed,
            "an order without the approval of risk": intent is not None and not (risk and risk["approved"]),
            "an order that the receipt does not name": intent is not None and receipt["intent"] is None,
            "the receipt's order is not in the journal": intent is None and receipt["intent"] is not None,
            "filled beyond its intent": intent is not None and filled[intent.intent_id] > intent.quantity,
        }
    )


@dg.asset_check(
    asset=portfolio_snapshots,
    description="Shares add up to one, the peak is the highest, profit is what was realised and is open, less fees.",
)
def snapshots_add_up(
    context: dg.AssetCheckExecutionContext,
    input_reader: dg.ResourceParam[InputReader],
    journal: dg.ResourceParam[Journal],
) -> dg.AssetCheckResult:
    keys = run_partitions(context)
    rows = [
        row for row in journal.snapshots(input_reader.account.name) if keys is None or str(row["day"]) in keys
    ]
    missing = {key: ["no snapshot is stored"] for key in set(keys or ()) - {str(row["day"]) for row in rows}}
    return verdict(
        {**missing, **{str(row["day"]): _snapshot_faults(row) for row in rows}}, snapshots=len(rows)
    )


def _snapshot_faults(row: dict[str, Any]) -> list[str]:
    equity, peak = Decimal(row["equity"]), Decimal(row["peak_equity"])
    amounts = [Decimal(row.get(name, 0)) for name in ("realised_pnl", "unrealised_pnl", "fees", "net_pnl")]
    realised, unrealised, fees, net = amounts  # all 0 in a snapshot from before results were kept
    change = equity_change(None, row)  # None in a snapshot from before its parts were kept
    return broken(
        {
            "equity is not above zero": not equity > 0,
            "the peak is below the equity": peak < equity,
            "shares do not add up to one": abs(sum(map(float, row["allocation"].values())) - 1) > 1e-9,
            "a balance below zero": any(Decimal(amount) < 0 for amount in row["balances"].values()),
            "profit is not what it is made of": abs(realised + unrealised - fees - net) > Decimal("1e-9"),
            "equity is not the sum of its parts": change is not None and change.unexplained != 0,
        }
    )


@dg.asset_check(
    asset=OHLCV,
    description="The newest candle of each pair is no older than [risk] candle_age, counted in candles; on history by "
    "the newest candle of any pair.",
)
def newest_candles_are_fresh(
    market_reader: dg.ResourceParam[MarketReader],
    clock: dg.ResourceParam[Clock],
    rules: dg.ResourceParam[DecisionRules],
) -> dg.AssetCheckResult:
    """Judge candles alone: they are the first that a new home stores, before instruments and an account."""
    reading = clock()
    now = reading.at
    ages = {pair: _age(market_reader, pair, now) for pair in market_reader.universe.pairs}
    late = {
        str(pair): "no candle is stored"
        if age is None
        else f"{age:.1f} candles old at {now:%Y-%m-%d %H:%M} UTC"
        for pair, age in ages.items()
        if age is None or age > rules.limits.candle_age
    }
    expected = "nothing newer is expected: the dataset has ended" if reading.source == HISTORY else ""
    lagging = "; ".join(f"{pair}: {why}" for pair, why in late.items())
    return dg.AssetCheckResult(
        passed=not late,
        description=lagging or expected or "the newest candle of every pair is there",
        severity=dg.AssetCheckSeverity.WARN,  # history may be filled from its oldest month; risk refuses old candles
        metadata={"late": dg.MetadataValue.json(late), "limit_in_candles": rules.limits.candle_age},
    )


def _age(market: MarketReader, pair: Pair, now: datetime) -> float | None:
    """Return the age of the pair's newest candle, counted in candles; None without one."""
    try:
        newest = market.newest_close_time(pair)
    except NotStored:
        return None
    return float((now - newest) / market.universe.timeframe.duration)
