"""A receipt as plain text that a person reads from top to bottom."""

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

from ml.agents.vote_weights import VoteWeight
from trading.invalidation import invalidation_from
from trading.orders import Fill, Order


def explain(receipt: Mapping[str, Any], order: Order | None, fills: list[Fill] | None = None) -> str:
    """Explain what was decided and why: inputs, votes, consensus, every risk rule, the order and its fills."""
    return "\n".join(
        [
            *_head(receipt),
            *_inputs(receipt["inputs"]),
            *_votes(receipt),
            *_risk(receipt),
            *_order(receipt, order, fills or []),
        ]
    )


def _head(receipt: Mapping[str, Any]) -> Iterator[str]:
    yield f"{receipt['pair']} at {receipt['decided_at']}: {receipt['outcome']}"
    if receipt.get("shadow"):
        challenger = f", with the challenger {receipt['challenger']}" if receipt["challenger"] else ""
        yield f"in shadow mode{challenger}: nothing was ordered, and the account is as it was"
    for words in receipt.get("unfinished", ()):
        yield f"could not be done first: {words}"
    if clock := receipt.get("clock"):
        skew = clock["skew_seconds"]
        known = "not known" if skew is None else f"{float(skew):g} s"
        waited = receipt["inputs"].get("waited_seconds")
        since = f"; read {waited:.1f} s before the vote, which ages of an entry count" if waited else ""
        yield f"clock: {clock['source']}; this machine's is off by {known}{since}"
    yield f"decision {receipt['decision_id']}, account {receipt['account']}, data {receipt['dataset']}"


def _inputs(inputs: Mapping[str, Any]) -> Iterator[str]:
    candles, sentiment = inputs["candles"], inputs["sentiment"]
    yield ""
    yield "Known"
    yield (
        f"  candles    {candles['rows']} of {candles['origin']}, closed by {candles['last_close_time']} "
        f"(sha256 {candles['sha256'][:12]})"
    )
    yield f"  features   {len(inputs['features'])} values (sha256 {inputs['features_sha256'][:12]})"
    yield f"  policy     {inputs['policy_id'] or 'none promoted'}"
    if sentiment is None:
        yield "  sentiment  none: no article speaks of the pair"
    else:
        yield (
            f"  sentiment  {sentiment['score']:+.2f} by {sentiment['model']}, "
            f"newest article known {sentiment['newest_known_at']}"
        )
    equity, peak = (float(inputs["account"][name]) for name in ("equity", "equity_peak"))
    yield (
        f"  account    equity {equity:.2f}, peak {peak:.2f}"
        if isfinite(equity)
        else "  account    not valued"
    )
    for halt in inputs["account"].get("halts", ()):
        yield f"  halted     {halt['kind']} since {halt['since']}, until {halt['until'] or 'a person resumes'}"
    yield from _permit(inputs["account"].get("permit"))
    yield f"  position   {_position(inputs['position'])}"
    if "free" in inputs:  # receipts of before 2026-11 do not say
        yield f"  free       {_amounts(inputs['free']) or 'nothing'}"
    for order in inputs.get("orders", ()):
        trigger = f", trigger {order['trigger']}" if order["trigger"] else ""
        yield (
            f"  working    {order['side']} {order['remaining']} {order['pair']}, {order['kind']}, {order['status']}"
            f"{trigger}, since {order['since']}"
        )
    if left_out := inputs.get("left_out"):
        yield f"  left out   {_amounts(left_out)}: no pair prices it"
    for note in inputs.get("notes", ()):
        yield f"  note       {note}"


def _permit(permit: Mapping[str, Any] | None) -> Iterator[str]:
    if permit is None:
        return
    may = "real money, all conditions hold"
    if permit["missing"]:
        may = "real money, nothing is opened" if permit["is_live"] else "asked for, but paper trades"
    yield f"  live       {may}"
    for words in (*permit["missing"], *permit["unwatched"]):
        yield f"             {words}"


def _amounts(balances: Mapping[str, str]) -> str:
    return ", ".join(f"{amount} {asset}" for asset, amount in balances.items())


def _position(position: Mapping[str, Any] | None) -> str:
    if position is None:
        return "none"
    levels = f"stop {position['stop_loss']}, target {position['take_profit']}"
    return f"{position['quantity']} at {position['entry_price']}, {levels}{_invalidations(position)}"


def _invalidations(plan: Mapping[str, Any]) -> str:
    """Say what closes a position beside its levels; empty where nothing does."""
    words = [str(invalidation_from(each)) for each in plan.get("invalidations", ())]
    return f"; ends {' or '.join(words)}" if words else ""


def _votes(receipt: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield "Votes"
    if not receipt["opinions"]:
        yield "  nobody was asked"
    for opinion in receipt["opinions"]:
        vote = f"{opinion['action']} {opinion['confidence']:.2f}" if opinion["action"] else "abstains"
        usd = opinion["evidence"].get("usd")
        cost = f" ({usd:.4f} USD)" if usd else ""
        if first := opinion["evidence"].get("before_debate"):
            cost += f" (before the debate {first})"
        yield f"  {opinion['agent']:<10} {vote:<12} {opinion['model']}{cost}: {opinion['reasoning']}"
    agreed = receipt["consensus"]
    yield (
        f"  consensus  {agreed['action']} {agreed['confidence']:.2f}, agreement {agreed['agreement']:.0%}"
        f"{'; dissent: ' + ', '.join(agreed['dissent']) if agreed['dissent'] else ''}"
    )
    for each in agreed.get("records", ()):
        model = f", {each['model']}" if each["model"] else ""
        yield f"  record     {each['agent']}{model} weighs {each['weight']:.2f}: {VoteWeight(**each)}"
    yield f"  action     {receipt['action']}: {receipt['why']}"


def _risk(receipt: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    if receipt["risk"] is None:
        yield "Risk was not asked: nothing was proposed"
        return
    yield "Risk" if receipt["proposal"] else "Risk, before anybody was asked"
    for verdict in receipt["risk"]["verdicts"]:
        mark = "ok" if verdict["passes"] else "NO"
        measured = f"{_number(verdict['value']):>14}  limit {_number(verdict['limit'])}"
        yield f"  {mark} {verdict['rule']:<22} {measured}  {verdict['note']}".rstrip()


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else str(value)


def _order(receipt: Mapping[str, Any], order: Order | None, fills: list[Fill]) -> Iterator[str]:
    intent = receipt["intent"]
    yield ""
    for identity, reason in receipt.get("cancels", {}).items():
        yield f"cancels    order {identity[:8]}: {reason}"
    if intent is None:
        yield "No order"
        return
    yield "Order"
    levels = f"stop {intent['stop_loss']}, target {intent['take_profit']}{_invalidations(intent)}"
    yield f"  {intent['side']} {intent['quantity']} {receipt['pair']}, {levels}"
    if order is not None:
        yield f"  {order.status.value}{': ' + order.reason if order.reason else ''} (id {intent['intent_id']})"
    for fill in fills:
        yield f"  filled {fill.quantity} at {fill.price}, fee {fill.fee} {fill.fee_asset}, {fill.filled_at.isoformat()}"
