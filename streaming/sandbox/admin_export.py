"""Pages of the sandbox's own truth: every trade of the tape, its candles, and every fill of an account.

A comparison reads them while the sandbox runs; each request is bounded, however long the sandbox has run.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from streaming.sandbox.exchange.exchange import Exchange
from streaming.sandbox.exchange.export import fills_after, plain_row
from streaming.sandbox.market.tape import INTERVALS
from trading.errors import InvalidValue
from trading.market import Pair

DEFAULT_ROWS, MAX_ROWS = 1000, 10_000
LAST_ID = 2**63 - 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Query = Mapping[str, str]
Page = dict[str, Any]


async def export_page(exchange: Exchange, store: Path, table: str, query: Query) -> Page:
    """Return {"rows": [...], "next": ...}. InvalidValue for what is not known, or is not kept any more."""
    match table:
        case "trades":
            return trades_page(exchange, query)
        case "candles":
            return await candles_page(exchange, query)
        case "fills":
            return await fills_page(exchange, store, query)
    raise InvalidValue(f"{table[:40]!r} is no table: allowed are candles, fills, trades")


def trades_page(exchange: Exchange, query: Query) -> Page:
    """Return trades of `pair` with an id above `after`, not before `since`, at most `limit`, and the newest id.

    InvalidValue where some of them are not kept any more: a tape keeps a million.
    """
    _check_names(query, "pair", "after", "since", "limit")
    tape = exchange.tape(listed_pair(exchange, query.get("pair", "")))
    after, limit = _number(query, "after", 0, 0, LAST_ID), _limit(query)
    if "since" in query:
        after = max(after, tape.id_before(_time(query, "since", EPOCH)))
    if after and after + 1 < tape.oldest_id:
        raise InvalidValue(f"after is {after}: the oldest trade that is kept is {tape.oldest_id}")
    found = tape.after_id(after, limit)
    return _page([plain_row(each) for each in found], found[-1].trade_id if len(found) == limit else None) | {
        "newest": tape.last_id
    }


async def candles_page(exchange: Exchange, query: Query) -> Page:
    """Return the candles of `minutes` that opened at `since` or later and closed by `until`, at most `limit`.

    Where nothing traded the price before stands, with volume and trades 0, as in the exchange's own REST answers.
    Candles of before the first trade that is kept are left out. Other requests have their turn between two candles.
    """
    _check_names(query, "pair", "minutes", "since", "until", "limit")
    pair, limit = listed_pair(exchange, query.get("pair", "")), _limit(query)
    minutes = _number(query, "minutes", 1, 1, max(INTERVALS))
    if minutes not in INTERVALS:
        raise InvalidValue(f"minutes is {minutes}: allowed are {', '.join(map(str, INTERVALS))}")
    length = timedelta(minutes=minutes)
    opens = _on_grid(_time(query, "since", EPOCH), length)
    until = min(_time(query, "until", exchange.market_now()), exchange.market_now())
    tape, rows = exchange.tape(pair), list[Page]()
    newest = tape.after_id(tape.oldest_id - 1, 1)
    opens = max(opens, _on_grid(newest[0].at, length)) if newest else until
    while opens + length <= until and len(rows) < limit:
        if bar := tape.bar_between(opens, opens + length):
            rows.append(plain_row(bar))
        opens += length
        await asyncio.sleep(0)
    return _page(rows, opens.isoformat() if opens + length <= until else None)


async def fills_page(exchange: Exchange, store: Path, query: Query) -> Page:
    """Return fills of `account` with a number above `after`, at most `limit`, ascending. It reads in a thread."""
    _check_names(query, "account", "after", "limit")
    account = query.get("account", "")
    if account not in exchange.accounts():
        raise InvalidValue(f"there is no account {account[:40]!r}: GET /admin/status lists them")
    after, limit = _number(query, "after", 0, 0, LAST_ID), _limit(query)
    rows = await asyncio.to_thread(fills_after, store, account, after, limit)
    return _page(rows, rows[-1]["number"] if len(rows) == limit else None)


def listed_pair(exchange: Exchange, text: str) -> Pair:
    """Return the pair. InvalidValue for one that is not listed."""
    pair = Pair.parse(text)
    if pair not in exchange.listings:
        raise InvalidValue(f"{pair} is not listed: {', '.join(map(str, exchange.listings))} are")
    return pair


def _page(rows: list[Page], following: int | str | None) -> Page:
    return {"rows": rows, "next": following}


def _limit(query: Query) -> int:
    return _number(query, "limit", DEFAULT_ROWS, 1, MAX_ROWS)


def _number(query: Query, name: str, default: int, least: int, most: int) -> int:
    text = query.get(name, str(default))
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else -1
    if not least <= number <= most:
        raise InvalidValue(f"{name} is {text[:40]!r}: allowed is {least} to {most}")
    return number


def _time(query: Query, name: str, default: datetime) -> datetime:
    text = query.get(name)
    if text is None:
        return default
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidValue(
            f"{name} is {text[:40]!r}: write a UTC time such as 2023-11-18T00:00:00Z"
        ) from None


def _on_grid(time: datetime, length: timedelta) -> datetime:
    """Return the first moment of the grid at or after `time`."""
    return time + (EPOCH - time) % length


def _check_names(query: Query, *known: str) -> None:
    if strange := sorted(query.keys() - set(known)):
        raise InvalidValue(f"{strange[0][:40]!r} is not known here: allowed are {', '.join(known)}")
