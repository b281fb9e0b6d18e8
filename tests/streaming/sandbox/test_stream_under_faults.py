"""Our streaming client on an exchange with faults: in the end it has the true state and knows what it missed."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from streaming.events import Candle, Channel, Ticker, UnknownInterval
from streaming.session.output import Interrupted, SubscriptionRefused
from streaming.session.settings import SessionSettings
from tests.contracts.trade import OPENING
from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import UNHURRIED
from tests.streaming.sandbox.stream_watch import PAIRS, PrivateSubscription

pytestmark = pytest.mark.anyio
MONEY = {**OPENING, "USDT": OPENING["USDT"] * 10}
CHANNELS = {
    "book": Channel.BOOK, "trade": Channel.TRADE, "ohlc": Channel.CANDLE, "ticker": Channel.TICKER,
    "executions": Channel.EXECUTIONS, "balances": Channel.BALANCES,
}  # fmt: skip
OFTEN = {
    "book": 9,
    "trade": 3,
    "ohlc": 3,
    "ticker": 3,
    "executions": 4,
    "balances": 4,
}  # each so-many-th message
MARKET, ACCOUNT = {"book", "ohlc", "ticker"}, {"executions", "balances"}  # lost with each connection
CUT: dict[str, Any] = {"kind": "disconnect", "channel": "book", "count": 1}
CUT_OFF: dict[str, Any] = {"kind": "disconnect", "channel": "executions", "count": 1}
SHORT = timedelta(seconds=1.2)  # long enough for a busy machine


@dataclass(frozen=True)
class Case:
    """Faults that are armed together, and the only channels of which an interval must be reported as unknown."""

    faults: tuple[dict[str, Any], ...]
    unknown: set[Channel]
    perhaps: set[Channel]  # where it depends on which message comes first
    settings: SessionSettings

    def __str__(self) -> str:
        first = self.faults[0]
        return "-".join(str(value) for value in first.values())


def case(
    *faults: dict[str, Any], unknown: Iterable[str] = (), perhaps: Iterable[str] = (), **settings: Any
) -> Case:
    missed, may_be = ({CHANNELS[name] for name in names} for names in (unknown, perhaps))
    return Case(faults, missed, may_be, SessionSettings(**settings))


def each(kind: str, channels: Iterable[str], noticed: Iterable[str] = (), **settings: Any) -> list[Case]:
    """Return a case for each channel; on those in `noticed` the fault leaves an unknown interval."""
    return [
        case(
            {"kind": kind, "channel": channel, "every": OFTEN[channel]},
            unknown={channel} & set(noticed),
            **settings,
        )
        for channel in channels
    ]


CASES = [
    case({"kind": "disconnect", "seconds": 0.3}, unknown=MARKET | ACCOUNT),
    case(CUT | {"count": 2}, unknown=MARKET),
    case({"kind": "disconnect", "channel": "trade", "count": 1}, unknown=MARKET),
    case(CUT_OFF | {"count": 2}, unknown=ACCOUNT),
    case({"kind": "disconnect", "method": "subscribe", "count": 3}, CUT, unknown=MARKET),
    *(
        case(
            {"kind": "silent_channel", "channel": name},
            unknown={name} - {"trade"},
            perhaps={"trade"} & {name},  # unless the snapshot fills the gap between two ids
            silence_timeouts={CHANNELS[name]: SHORT},
            response_timeout=SHORT,
            max_attempts=100,
        )
        for name in ("book", "trade", "ohlc", "ticker")
    ),
    case({"kind": "checksum_break", "count": 3}, unknown={"book"}),
    case({"kind": "checksum_break", "symbol": "XRP/USDT", "every": 7}, unknown={"book"}),
    # A missed change of a book that the next one undoes leaves no trace, and no book that is wrong.
    case({"kind": "missed_message", "channel": "book", "every": 4}, perhaps={"book"}, max_breaks=100),
    *each("missed_message", [*OFTEN][1:], noticed={"trade", *ACCOUNT}, max_breaks=100, reorder_window=SHORT),
    *each("duplicated_message", OFTEN),
    *each("reordered_messages", OFTEN, noticed={"book", *ACCOUNT}, max_breaks=100),
    *each("sequence_gap", ("executions", "balances"), noticed=ACCOUNT, max_breaks=100),
    case({"kind": "token_expiry", "channel": "executions", "count": 1}, CUT_OFF, unknown=ACCOUNT),
    *(  # one kind of garbage calls itself a book
        case(
            {"kind": "garbage_frame", "channel": name, "count": 6},
            unknown={name} - {"trade"} | ({"book"} if name not in ACCOUNT else set()),
            perhaps={"trade"} & {name},  # unless the snapshot fills the gap between two ids
        )
        for name in ("book", "trade", "executions", "ticker")
    ),
    case({"kind": "slow_loris", "channel": "book", "seconds": 0.0005, "count": 3}),
    case({"kind": "slow_loris", "channel": "trade", "seconds": 0.001, "count": 3}),
    case({"kind": "lost_ack", "method": "subscribe"}, CUT, unknown=MARKET, response_timeout=SHORT),
    case({"kind": "slow_ack", "method": "subscribe", "seconds": 0.3}, CUT, unknown=MARKET),
    case({"kind": "maintenance"}, {"kind": "disconnect", "count": 1}, unknown=MARKET | ACCOUNT),
    case({"kind": "cancel_only"}, CUT, unknown=MARKET),
    case({"kind": "clock_skew", "seconds": -3600}, CUT, unknown=MARKET),
]
CLOSED = {"maintenance", "cancel_only"}
LASTING = CLOSED | {"clock_skew"}  # in force: strikes are not counted


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("sandbox"), tier=UNHURRIED.name) as running:
        yield running


def watch_account(exchange: Sandbox, folder: Path, settings: SessionSettings) -> PrivateSubscription:
    account = str(uuid4())
    return PrivateSubscription(exchange.open_account(account, MONEY), account, folder, settings)


async def test_without_faults_every_event_arrives_and_nothing_is_unknown(
    exchange: Sandbox, tmp_path: Path
) -> None:
    watch = watch_account(exchange, tmp_path, SessionSettings())

    async with watch.connect():
        await watch.begin()
        for _ in range(10):
            await watch.play(1)
            await watch.trade()
        await watch.until(watch.is_level)
    watch.check_complete()
    watch.check_trades()
    watch.check_fills()
    truth = exchange.running.exchange
    for pair in PAIRS:
        bar, candle = truth.tape(pair).bars(1)[-1], [e for e in watch.of(Candle) if e.pair == pair][-1]
        received = (
            candle.open_time,
            candle.open,
            candle.high,
            candle.low,
            candle.close,
            candle.volume,
            candle.trades,
        )
        assert received == (
            bar.open_time, float(bar.open), float(bar.high), float(bar.low), float(bar.close), float(bar.volume),
            bar.trades,
        )  # fmt: skip
        assert [e for e in watch.of(Ticker) if e.pair == pair][-1].last == float(
            truth.tape(pair).last_price or 0
        )
    assert watch.balances() == truth.balances(watch.account)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_after_a_fault_it_knows_what_is_true_and_what_it_missed(
    exchange: Sandbox, tmp_path: Path, case: Case
) -> None:
    watch = watch_account(exchange, tmp_path, case.settings)
    struck = await rehearse(watch, case)
    assert all(each["struck"] for each in struck if each["kind"] not in LASTING), struck
    watch.check_trades()
    watch.check_fills()
    unknown = {each.channel for each in watch.of(UnknownInterval)}
    assert case.unknown <= unknown <= case.unknown | case.perhaps
    [fault, *_] = struck
    quarantined = watch.quarantined()
    assert all(each.venue == "kraken" and each.reason for each in quarantined)
    if fault["kind"] == "garbage_frame":
        assert len(quarantined) == fault["struck"]
        assert {"book", "nonsense"} <= {each.channel for each in quarantined}
    elif fault["kind"] == "checksum_break":
        assert {each.channel for each in quarantined} == {"book"}
        assert len(quarantined) <= fault["struck"]  # what comes while a book is being left is not looked at
        assert all("checksum" in each.reason for each in quarantined)
    elif not case.unknown | case.perhaps:
        assert quarantined == []


async def rehearse(watch: PrivateSubscription, case: Case) -> list[dict[str, Any]]:
    """Play a minute without faults, four with them, then until all is level; return how often each fault struck."""
    exchange, closed = watch.exchange, CLOSED & {each["kind"] for each in case.faults}
    try:
        async with watch.connect():
            await watch.begin()
            await watch.play(1)
            for fault in case.faults:
                await asyncio.to_thread(exchange.arm, **fault)
            for _ in range(4):
                await watch.play(1)
                if not closed:
                    await watch.trade()
            if case.faults[0]["kind"] == "silent_channel":  # takes its time, however fast the market is
                await watch.until(lambda: bool(watch.of(Interrupted)))
            struck = exchange.running.faults.describe()
            await asyncio.to_thread(exchange.disarm)
            await watch.trade()  # until another message comes, nobody can know that the last one is missing
            while not await watch.becomes_level():
                await watch.play(0.5)  # a change of the market that was lost shows at the next one
    finally:
        exchange.disarm()
    return struck


async def test_a_token_that_is_refused_repeatedly_is_reported(exchange: Sandbox, tmp_path: Path) -> None:
    watch = watch_account(exchange, tmp_path, SessionSettings())

    try:
        async with watch.connect():
            await watch.begin()
            exchange.arm("token_expiry", channel="executions")
            exchange.arm(**CUT_OFF)
            await watch.trade()
            await watch.until(lambda: bool(watch.of(SubscriptionRefused)))
            exchange.disarm()
            await watch.play(1)
    finally:
        exchange.disarm()
    assert {each.channel for each in watch.of(SubscriptionRefused)} == {Channel.EXECUTIONS}
    assert Channel.EXECUTIONS in {each.channel for each in watch.of(UnknownInterval)}
