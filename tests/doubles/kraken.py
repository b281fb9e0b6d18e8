"""A small Kraken on localhost that misbehaves on demand: keys, nonces, market orders, trades, and everything broken."""

import base64
import json
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.doubles.http import serving
from trading.venues.kraken import Credentials
from trading.venues.kraken.authentication import signature

KEY = "a-key"
SECRET = base64.b64encode(b"sixty-four bytes would be usual, these are fewer").decode()
CREDENTIALS = Credentials(KEY, SECRET)
HTML = b"<!DOCTYPE html><html><body>520: Web server is returning an unknown error</body></html>"
PAGE = 1000


def listed(altname: str, wsname: str, base: str, quote: str, decimals: int, **changes: Any) -> dict[str, Any]:
    return {
        "altname": altname, "wsname": wsname, "aclass_base": "currency", "base": base, "aclass_quote": "currency",
        "quote": quote, "lot": "unit", "cost_decimals": 5, "pair_decimals": decimals, "lot_decimals": 8,
        "lot_multiplier": 1, "leverage_buy": [2, 3], "leverage_sell": [2, 3], "fees": [[0, 0.4], [10000, 0.35]],
        "fees_maker": [[0, 0.25], [10000, 0.2]], "fee_volume_currency": "ZUSD", "margin_call": 80,
        "margin_stop": 40, "ordermin": "0.00005", "costmin": "0.5", "tick_size": str(Decimal(1).scaleb(-decimals)),
        "status": "online", **changes,
    }  # fmt: skip


PAIRS = {
    "XBTUSDT": listed("XBTUSDT", "XBT/USDT", "XXBT", "USDT", 1),
    "XXRPXXBT": listed("XRPXBT", "XRP/XBT", "XXRP", "XXBT", 8),
    "XBTUSDT.d": listed("XBTUSDT.d", "", "XXBT", "USDT", 1),
}
ASSETS = {
    name: {
        "aclass": "currency", "altname": altname, "decimals": 10, "display_decimals": 5, "status": "enabled",
    }
    for name, altname in {"XXBT": "XBT", "ZUSD": "USD", "USDT": "USDT", "XXDG": "XDG", "XXRP": "XRP"}.items()
}  # fmt: skip


@dataclass(frozen=True)
class Reply:
    """What goes over the wire; `None` as body drops the connection unanswered."""

    body: bytes | None
    status: int = 200
    dribble: float = 0.0  # seconds before every byte


Fault = Callable[[Callable[[], bytes]], Reply]  # given what would have been done and answered


def untouched(act: Callable[[], bytes]) -> Reply:
    return Reply(act())


def lost_after(act: Callable[[], bytes]) -> Reply:
    act()
    return Reply(None)


def lost_before(act: Callable[[], bytes]) -> Reply:
    return Reply(None)


def html_520_after(act: Callable[[], bytes]) -> Reply:
    act()
    return Reply(HTML, 520)


def html_520_before(act: Callable[[], bytes]) -> Reply:
    return Reply(HTML, 520)


def truncated_after(act: Callable[[], bytes]) -> Reply:
    return Reply(act()[:-9])


def dribbled_after(act: Callable[[], bytes]) -> Reply:
    return Reply(act(), dribble=0.2)


def wrong_type_after(act: Callable[[], bytes]) -> Reply:
    act()
    return Reply(b'{"error":[],"result":{"txid":12,"descr":[]}}')


def saying(*errors: str) -> Fault:
    return lambda act: Reply(json.dumps({"error": list(errors)}).encode())


def answering(body: bytes, status: int = 200) -> Fault:
    return lambda act: Reply(body, status)


class Refused(Exception):
    pass


@dataclass
class KrakenDouble:
    """`faults[method]` are used up one by one; `shares` say how much of a market order each trade fills."""

    url: str = ""
    price: Decimal = Decimal("10000.5")
    fee: Decimal = Decimal("0.004")
    shares: Sequence[Decimal] = (Decimal(1),)
    ended: str = ""  # how an order ends that the shares do not fill: canceled, expired, closed
    why: str = "Market price protection"  # it ended so
    balances: dict[str, Decimal] = field(
        default_factory=lambda: {"USDT": Decimal(10000), "XXBT": Decimal("0.5"), "XBT.F": Decimal("0.1")}
    )
    pairs: dict[str, Any] = field(default_factory=lambda: dict(PAIRS))
    faults: dict[str, list[Fault]] = field(default_factory=lambda: defaultdict(list))
    calls: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    fills: dict[str, dict[str, Any]] = field(default_factory=dict)
    amends: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # by order
    ledger: dict[str, dict[str, Any]] = field(default_factory=dict)  # oldest first
    tape: list[list[Any]] = field(default_factory=list)  # price, quantity, nanoseconds
    rows: list[list[Any]] = field(default_factory=list)  # of OHLC
    forgotten: int = 0  # how many of the oldest trades are not given out any more
    finds_closed: bool = True  # by client order id
    last_nonce: int = 0
    skew: int = 0
    now: Callable[[], float] = time.time
    turn: threading.Lock = field(default_factory=threading.Lock)

    def methods(self) -> list[str]:
        return [method for method, _ in self.calls]

    def reply(self, path: str, fields: dict[str, str], headers: Any, body: str) -> Reply:
        method = path.rpartition("/")[2]
        with self.turn:
            self.calls.append((method, fields))

            def act() -> bytes:
                try:
                    if path.startswith("/0/private/"):
                        self._authenticate(path, fields, headers, body)
                    return json.dumps({"error": [], "result": getattr(self, method)(fields)}).encode()
                except Refused as refusal:
                    return json.dumps({"error": [str(refusal)]}).encode()

            faults = self.faults[method]
            return faults.pop(0)(act) if faults else Reply(act())

    def _authenticate(self, path: str, fields: dict[str, str], headers: Any, body: str) -> None:
        nonce = int(fields["nonce"])
        if headers["API-Key"] != KEY:
            raise Refused("EAPI:Invalid key")
        if headers["API-Sign"] != signature(path, nonce, body, SECRET):
            raise Refused("EAPI:Invalid signature")
        if nonce <= self.last_nonce:
            raise Refused("EAPI:Invalid nonce")
        self.last_nonce = nonce

    # --- the market

    def Time(self, _: dict[str, str]) -> Any:
        return {"unixtime": int(self.now()) + self.skew, "rfc1123": "some day"}

    def SystemStatus(self, _: dict[str, str]) -> Any:
        return {"status": "online", "timestamp": "2025-11-11T00:17:10Z"}

    def Assets(self, _: dict[str, str]) -> Any:
        return ASSETS

    def AssetPairs(self, _: dict[str, str]) -> Any:
        return self.pairs

    def Trades(self, fields: dict[str, str]) -> Any:
        """Without `since` the newest ones."""
        since, most = int(fields.get("since", 0)), int(fields.get("count", PAGE))
        later = [
            (number, each)
            for number, each in enumerate(self.tape, 1)
            if each[2] > since and number > self.forgotten
        ]
        later = later[:most] if "since" in fields else later[-most:]
        rows = [
            [f"{price}", f"{quantity}", float_text(ns), "b", "m", "", number]
            for number, (price, quantity, ns) in later
        ]
        return {fields["pair"]: rows, "last": str(later[-1][1][2] if later else since)}

    def OHLC(self, fields: dict[str, str]) -> Any:
        return {fields["pair"]: self.rows, "last": self.rows[-2][0] if len(self.rows) > 1 else 0}

    # --- the account

    def Balance(self, _: dict[str, str]) -> Any:
        return {name: f"{amount:f}" for name, amount in self.balances.items()}

    def GetWebSocketsToken(self, _: dict[str, str]) -> Any:
        return {"token": "a-token", "expires": 900}

    def OpenOrders(self, fields: dict[str, str]) -> Any:
        return {
            "open": {key: each for key, each in self._named(fields) if each["status"] in ("open", "pending")}
        }

    def ClosedOrders(self, fields: dict[str, str]) -> Any:
        named = "cl_ord_id" in fields
        found = {
            key: each
            for key, each in self._named(fields)
            if each["status"] not in ("open", "pending") and (self.finds_closed or not named)
        }
        return {"closed": found, "count": len(found)}

    def _named(self, fields: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
        for key, each in self.orders.items():
            if fields.get("cl_ord_id", each["cl_ord_id"]) == each["cl_ord_id"]:
                yield key, each

    def QueryOrders(self, fields: dict[str, str]) -> Any:
        asked = fields["txid"].split(",")
        if not all(key in self.orders for key in asked):
            raise Refused("EOrder:Invalid order")
        return {key: self.orders[key] for key in asked}

    def QueryTrades(self, fields: dict[str, str]) -> Any:
        return {key: self.fills[key] for key in fields["txid"].split(",")}

    def OrderAmends(self, fields: dict[str, str]) -> Any:
        found = self.amends.get(fields["order_id"], [])
        return {"count": len(found), "amends": found}

    def Ledgers(self, fields: dict[str, str]) -> Any:
        since, first = float(fields.get("start", 0)), int(fields.get("ofs", 0))
        newest = [key for key, each in reversed(self.ledger.items()) if each["time"] > since]
        return {"ledger": {key: self.ledger[key] for key in newest[first : first + 50]}, "count": len(newest)}

    def CancelOrder(self, fields: dict[str, str]) -> Any:
        self._live(fields).update(status="canceled", closetm=time.time(), reason="User requested")
        return {"count": 1}

    def AmendOrder(self, fields: dict[str, str]) -> Any:
        self._live(fields)["descr"]["price"] = fields["trigger_price"]
        return {"amend_id": "TAAAAA-BBBBB-CCCCCC"}

    def _live(self, fields: dict[str, str]) -> dict[str, Any]:
        for key, each in self.orders.items():
            named = fields.get("txid") == key or fields.get("cl_ord_id", "") == each["cl_ord_id"]
            if named and each["status"] in ("open", "pending"):
                return each
        raise Refused("EOrder:Unknown order")

    def CancelAllOrdersAfter(self, fields: dict[str, str]) -> Any:
        return {"currentTime": "2025-11-11T00:17:10Z", "triggerTime": "0"}

    def AddOrder(self, fields: dict[str, str]) -> Any:
        described = {"order": f"{fields['type']} {fields['volume']} {fields['pair']} @ market"}
        quantity = Decimal(fields["volume"])
        if quantity < Decimal("0.00005"):
            raise Refused("EOrder:Order minimum not met")
        short = ("USDT", quantity * self.price) if fields["type"] == "buy" else ("XXBT", quantity)
        if fields["ordertype"] == "market" and self.balances[short[0]] < short[1]:
            raise Refused("EOrder:Insufficient funds")
        if "validate" in fields:
            return {"descr": described}
        return {"descr": described, "txid": [self._take(fields, quantity, described)]}

    def _take(self, fields: dict[str, str], quantity: Decimal, described: dict[str, str]) -> str:
        key = f"O{uuid.uuid4().hex[:5].upper()}-{uuid.uuid4().hex[:5].upper()}-{uuid.uuid4().hex[:6].upper()}"
        self.orders[key] = {
            "refid": fields.get("refid"), "userref": None, "cl_ord_id": fields.get("cl_ord_id"), "status": "open",
            "reason": None,
            "opentm": time.time(), "closetm": 0, "starttm": 0, "expiretm": 0,
            "descr": {"pair": fields["pair"], "type": fields["type"], "ordertype": fields["ordertype"],
                      "price": fields.get("price", "0"), "price2": "0", "leverage": "none", "close": "", **described},
            "vol": fields["volume"], "vol_exec": "0", "cost": "0", "fee": "0", "price": "0", "misc": "",
            "oflags": fields.get("oflags", ""), "trades": [],
        }  # fmt: skip
        for share in self.shares if fields["ordertype"] == "market" else ():
            self.fill(key, quantity * share)
            if share and "close[ordertype]" in fields:
                self._close(key, fields, quantity * share)
        return key

    def _close(self, parent: str, fields: dict[str, str], quantity: Decimal) -> None:
        """Place the order that goes with a fill: it has no client order id."""
        other = "sell" if fields["type"] == "buy" else "buy"
        given = {
            "refid": parent, "type": other, "volume": f"{quantity:f}", "pair": fields["pair"],
            "ordertype": fields["close[ordertype]"], "price": fields["close[price]"],
        }  # fmt: skip
        self._take(given, quantity, {"order": "the close"})

    def fill(self, key: str, quantity: Decimal) -> None:
        order = self.orders[key]
        fill_id = f"T{len(self.fills):05d}-AAAAA-BBBBBB"
        self.fills[fill_id] = {
            "ordertxid": key, "pair": order["descr"]["pair"], "time": 1700000000.123456 + len(self.fills),
            "type": order["descr"]["type"], "ordertype": "market", "price": f"{self.price}",
            "cost": f"{self.price * quantity:.5f}", "fee": f"{self.price * quantity * self.fee:.5f}",
            "vol": f"{quantity:f}", "margin": "0.00000", "misc": "",
        }  # fmt: skip
        order["trades"].append(fill_id)
        order["vol_exec"] = f"{Decimal(order['vol_exec']) + quantity:f}"
        order["fee"] = f"{Decimal(order['fee']) + Decimal(self.fills[fill_id]['fee']):.5f}"
        if Decimal(order["vol_exec"]) == Decimal(order["vol"]):
            order |= {"status": "closed", "closetm": time.time()}
        elif self.ended:
            order |= {"status": self.ended, "closetm": time.time(), "reason": self.why}


def float_text(nanoseconds: int) -> float:
    return float(Decimal(nanoseconds).scaleb(-9))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    double: KrakenDouble
    stopping: threading.Event

    def do_GET(self) -> None:
        self._answer(dict(parse_qsl(urlsplit(self.path).query)), "")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._answer(dict(parse_qsl(body)), body)

    def _answer(self, fields: dict[str, str], body: str) -> None:
        reply = self.double.reply(urlsplit(self.path).path, fields, self.headers, body)
        if reply.body is None:
            self.close_connection = True
            return
        self.send_response(reply.status)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        try:
            self._send(reply)
        except OSError:
            self.close_connection = True

    def _send(self, reply: Reply) -> None:
        assert reply.body is not None
        if not reply.dribble:
            self.wfile.write(reply.body)
            return
        for place in range(len(reply.body)):
            if self.stopping.wait(reply.dribble):
                return
            self.wfile.write(reply.body[place : place + 1])
            self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Tests are silent."""


@contextmanager
def running(double: KrakenDouble) -> Iterator[KrakenDouble]:
    stopping = threading.Event()
    handler = type("Handler", (_Handler,), {"double": double, "stopping": stopping})
    with serving(handler) as double.url:
        try:
            yield double
        finally:
            stopping.set()
