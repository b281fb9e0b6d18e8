"""The comparison finds every row that was lost, doubled or changed on its way from the sandbox, and only those."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from orchestration.commands.compare_tape import Recorded, TapeComparison, compare_tape
from orchestration.commands.sandbox_truth import SandboxTruth
from streaming.messages import TradeMessage, encode
from streaming.recorder.messages import candle_message
from streaming.sandbox.model import NewOrder, OrderType, Print
from tests.doubles.event_log import MemoryEventLog
from tests.streaming.sandbox.running import Sandbox, sandbox
from tests.streaming.sandbox.simulated_exchange import BTC, STARTS, XRP
from trading.closed_candles import Basis, ClosedCandle, Restatement
from trading.errors import InvalidMessage, VenueUnreachable
from trading.market import CANDLE_SCHEMA, Pair, Timeframe
from trading.orders import Fill, Side
from trading.ports.market_data import TAPE_SCHEMAS, TapeTable

ORIGIN = "sandbox"
PAIRS, TIMEFRAMES = (BTC, XRP), (Timeframe.M1, Timeframe.M5)
UNTIL = STARTS + timedelta(minutes=30)


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Half an hour of trades, after ten minutes in which BTC/USDT did not trade; and two fills of the account."""
    with sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        running.admin("status", {"status": "maintenance", "pair": "BTC/USDT"})
        running.advance(600)
        running.admin("status", {"status": "online", "pair": "BTC/USDT"})
        running.advance(1210)
        for pair, quantity in ((BTC, "0.1"), (XRP, "20")):
            order = NewOrder(pair, Side.BUY, OrderType.MARKET, Decimal(quantity))
            running.portal.call(running.running.exchange.add, "demo", order)
        yield running


@dataclass
class Recording:
    """Trades, candles and fills as a faultless stream would have them, until a test damages them.

    It is its own stores: those of the project have tests of their own.
    """

    trades: list[TradeMessage]
    candles: list[ClosedCandle]  # revisions
    booked: list[Fill] = field(default_factory=list)
    held: dict[str, Decimal] = field(default_factory=dict)

    @classmethod
    def of(cls, exchange: Sandbox) -> "Recording":
        tapes = {pair: exchange.running.exchange.tape(pair).newest(10_000) for pair in PAIRS}
        return cls(
            [message_of_trade(each) for tape in tapes.values() for each in tape if each.at >= STARTS],
            [
                each
                for pair, tape in tapes.items()
                for timeframe in TIMEFRAMES
                for each in built(pair, timeframe, tape)
            ],
            [
                Fill(each.execution_id, "intent", "main", each.pair, each.side, each.price, each.quantity, each.fee,
                     each.fee_asset, each.at)
                for each in exchange.running.exchange.fills("demo")[0]
            ],
            {row["asset"]: Decimal(row["amount"]) for row in exchange.export()["balances"] if row["account"] == "demo"},
        )  # fmt: skip

    def compare(self, exchange: Sandbox, until: datetime = UNTIL) -> TapeComparison:
        bus = MemoryEventLog()
        for message in (*self.trades, *map(candle_message, self.candles)):
            wire = encode(message)
            bus.publish(wire.topic, wire.key, json.loads(wire.value))
        recorded = Recorded(bus, self, self, self, "main")  # type: ignore[arg-type]
        return compare_tape(SandboxTruth(exchange.url), recorded, ORIGIN, PAIRS, TIMEFRAMES, STARTS, until)

    # operational store
    def between(self, pair: Pair, timeframe: Timeframe, start: datetime, end: datetime) -> pl.DataFrame:
        newest = {each.open_time: each for each in self._revisions(pair, timeframe, start)}
        rows = [{**values(each), "origin": ORIGIN} for each in newest.values()]
        return pl.DataFrame(rows, {**CANDLE_SCHEMA, "trades": pl.Int64()}, orient="row")

    def restatements(
        self, pair: Pair, timeframe: Timeframe, start: datetime, end: datetime
    ) -> list[Restatement]:
        revisions = self._revisions(pair, timeframe, start)
        return [
            Restatement(before, after)
            for number, after in enumerate(revisions)
            for before in revisions[:number]
            if before.open_time == after.open_time
        ]

    def _revisions(self, pair: Pair, timeframe: Timeframe, start: datetime) -> list[ClosedCandle]:
        return [
            each
            for each in self.candles
            if (each.pair, each.timeframe) == (pair, timeframe) and each.open_time >= start
        ]

    # analytical store
    def read(self, table: TapeTable, origin: str, pair: Pair, start: datetime, end: datetime) -> pl.DataFrame:
        if table is TapeTable.TRADES:
            found = [each for each in self.trades if each.pair == str(pair) and each.at >= start]
            rows = [{name: getattr(each, name) for name in TAPE_SCHEMAS[table]} for each in found]
        else:
            rows = [
                {**values(each), "timeframe": timeframe.value}
                for timeframe in TIMEFRAMES
                for each in self._revisions(pair, timeframe, start)
            ]
        return pl.DataFrame(rows, TAPE_SCHEMAS[table], orient="row")

    # journal
    def fills(self, account: str) -> list[Fill]:
        return [each for each in self.booked if each.account == account]

    def balances(self, account: str) -> dict[str, Decimal]:
        return self.held


def message_of_trade(each: Print) -> TradeMessage:
    return TradeMessage(
        origin=ORIGIN, pair=str(each.pair), trade_id=each.trade_id, side=each.side.value, at=each.at,
        price=float(each.price), quantity=float(each.quantity), known_at=each.at,
    )  # fmt: skip


def values(each: ClosedCandle) -> dict[str, object]:
    names = ClosedCandle.__dataclass_fields__
    return {name: getattr(each, name) for name in names} | {
        "close_time": each.close_time, "pair": each.pair.key, "basis": each.basis.value
    }  # fmt: skip


def built(pair: Pair, timeframe: Timeframe, tape: Sequence[Print]) -> list[ClosedCandle]:
    """The closed candles from STARTS to UNTIL, in the plainest way there is."""
    found, opens = [], STARTS
    while opens < UNTIL:
        ends = opens + timeframe.duration
        inside = [each for each in tape if opens <= each.at < ends]
        before = [each.price for each in tape if each.at < opens][-1]
        prices = [each.price for each in inside] or [before]
        numbers = (prices[0], max(prices), min(prices), prices[-1], sum(each.quantity for each in inside))
        found.append(
            ClosedCandle(ORIGIN, pair, timeframe, opens, *map(float, numbers), len(inside),
                         inside[0].trade_id if inside else None, inside[-1].trade_id if inside else None,
                         Basis.TRADES, ends)
        )  # fmt: skip
        opens = ends
    return found


def test_a_faultless_recording_is_complete_and_everything_was_compared(exchange: Sandbox) -> None:
    comparison = Recording.of(exchange).compare(exchange)
    assert comparison.complete
    assert comparison.differences() == []
    tables = {part.table for part in comparison.parts}
    candles = {
        f"{place} candles {each.value}" for place in ("bus", "market_data", "tape") for each in TIMEFRAMES
    }
    assert tables == {"bus trades", "tape trades", "fills", "balances", *candles}
    assert {part.expected for part in comparison.parts if part.table.endswith("candles 1m")} == {30}
    assert {part.expected for part in comparison.parts if part.table.endswith("candles 5m")} == {6}
    [fills, _] = [part for part in comparison.parts if part.table == "fills"]
    assert fills.expected >= 1
    trades = [part for part in comparison.parts if part.table == "bus trades"]
    assert all(part.expected > 50 for part in trades)
    assert any(each.trades == 0 for each in Recording.of(exchange).candles)  # a quiet minute is a candle, too


def test_what_is_newer_than_required_may_be_missing_but_not_wrong(exchange: Sandbox) -> None:
    recording, until = Recording.of(exchange), UNTIL - timedelta(minutes=10)
    late = [each for each in recording.trades if each.at >= until]
    recording.trades = [each for each in recording.trades if each.at < until]
    assert recording.compare(exchange, until).complete
    recording.trades.append(changed(late[0], price=1.0))
    assert [line.partition(":")[0] for line in recording.compare(exchange, until).differences()] == [
        "bus trades BTC/USDT",
        "tape trades BTC/USDT",
    ]


def changed(trade: TradeMessage, **changes: object) -> TradeMessage:
    row = {name: getattr(trade, name) for name in TradeMessage.__struct_fields__}
    return TradeMessage(**row | changes)


def lose_a_trade(recording: Recording) -> None:
    del recording.trades[7]


def double_a_trade(recording: Recording) -> None:
    recording.trades.append(recording.trades[7])


def change_a_price(recording: Recording) -> None:
    recording.trades[7] = changed(recording.trades[7], price=recording.trades[7].price + 0.1)


def change_a_side(recording: Recording) -> None:
    trade = recording.trades[7]
    recording.trades[7] = changed(trade, side="buy" if trade.side == "sell" else "sell")


def invent_a_trade(recording: Recording) -> None:
    recording.trades.append(changed(recording.trades[7], trade_id=10**6))


def lose_a_candle(recording: Recording) -> None:
    del recording.candles[20]


def lose_a_quiet_candle(recording: Recording) -> None:
    recording.candles.remove(next(each for each in recording.candles if each.trades == 0))


def double_a_candle(recording: Recording) -> None:
    candle = recording.candles[20]
    recording.candles.append(replace(candle, known_at=candle.known_at + timedelta(minutes=1)))


def change_the_volume(recording: Recording) -> None:
    recording.candles[20] = replace(recording.candles[20], volume=recording.candles[20].volume + 1e-8)


def miscount_the_trades(recording: Recording) -> None:
    recording.candles[20] = replace(recording.candles[20], trades=(recording.candles[20].trades or 0) + 1)


def invent_a_candle(recording: Recording) -> None:
    recording.candles.append(replace(recording.candles[20], open_time=UNTIL + timedelta(hours=1)))


def lose_a_fill(recording: Recording) -> None:
    del recording.booked[0]


def double_a_fill(recording: Recording) -> None:
    recording.booked.append(recording.booked[0])


def change_a_fee(recording: Recording) -> None:
    recording.booked[0] = replace(recording.booked[0], fee=recording.booked[0].fee + Decimal("1e-8"))


def lose_a_balance(recording: Recording) -> None:
    del recording.held["BTC"]


def change_a_balance(recording: Recording) -> None:
    recording.held["USDT"] -= Decimal("1e-10")


@pytest.mark.parametrize(
    ("damage", "tables", "kind"),
    [
        (lose_a_trade, {"bus trades", "tape trades"}, "missing"),
        (double_a_trade, {"bus trades", "tape trades"}, "doubled"),
        (change_a_price, {"bus trades", "tape trades"}, "different"),
        (change_a_side, {"bus trades", "tape trades"}, "different"),
        (invent_a_trade, {"bus trades", "tape trades"}, "unknown"),
        (lose_a_candle, {"bus candles", "market_data candles", "tape candles"}, "missing"),
        (lose_a_quiet_candle, {"bus candles", "market_data candles", "tape candles"}, "missing"),
        (double_a_candle, {"bus candles", "market_data candles", "tape candles"}, "doubled"),
        (change_the_volume, {"bus candles", "market_data candles", "tape candles"}, "different"),
        (miscount_the_trades, {"bus candles", "market_data candles", "tape candles"}, "different"),
        (invent_a_candle, {"bus candles", "market_data candles", "tape candles"}, "unknown"),
        (lose_a_fill, {"fills"}, "missing"),
        (double_a_fill, {"fills"}, "doubled"),
        (change_a_fee, {"fills"}, "different"),
        (lose_a_balance, {"balances"}, "missing"),
        (change_a_balance, {"balances"}, "different"),
    ],
)
def test_one_damaged_row_is_found_where_it_is(
    exchange: Sandbox, damage: Callable[[Recording], None], tables: set[str], kind: str
) -> None:
    recording = Recording.of(exchange)
    damage(recording)
    comparison = recording.compare(exchange)
    assert not comparison.complete
    wrong = [part for part in comparison.parts if not part.complete]
    assert {part.table.removesuffix(" 1m") for part in wrong} == tables
    for part in wrong:
        counts = {name: getattr(part, name) for name in ("missing", "doubled", "different", "unknown")}
        assert counts == {**dict.fromkeys(counts, 0), kind: 1}
        assert len(part.examples) == 1


def test_a_restated_candle_counts_with_its_newest_numbers(exchange: Sandbox) -> None:
    recording = Recording.of(exchange)
    candle = recording.candles[20]
    recording.candles.insert(20, replace(candle, close=candle.close - 1, volume=0.5))
    recording.candles[21] = replace(candle, known_at=candle.known_at + timedelta(seconds=3))
    assert recording.compare(exchange).complete
    recording.candles[20], recording.candles[21] = recording.candles[21], recording.candles[20]
    assert not recording.compare(exchange).complete


def test_a_comparison_of_nothing_is_not_complete(exchange: Sandbox) -> None:
    truth = SandboxTruth(exchange.url)
    assert not compare_tape(truth, Recorded(), ORIGIN, PAIRS, TIMEFRAMES, STARTS, UNTIL).complete


def test_the_facts_can_be_written_as_json(exchange: Sandbox) -> None:
    facts = Recording.of(exchange).compare(exchange).as_json()
    assert facts["complete"]
    assert {row["pair"] for row in facts["tables"]} == {"BTC/USDT", "XRP/USDT", ""}


def test_a_sandbox_that_does_not_run_or_refuses_says_so(exchange: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(VenueUnreachable, match="start one with `marketloom sandbox`"):
        SandboxTruth("http://127.0.0.1:9").market_now()
    with pytest.raises(InvalidMessage, match="ETH/USDT is not listed"):
        SandboxTruth(exchange.url).trades(Pair("ETH", "USDT"))
