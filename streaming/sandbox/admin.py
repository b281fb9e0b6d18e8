"""Endpoints that no real exchange has: to look behind the sandbox, to move its time, and to break it on purpose."""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from streaming.sandbox.admin_export import export_page, listed_pair
from streaming.sandbox.exchange.exchange import Exchange
from streaming.sandbox.exchange.export import export
from streaming.sandbox.faults import Faults, from_json
from streaming.sandbox.keys import Keys
from streaming.sandbox.limits import MAX_AMOUNT, MAX_DECIMALS, is_amount
from streaming.sandbox.market import TickPlayer
from streaming.sandbox.market.clock import MAX_SPEED
from trading.errors import InvalidValue, Permanent
from trading.market import Pair, PairStatus

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
log = logging.getLogger(__name__)
NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}")  # of an account
ASSET = re.compile(r"[A-Z0-9]{2,12}(\.[A-Z]{1,3})?")
ENTRY_KINDS = ("deposit", "withdrawal", "transfer", "staking", "dividend", "credit", "adjustment", "settled")
NUMBER = re.compile(r"[0-9]{1,18}")  # of a fault
HEADER = "X-Sandbox-Admin"  # a web page elsewhere cannot send it: what changes something asks for it


class Admin:
    """Routes under /admin; all of them speak JSON, errors as {"error": what to do}."""

    def __init__(
        self,
        exchange: Exchange,
        store: Path,
        keys: Keys,
        faults: Faults,
        player: TickPlayer,
        server: Callable[[], float],
    ) -> None:
        self._exchange = exchange
        self._store = store
        self._keys = keys
        self._faults = faults
        self._player = player
        self._server = server

    def mount(self, application: web.Application) -> None:
        application.add_routes(
            [
                web.get("/admin/status", _json_handler(self._show)),
                web.post("/admin/status", _json_handler(self._set_status)),
                web.get("/admin/faults", _json_handler(self._list_faults)),
                web.post("/admin/faults", _json_handler(self._arm)),
                web.delete("/admin/faults", _json_handler(self._clear)),
                web.delete("/admin/faults/{number}", _json_handler(self._disarm)),
                web.post("/admin/advance", _json_handler(self._advance)),
                web.post("/admin/speed", _json_handler(self._set_speed)),
                web.post("/admin/accounts", _json_handler(self._open_account)),
                web.post("/admin/entries", _json_handler(self._enter)),
                web.get("/admin/export", _json_handler(self._export)),
                web.get("/admin/export/{table}", _json_handler(self._export_page)),
            ]
        )

    async def _show(self, request: web.Request) -> Any:
        exchange = self._exchange
        return {
            "market_time": exchange.market_now().isoformat(),
            "server_time": datetime.fromtimestamp(self._server(), UTC).isoformat(),
            "speed": self._player.speed,
            "status": exchange.system_status.value,
            "pairs": {str(pair): self._pair(pair) for pair in exchange.listings},
            "accounts": exchange.accounts(),
            "faults": len(self._faults.describe()),
        }

    def _pair(self, pair: Pair) -> dict[str, str | None]:
        last = self._exchange.tape(pair).last_price
        return {"status": self._exchange.status(pair).value, "last": None if last is None else str(last)}

    async def _set_status(self, request: web.Request) -> Any:
        """{"status": "cancel_only", "pair": "BTC/USDT"}; without a pair the exchange as a whole."""
        body = await _body(request, {"status", "pair"})
        pair = _parse_pair(self._exchange, body["pair"]) if body.get("pair") else None
        try:
            status = PairStatus(body.get("status", ""))
        except ValueError:
            raise InvalidValue(
                f"status is {body.get('status')!r}: allowed are {', '.join(PairStatus)}"
            ) from None
        self._exchange.set_status(pair, status)
        return {"status": status.value}

    async def _list_faults(self, request: web.Request) -> Any:
        return self._faults.describe()

    async def _arm(self, request: web.Request) -> Any:
        return {"id": self._faults.arm(from_json(await _body(request, None)))}

    async def _clear(self, request: web.Request) -> Any:
        _check_header(request)
        self._faults.clear()
        return {"armed": 0}

    async def _disarm(self, request: web.Request) -> Any:
        _check_header(request)
        number = request.match_info["number"]
        if not (NUMBER.fullmatch(number) and self._faults.disarm(int(number))):
            raise InvalidValue(f"no fault {number[:20]} is armed: GET /admin/faults lists them")
        return {"disarmed": int(number)}

    async def _advance(self, request: web.Request) -> Any:
        """{"seconds": 60} or {"until": "2023-11-18T00:00:00Z"}: only where time stands still otherwise."""
        body = await _body(request, {"seconds", "until"})
        played = await self._player.advance(self._target(body))
        return {"ticks": played, "market_time": self._exchange.market_now().isoformat()}

    async def _set_speed(self, request: web.Request) -> Any:
        """{"speed": 60}: market seconds per second from now on; 0 lets the market stand still."""
        speed = (await _body(request, {"speed"})).get("speed")
        if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0 <= speed <= MAX_SPEED:
            raise InvalidValue(f'speed is {repr(speed)[:60]}: say {{"speed": 60}}, from 0 to {MAX_SPEED:.0f}')
        self._player.set_speed(speed)
        return {"speed": self._player.speed, "market_time": self._exchange.market_now().isoformat()}

    def _target(self, body: dict[str, Any]) -> datetime:
        try:
            if "until" in body:
                time: datetime = datetime.fromisoformat(body["until"])
                return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
            return self._exchange.market_now() + timedelta(seconds=float(body["seconds"]))
        except (KeyError, TypeError, ValueError, OverflowError):
            raise InvalidValue('say {"seconds": 60} or {"until": "2023-11-18T00:00:00Z"}') from None

    async def _open_account(self, request: web.Request) -> Any:
        """{"account": "bob", "balances": {"USDT": "1000"}}: opens it if it is new, and issues a key for it."""
        body = await _body(request, {"account", "balances"})
        name = body.get("account")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise InvalidValue(
                f'account is {repr(name)[:60]}: say {{"account": "bob", "balances": {{"USDT": "1000"}}}}, '
                "a name has 1 to 40 letters, digits, dots, dashes and underscores"
            )
        self._exchange.open_account(name, _amounts(body.get("balances", {})))
        key = self._keys.issue(name)
        return {"account": name, "key": key.key, "secret": key.secret}

    async def _enter(self, request: web.Request) -> Any:
        """{"account": "demo", "asset": "USDT", "amount": "100", "kind": "deposit"}: money comes or leaves."""
        body = await _body(request, {"account", "asset", "amount", "kind"})
        asset, kind = body.get("asset"), body.get("kind", "deposit")
        if not (isinstance(asset, str) and ASSET.fullmatch(asset)):
            raise InvalidValue(f'asset is {repr(asset)[:60]}: say "USDT", or "BTC.F" for what is staked')
        if kind not in ENTRY_KINDS:
            raise InvalidValue(f"kind is {repr(kind)[:60]}: allowed are {', '.join(ENTRY_KINDS)}")
        try:
            amount = Decimal(str(body.get("amount")))
        except InvalidOperation:
            amount = Decimal("NaN")
        if not is_amount(abs(amount)):
            raise InvalidValue('amount is a number of the asset, such as "100"; below zero it leaves')
        entry = self._exchange.enter(str(body.get("account")), asset, amount, kind)
        return {"id": entry.entry_id, "balance": str(entry.balance)}

    async def _export(self, request: web.Request) -> Any:
        """Export in a thread, so that the exchange goes on meanwhile: a long history takes seconds."""
        result = await asyncio.to_thread(lambda: json.dumps(export(self._store)))
        return web.Response(text=result, content_type="application/json")

    async def _export_page(self, request: web.Request) -> Any:
        """Export the next rows of one table: `next` is where the page after it begins, null when this is the last."""
        return await export_page(
            self._exchange, self._store, request.match_info["table"], dict(request.query)
        )


def _json_handler(answer: Callable[[web.Request], Awaitable[Any]]) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            result = await answer(request)
            return result if isinstance(result, web.StreamResponse) else web.json_response(result)
        except web.HTTPException:
            raise  # a body that is too large
        except Permanent as error:
            return web.json_response({"error": str(error)}, status=400)
        except (
            Exception
        ) as error:  # a fault of the sandbox itself: said aloud, and the caller learns that it is one
            log.exception("sandbox: %s %s failed", request.method, request.path)
            return web.json_response({"error": f"the sandbox failed: {error!r}"}, status=500)

    return handler


async def _body(request: web.Request, known: set[str] | None) -> dict[str, Any]:
    _check_header(request)
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError, RequestPayloadError) as error:
        raise InvalidValue(f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise InvalidValue("the body is not a JSON object")
    if known is not None and (strange := sorted(body.keys() - known)):
        raise InvalidValue(f"{strange[0]!r} is not known here: allowed are {', '.join(sorted(known))}")
    return body


def _check_header(request: web.Request) -> None:
    if HEADER not in request.headers:
        raise InvalidValue(
            f"the header {HEADER} is missing: send it with any value, e.g. `curl -H '{HEADER}: 1'`"
        )


def _parse_pair(exchange: Exchange, text: object) -> Pair:
    return listed_pair(exchange, str(text))


def _amounts(given: object) -> dict[str, Decimal]:
    try:
        amounts = {str(asset): Decimal(str(amount)) for asset, amount in dict(given).items()}  # type: ignore[call-overload]
    except (InvalidOperation, TypeError, ValueError):
        raise InvalidValue('balances are amounts by asset, such as {"USDT": "1000"}') from None
    for asset, amount in amounts.items():
        if not (is_amount(amount) and amount >= 0):
            raise InvalidValue(
                f"balance of {asset[:20]} is {str(amount)[:40]}: allowed is 0 to {MAX_AMOUNT:f}, with at most "
                f"{MAX_DECIMALS} decimals"
            )
    return amounts
