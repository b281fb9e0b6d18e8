"""What a running sandbox says that has happened on it, read page by page: what recordings are compared with."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import httpx

from trading.errors import InvalidMessage, VenueUnreachable
from trading.market import Pair, Timeframe

ROWS = 10_000  # of a page
PATIENCE = 30.0  # seconds for a page
ADMIN = {"X-Sandbox-Admin": "1"}


class TradeRow(NamedTuple):
    """A trade of the tape, its numbers as a stream has them."""

    at: datetime
    price: float
    quantity: float
    side: str


class CandleRow(NamedTuple):
    """A closed candle; `trades` = 0: the price before stands."""

    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "CandleRow":
        """Read it from a table, a message or a page: numbers or exact text."""
        return cls(
            open=float(row["open"]),
            high=float(row["high"]),
            low=float(row["low"]),
            close=float(row["close"]),
            volume=float(row["volume"]),
            trades=row["trades"],
        )


class FillRow(NamedTuple):
    """A fill of an account, exact."""

    pair: str
    side: str
    price: Decimal
    quantity: Decimal
    fee: Decimal


@dataclass(frozen=True, slots=True)
class SandboxTruth:
    """The admin endpoints of the sandbox at `url`. Every call raises VenueUnreachable when none answers there."""

    url: str

    def market_now(self) -> datetime:
        """Return the market time."""
        return datetime.fromisoformat(self._get("status", {})["market_time"])

    def trades(self, pair: Pair, since: datetime | None = None, after: int = 0) -> dict[int, TradeRow]:
        """Return the trades by id that are not older than `since` and have an id above `after`."""
        asked = {"pair": str(pair), "after": after} | ({"since": since.isoformat()} if since else {})
        return {
            row["trade_id"]: TradeRow(
                datetime.fromisoformat(row["at"]), float(row["price"]), float(row["quantity"]), row["side"]
            )
            for row in self._rows("trades", "after", asked)
        }

    def candles(self, pair: Pair, timeframe: Timeframe, since: datetime) -> dict[datetime, CandleRow]:
        """Return the candles by open time that opened at `since` or later and are over by now."""
        minutes = int(timeframe.duration.total_seconds() // 60)
        asked = {"pair": str(pair), "minutes": minutes, "since": since.isoformat()}
        return {
            datetime.fromisoformat(row["open_time"]): CandleRow.of(row)
            for row in self._rows("candles", "since", asked)
        }

    def fills(self, account: str) -> dict[str, FillRow]:
        """Return the account's fills by their id."""
        return {
            row["execution_id"]: FillRow(
                row["pair"],
                row["side"],
                *(Decimal(row[name]) for name in ("price", "quantity", "fee")),
            )
            for row in self._rows("fills", "after", {"account": account})
        }

    def balances(self, account: str) -> dict[str, Decimal]:
        """Return what the account holds of each asset, exact."""
        rows = self._get("export", {})["balances"]
        return {row["asset"]: Decimal(row["amount"]) for row in rows if row["account"] == account}

    def accounts(self) -> list[str]:
        """Return the names of its accounts."""
        return list(self._get("status", {})["accounts"])

    def set_speed(self, speed: float) -> datetime:
        """Let the market go on at this speed, 0 stops it; return the market time of that moment."""
        return datetime.fromisoformat(self._post("speed", {"speed": speed})["market_time"])

    def advance(self, seconds: float) -> datetime:
        """Move a market that stands still by hand; return its time then."""
        return datetime.fromisoformat(self._post("advance", {"seconds": seconds})["market_time"])

    def _rows(self, table: str, cursor: str, asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        query = {**asked, "limit": ROWS}
        while True:
            page = self._get(f"export/{table}", query)
            yield from page["rows"]
            if page["next"] is None:
                return
            query[cursor] = page["next"]

    def _get(self, path: str, query: Mapping[str, Any]) -> Any:
        return self._ask("GET", path, params=dict(query))

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._ask("POST", path, json=dict(body), headers=ADMIN)

    def _ask(self, method: str, path: str, **details: Any) -> Any:
        try:
            # Plain HTTP, on this machine: loading all certificates would take longer than the question.
            response = httpx.request(
                method, f"{self.url}/admin/{path}", timeout=PATIENCE, verify=False, **details
            )
            answer = response.json()
        except httpx.HTTPError as error:
            raise VenueUnreachable(
                f"no sandbox answers on {self.url} ({error}): start one with `marketloom sandbox`"
            ) from None
        except ValueError as error:
            raise InvalidMessage(path, f"{self.url} is not a sandbox of Marketloom ({error})") from None
        if response.status_code != httpx.codes.OK:
            raise InvalidMessage(path, f"the sandbox on {self.url} refuses: {answer.get('error', answer)}")
        return answer
