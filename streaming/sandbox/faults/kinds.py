"""One thing that goes wrong in real life: the kinds of faults, and where and when one of them is triggered.

Times are seconds of server time, counted from when the fault was armed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from trading.errors import InvalidValue
from trading.market import Pair, PairStatus


class FaultKind(StrEnum):
    DISCONNECT = (
        "disconnect"  # by the clock; at a request when `method` is given, at a frame when `channel` is
    )
    SILENT_CHANNEL = "silent_channel"  # heartbeats go on
    CHECKSUM_BREAK = "checksum_break"
    MISSED_MESSAGE = "missed_message"
    DUPLICATED_MESSAGE = "duplicated_message"
    REORDERED_MESSAGES = "reordered_messages"  # a frame is sent after the one that follows it
    SEQUENCE_GAP = "sequence_gap"
    SLOW_ACK = "slow_ack"  # the request has taken effect
    LOST_ACK = "lost_ack"  # the request has taken effect
    ACCEPTED_THEN_5XX = "accepted_then_5xx"  # REST
    GARBAGE_ANSWER = "garbage_answer"  # REST; the request has taken effect
    RATE_LIMIT = "rate_limit"
    NONCE_ERROR = "nonce_error"  # REST
    TOKEN_EXPIRY = "token_expiry"  # WebSocket
    CANCEL_ONLY = "cancel_only"
    POST_ONLY = "post_only"
    MAINTENANCE = "maintenance"
    CLOCK_SKEW = "clock_skew"
    GARBAGE_FRAME = "garbage_frame"  # WebSocket: nonsense before a frame
    SLOW_LORIS = "slow_loris"  # byte by byte


STATUSES = {  # strictest first
    FaultKind.MAINTENANCE: PairStatus.MAINTENANCE,
    FaultKind.CANCEL_ONLY: PairStatus.CANCEL_ONLY,
    FaultKind.POST_ONLY: PairStatus.POST_ONLY,
}
MAX_SECONDS = 10 * 366 * 86_400.0  # ten years: a clock that is farther off has no date to tell
TIMED_KINDS = frozenset({*STATUSES, FaultKind.CLOCK_SKEW})  # in force for a time; occasions are not counted
KINDS_WITH_SECONDS = frozenset({FaultKind.SLOW_ACK, FaultKind.SLOW_LORIS, FaultKind.CLOCK_SKEW})
FRAME_KINDS = frozenset(
    {
        FaultKind.DISCONNECT,
        FaultKind.SILENT_CHANNEL,
        FaultKind.CHECKSUM_BREAK,
        FaultKind.MISSED_MESSAGE,
        FaultKind.DUPLICATED_MESSAGE,
        FaultKind.REORDERED_MESSAGES,
        FaultKind.GARBAGE_FRAME,
        FaultKind.SLOW_LORIS,
    }
)
CHANNELS = frozenset(
    ["status", "heartbeat", "instrument", "ticker", "trade", "ohlc", "book", "executions", "balances"]
)  # of WebSocket v2


CHANNELS_OF_KIND = {
    FaultKind.CHECKSUM_BREAK: frozenset({"book"}),
    FaultKind.SEQUENCE_GAP: frozenset({"executions", "balances"}),
    FaultKind.TOKEN_EXPIRY: frozenset({"executions", "balances"}),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of the menu. Empty `channel`, `symbol`, `method`: all of them. InvalidValue when it makes no sense."""

    kind: FaultKind
    after: float = 0.0
    lasts: float | None = None  # None: until disarmed or `count` is used up
    count: int | None = None  # how often it is triggered
    channel: str = ""  # WebSocket: book, executions ...
    symbol: str = ""  # BTC/USDT
    method: str = ""  # add_order (WebSocket), AddOrder (REST) ...
    seconds: float = 0.0  # delay, skew (signed), time per byte, or pause between disconnects
    every: int = 1  # triggered at each n-th occasion

    def __post_init__(self) -> None:
        _check(self)

    @property
    def by_clock(self) -> bool:
        return self.kind is FaultKind.DISCONNECT and not (self.channel or self.method)

    def concerns(self, channel: str, symbol: str, method: str) -> bool:
        return self.channel in ("", channel) and self.symbol in ("", symbol) and self.method in ("", method)


def from_json(entry: Mapping[str, Any]) -> Fault:
    """Read a fault of a configuration or the admin endpoint; InvalidValue names the field and what is allowed."""
    if not isinstance(entry, Mapping):
        raise InvalidValue(f'a fault is an object like {{"kind": "disconnect"}}, not {entry!r}')
    allowed = [one.name for one in fields(Fault)]
    for name in entry:
        if name not in allowed:
            raise InvalidValue(f"fault field {name!r} is unknown: allowed are {_join(allowed)}")
    try:
        kind = FaultKind(entry.get("kind", ""))
    except ValueError:
        raise InvalidValue(f"kind is {entry.get('kind')!r}: allowed are {_join(FaultKind)}") from None
    return Fault(**{**entry, "kind": kind})


def _check(fault: Fault) -> None:
    for name in ("channel", "symbol", "method"):
        if not isinstance(getattr(fault, name), str):
            raise InvalidValue(f"{name} is {getattr(fault, name)!r}: allowed is text, empty for all")
    _check_number("after", fault.after, minimum=0)
    _check_number("seconds", fault.seconds, minimum=None if fault.kind is FaultKind.CLOCK_SKEW else 0)
    if fault.lasts is not None:
        _check_number("lasts", fault.lasts, minimum=0)
    for name in ("count", "every"):
        _check_count(name, getattr(fault, name))
    _check_place(fault)
    only = CHANNELS_OF_KIND.get(fault.kind)
    if only and fault.channel and fault.channel not in only:
        raise InvalidValue(f"{fault.kind} happens on {_join(sorted(only))}, not on {fault.channel}")
    if fault.kind in KINDS_WITH_SECONDS and not fault.seconds:
        raise InvalidValue(f"{fault.kind} needs seconds: how long, not 0")
    if fault.kind in TIMED_KINDS and (
        fault.count is not None or fault.every != 1 or fault.channel or fault.method
    ):
        raise InvalidValue(
            f"{fault.kind} is in force for a time: give after and lasts, not count, every or a place"
        )


def _check_place(fault: Fault) -> None:
    if fault.channel and fault.channel not in CHANNELS:
        raise InvalidValue(
            f"channel is {fault.channel!r}: allowed are {_join(sorted(CHANNELS))}, empty for all"
        )
    if fault.method and not (fault.method.isascii() and fault.method.replace("_", "").isalpha()):
        raise InvalidValue(f"method is {fault.method!r}: allowed is a name like add_order or AddOrder")
    if fault.channel and fault.method:
        raise InvalidValue("a fault strikes frames of a channel or requests of a method: give one of the two")
    if fault.symbol and str(Pair.parse(fault.symbol)) != fault.symbol:
        raise InvalidValue(f"symbol is {fault.symbol!r}: write it like {Pair.parse(fault.symbol)}")


def _check_number(name: str, value: object, minimum: float | None) -> None:
    lowest = -MAX_SECONDS if minimum is None else minimum
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not lowest <= value <= MAX_SECONDS:  # type: ignore[operator]
        raise InvalidValue(
            f"{name} is {repr(value)[:40]}: allowed are seconds from {lowest:.0f} to {MAX_SECONDS:.0f}"
        )


def _check_count(name: str, value: object) -> None:
    if value is None and name == "count":
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidValue(f"{name} is {value!r}: allowed are whole numbers from 1")


def _join(names: Iterable[str]) -> str:
    return ", ".join(names)
