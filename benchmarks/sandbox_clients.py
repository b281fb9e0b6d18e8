"""Clients that cost as little as possible, so that the server is what is measured."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import time_ns
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp

from benchmarks.sandbox_process import Listening
from trading.venues.kraken.authentication import signature

ROOT = Path(__file__).parents[1]
PATIENCE = 60.0  # seconds that an answer may take
TEXT, CLOSE = 1, 8  # kinds of frame
CHANNEL = slice(12, 16)  # of {"channel":"book", four letters are enough to tell them apart


@contextmanager
def process(kind: str) -> Iterator[Listening]:
    """Start a server in a process of its own; it ends with the block, or with this process."""
    command = [sys.executable, "-m", "benchmarks.sandbox_process", kind]
    served = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert served.stdin is not None
    assert served.stdout is not None
    try:
        yield Listening(**json.loads(served.stdout.readline()))
    finally:
        served.stdin.close()
        try:
            served.wait(10)
        except subprocess.TimeoutExpired:
            served.kill()
            served.wait()
        served.stdout.close()


class Socket(asyncio.Protocol):
    """A WebSocket that counts the messages of channels and queues all others for `response`.

    Everything in one function and nothing decoded: ten of these have to keep up with one server.
    """

    def __init__(self, stored: int = 0) -> None:
        """Store the first `stored` messages of channels as well."""
        self.counted: Counter[bytes] = Counter()
        self.sizes: Counter[bytes] = Counter()
        self.stored: list[bytes] = []
        self._limit = stored
        self._rest = b""
        self._open = False
        self._responses: asyncio.Queue[bytes] = asyncio.Queue()
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._responses.put_nowait(b"")

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        if not self._open:
            head, found, data = data.partition(b"\r\n\r\n")
            self._rest = head
            if not found:
                return
            self._open = True
            self._responses.put_nowait(head)
        at, end = 0, len(data)
        while end - at >= 2:
            length, start = data[at + 1], at + 2
            if length >= 126:
                start += 2 if length == 126 else 8
                length = int.from_bytes(data[at + 2 : start])
            if start + length > end or start > end:
                break
            kind, at = data[at] & 15, start + length
            if kind == TEXT:
                self._take(data[start:at])
            elif kind == CLOSE:
                self._responses.put_nowait(b"")
        self._rest = data[at:]

    def _take(self, message: bytes) -> None:
        if not message.startswith(b'{"channel'):
            self._responses.put_nowait(message)
            return
        channel = message[CHANNEL]
        self.counted[channel] += 1
        self.sizes[channel] += len(message)
        if len(self.stored) < self._limit:
            self.stored.append(message)

    def send(self, message: dict[str, Any]) -> None:
        """Send with a mask, as a client has to; zeros are enough here."""
        payload = json.dumps(message).encode()
        length = len(payload)
        size = bytes((128 | length,)) if length < 126 else b"\xfe" + length.to_bytes(2)
        self._transport.write(b"\x81" + size + bytes(4) + payload)

    def upgrade(self, url: str) -> None:
        where = urlsplit(url)
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    async def response(self) -> bytes:
        """Return the next message of no channel. Raise ConnectionError when the server is gone or silent."""
        try:
            message = await asyncio.wait_for(self._responses.get(), PATIENCE)
        except TimeoutError:
            raise ConnectionError(f"no answer within {PATIENCE:g} s") from None
        if not message:
            raise ConnectionError("the server has closed the connection")
        return message

    def close(self) -> None:
        self._transport.abort()


@asynccontextmanager
async def sockets(url: str, count: int, stored: int = 0) -> AsyncIterator[list[Socket]]:
    """Connect `count` sockets; the first one stores messages."""
    loop, where = asyncio.get_running_loop(), urlsplit(url)
    opened: list[Socket] = []
    try:
        for number in range(count):
            socket = Socket(0 if number else stored)
            await loop.create_connection(lambda socket=socket: socket, str(where.hostname), where.port or 0)
            opened.append(socket)
            socket.upgrade(url)
            if b" 101 " not in (head := await socket.response()):
                raise ConnectionError(f"{url} gives no WebSocket: {head!r}")
        yield opened
    finally:
        for socket in opened:
            socket.close()


class Rest:
    """Signed calls, one after the other over one connection."""

    def __init__(self, session: aiohttp.ClientSession, listening: Listening) -> None:
        self._session = session
        self._listening = listening
        self._nonce = time_ns()

    async def call(self, method: str, fields: dict[str, str]) -> dict[str, Any]:
        """Return the result of a call. Raise ConnectionError with the exchange's errors."""
        response = json.loads(await self.raw(method, fields))
        if response["error"]:
            raise ConnectionError(f"{method} {fields}: {response['error']}")
        result: dict[str, Any] = response["result"]
        return result

    async def raw(self, method: str, fields: dict[str, str]) -> bytes:
        self._nonce += 1
        path, body = f"/0/private/{method}", urlencode({"nonce": self._nonce, **fields})
        secret = self._listening.secret or "c2VjcmV0"
        headers = {
            "API-Key": self._listening.key,
            "API-Sign": signature(path, self._nonce, body, secret),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        async with self._session.post(self._listening.url + path, data=body, headers=headers) as response:
            return await response.read()

    async def advance(self, seconds: float) -> int:
        """Move the sandbox's market; return how often it traded."""
        url, headers = f"{self._listening.url}/admin/advance", {"X-Sandbox-Admin": "1"}
        async with self._session.post(url, json={"seconds": seconds}, headers=headers) as response:
            outcome = await response.json()
        if response.status != 200:
            raise ConnectionError(f"{url}: {outcome}")
        ticks: int = outcome["ticks"]
        return ticks


@asynccontextmanager
async def rest(listening: Listening) -> AsyncIterator[Rest]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE)) as session:
        yield Rest(session, listening)
