"""The hot tier in Redis: every process of every machine sees it.

Keys are `marketloom:ORIGIN:price:BTC-USDT`, `...:book:BTC-USDT` (hashes of `rank` and `value`) and
`...:features:BTC-USDT:1h` (hash from close time to rank and value, with a sorted set of the close times beside it);
values are JSON. Scripts compare and store within the server, so that no writer overtakes a newer one.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING

import msgspec

from trading.errors import InvalidSettings, StoreUnreachable
from trading.feature_rows import FeatureRow
from trading.market import EPOCH, Pair, Timeframe
from trading.ports.hot import Aged, BookTop, HotValue, LastPrice, rank
from trading.stores.hot_memory import WINDOW

if TYPE_CHECKING:
    import redis

RESPONSE_SECONDS = 2.0
_STORE_NEWER = """
local stored = redis.call('HGET', KEYS[1], 'rank')
if not stored or ARGV[1] > stored then
  redis.call('HSET', KEYS[1], 'rank', ARGV[1], 'value', ARGV[2])
end
"""
_STORE_ROW = """
local stored = redis.call('HGET', KEYS[1], ARGV[3])
if stored and string.sub(stored, 1, #ARGV[1]) >= ARGV[1] then return end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[1] .. ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[3])
local surplus = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[4])
if surplus > 0 then
  local oldest = redis.call('ZRANGE', KEYS[2], 0, surplus - 1)
  redis.call('HDEL', KEYS[1], unpack(oldest))
  redis.call('ZREM', KEYS[2], unpack(oldest))
end
"""
_DIGITS = 20
_RANK = 3 * _DIGITS
_MICROSECOND = timedelta(microseconds=1)


class HotRedis:
    """InvalidSettings when the client is not installed or the server refuses the password; threads may share it."""

    def __init__(self, url: str, origin: str, window: int = WINDOW) -> None:
        if find_spec("redis") is None:
            raise InvalidSettings(
                '[hot] store = "redis" needs the package redis: pip install "marketloom[redis]", or set '
                'store = "process"'
            )
        import redis

        try:
            self._redis = redis.Redis.from_url(
                url,
                socket_timeout=RESPONSE_SECONDS,
                socket_connect_timeout=RESPONSE_SECONDS,
                decode_responses=True,
            )
        except ValueError as error:
            raise InvalidSettings(f"[hot] redis_url is no address of a Redis server: {error}") from None
        self._prefix = f"marketloom:{origin}"
        self._window = window
        self._store_newer = self._redis.register_script(_STORE_NEWER)
        self._store_row = self._redis.register_script(_STORE_ROW)

    def put(self, values: Sequence[HotValue]) -> None:
        if not values:
            return
        with self._translated_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for value in values:
                self._add(pipeline, value)
            pipeline.execute()

    def _add(self, pipeline: "redis.client.Pipeline", value: HotValue) -> None:
        body = msgspec.json.encode(value).decode()
        if isinstance(value, FeatureRow):
            key = self._rows_key(value.pair, value.timeframe)
            self._store_row(
                keys=[key, f"{key}:times"],
                args=[_rank_text(value), body, _microseconds(value.close_time), self._window],
                client=pipeline,
            )
        else:
            kind = "price" if isinstance(value, LastPrice) else "book"
            self._store_newer(
                keys=[f"{self._prefix}:{kind}:{value.pair.key}"],
                args=[_rank_text(value), body],
                client=pipeline,
            )

    def price(self, pair: Pair, now: datetime) -> Aged[LastPrice] | None:
        found = self._value("price", pair)
        if found is None:
            return None
        price = msgspec.json.decode(found, type=LastPrice)
        return Aged(price, now - price.at)

    def book_top(self, pair: Pair, now: datetime) -> Aged[BookTop] | None:
        found = self._value("book", pair)
        if found is None:
            return None
        top = msgspec.json.decode(found, type=BookTop)
        return Aged(top, now - top.at)

    def features(self, pair: Pair, timeframe: Timeframe, now: datetime) -> list[Aged[FeatureRow]]:
        with self._translated_errors():
            stored = self._redis.hgetall(self._rows_key(pair, timeframe))
        rows = [msgspec.json.decode(str(text)[_RANK:], type=FeatureRow) for text in stored.values()]
        return [Aged(row, now - row.close_time) for row in sorted(rows, key=rank)]

    def is_filled(self) -> bool:
        with self._translated_errors():
            return bool(self._redis.exists(f"{self._prefix}:filled"))

    def mark_filled(self) -> None:
        with self._translated_errors():
            self._redis.set(f"{self._prefix}:filled", "1")

    def close(self) -> None:
        self._redis.close()

    def _value(self, kind: str, pair: Pair) -> str | bytes | None:
        with self._translated_errors():
            return self._redis.hget(f"{self._prefix}:{kind}:{pair.key}", "value")

    def _rows_key(self, pair: Pair, timeframe: Timeframe) -> str:
        return f"{self._prefix}:features:{pair.key}:{timeframe.value}"

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        """Translate the client's errors. The text holds no password: the address is host, port and database alone."""
        import redis

        try:
            yield
        except redis.exceptions.AuthenticationError as error:
            raise InvalidSettings(
                f"Redis at {self._address} refuses the user or password of [hot] redis_url: {error}"
            ) from None
        except redis.exceptions.RedisError as error:
            raise StoreUnreachable(
                f"Redis does not answer at {self._address} ([hot] redis_url): {error}; nothing is lost, what it held "
                "is filled in again from the bus"
            ) from None

    @property
    def _address(self) -> str:
        parts = self._redis.connection_pool.connection_kwargs
        return str(parts.get("path") or f"{parts.get('host')}:{parts.get('port')}/{parts.get('db', 0)}")


def _rank_text(value: HotValue) -> str:
    """Return the rank as text of fixed length, whose order is that of the ranks."""
    at, sequence, known_at = rank(value)
    return f"{_microseconds(at):0{_DIGITS}d}{sequence:0{_DIGITS}d}{_microseconds(known_at):0{_DIGITS}d}"


def _microseconds(time: datetime) -> int:
    return (time - EPOCH) // _MICROSECOND
