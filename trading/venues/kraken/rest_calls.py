"""One call of Kraken's REST interface: budget, nonce, signature, and what may be tried again.

A read is repeated where that can help. A call that changes something is sent once: when its answer is lost it may
have taken effect all the same, and that is OutcomeUnknown.
"""

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import urlencode

import httpx
import tenacity

from trading.errors import (
    InvalidMessage,
    InvalidSettings,
    MarketloomError,
    NotAuthorised,
    OutcomeUnknown,
    RateLimited,
    VenueUnreachable,
)
from trading.venues.kraken.authentication import KEY, SECRET, Credentials
from trading.venues.kraken.decoding import Envelope, answer, envelope, whole
from trading.venues.kraken.errors import STALE_NONCE, error_from
from trading.venues.kraken.nonces import Nonces
from trading.venues.kraken.rate_budget import Budget
from trading.venues.kraken.rate_limits import CALL, Allowance, Limit
from trading.venues.kraken.signing import signature
from trading.venues.kraken.transport import BoundedTransport

LOG = logging.getLogger("marketloom.kraken")
Answer = TypeVar("Answer")
NOTHING: Mapping[str, str] = MappingProxyType({})
AGENT = {"User-Agent": "marketloom", "Accept-Encoding": "identity"}
PRIVATE = "private calls"
ATTEMPTS = 5
NONCES = 6  # tries of one call: nonces of other processes may overtake it on the way
TOO_MANY = 429
URL = "https://api.kraken.com"


class Calls:
    """Safe to use from several threads. Counters and nonces lie in `folder`, which all processes share."""

    def __init__(
        self,
        folder: Path,
        base_url: str,
        credentials: Credentials | None,
        allowance: Allowance,
        public: Limit,
        total: float,
        patience: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._credentials = credentials
        self._allowance = allowance
        self._public = public
        self._sleep = sleep
        url = _address(base_url)
        host = f"{url.host}-{url.port}" if url.port else url.host
        self._where = "" if url.host == httpx.URL(URL).host else f" at {url.scheme}://{url.netloc.decode()}"
        self._http = _http(base_url, total)
        name = credentials.fingerprint if credentials else "public"
        self._shared = Budget(folder / f"{host}.public", patience, sleep=sleep)
        self._own = Budget(folder / f"{name}.budget", patience, sleep=sleep)
        self._nonces = Nonces(folder, name)

    def close(self) -> None:
        self._http.close()

    def public(self, method: str, kind: type[Answer], fields: Mapping[str, str] = NOTHING) -> Answer:
        """Also repeated when the venue wants fewer requests."""

        def once() -> Answer:
            self._shared.spend("public calls", self._public, CALL)
            try:
                said = self._understood(
                    method, lambda: self._http.get(f"/0/public/{method}", params=dict(fields))
                )
            except RateLimited:
                self._shared.exhaust("public calls", self._public)
                raise
            return answer(method + self._where, said.result, kind)

        return self._repeated(VenueUnreachable, RateLimited)(once)

    def read(
        self, method: str, kind: type[Answer], fields: Mapping[str, str] = NOTHING, cost: float = CALL
    ) -> Answer:
        def once() -> Answer:
            self._own.spend(PRIVATE, self._allowance.calls, cost)
            try:
                said = self._private(method, fields, changes=False)
            except RateLimited:
                self._own.exhaust(PRIVATE, self._allowance.calls)
                raise
            return answer(method + self._where, said.result, kind)

        return self._repeated(VenueUnreachable)(once)

    def change(
        self,
        method: str,
        kind: type[Answer],
        fields: Mapping[str, str],
        pair_name: str = "",
        cost: float = CALL,
    ) -> Answer:
        """OutcomeUnknown when it may have taken effect; every other error says that nothing was changed.

        With `pair_name` the trading engine counts it, else it is a private call like those that read.
        """
        counter = f"orders of {pair_name}" if pair_name else PRIVATE
        limit = self._allowance.orders if pair_name else self._allowance.calls
        self._own.spend(counter, limit, cost)
        try:
            said = self._private(method, fields, changes=True)
        except RateLimited:
            self._own.exhaust(counter, limit)
            raise
        try:
            return answer(method + self._where, said.result, kind)
        except InvalidMessage as error:
            raise OutcomeUnknown(f"{error}: Kraken took it, and its answer cannot be read") from error

    def _repeated(self, *errors: type[MarketloomError]) -> tenacity.Retrying:
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(errors),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=tenacity.wait_random_exponential(multiplier=0.25, max=8.0),
            sleep=self._sleep,
            reraise=True,
        )

    def _private(self, method: str, fields: Mapping[str, str], changes: bool) -> Envelope:
        """A refused nonce changed nothing: the call goes out again with a newer one, whatever it is."""
        named = method + self._where
        for attempt in range(NONCES):
            said = self._told(named, lambda: self._signed(method, fields), changes)
            if STALE_NONCE not in said.errors:
                break
            LOG.warning("Kraken %s: nonce refused, trying a newer one", named)
            self._sleep(0.02 * 2**attempt)
        return _accepted(named, said, changes)

    def _signed(self, method: str, fields: Mapping[str, str]) -> httpx.Response:
        if self._credentials is None:
            raise NotAuthorised(f"Kraken {method} needs a key: set {KEY} and {SECRET}")
        path, nonce = f"/0/private/{method}", self._nonces.next()
        body = urlencode({"nonce": nonce, **fields})
        headers = {
            "API-Key": self._credentials.key,
            "API-Sign": signature(path, nonce, body, self._credentials.secret),
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        }
        return self._http.post(path, content=body, headers=headers)

    def _understood(self, method: str, send: Callable[[], httpx.Response]) -> Envelope:
        named = method + self._where
        return _accepted(named, self._told(named, send, changes=False), changes=False)

    @staticmethod
    def _told(method: str, send: Callable[[], httpx.Response], changes: bool) -> Envelope:
        """The answer, whatever it says."""
        lost = OutcomeUnknown if changes else VenueUnreachable
        try:
            response = send()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise VenueUnreachable(f"Kraken {method}: no connection ({error})") from error
        except httpx.HTTPError as error:
            raise lost(f"Kraken {method}: no answer ({type(error).__name__}: {error})") from error
        if response.status_code == TOO_MANY:
            raise RateLimited(f"Kraken {method}: HTTP {TOO_MANY}, too many requests from this address")
        if response.is_server_error or not whole(response.content):
            raise lost(f"Kraken {method}: HTTP {response.status_code} without a complete answer")
        try:
            return envelope(method, response.content)
        except InvalidMessage as error:
            if changes:
                raise OutcomeUnknown(str(error)) from error
            raise


def _accepted(method: str, said: Envelope, changes: bool) -> Envelope:
    if said.errors:
        raise error_from(method, said.errors, changes)
    return said


def _http(base_url: str, total: float) -> httpx.Client:
    return httpx.Client(
        base_url=base_url,
        headers=AGENT,
        timeout=httpx.Timeout(total, connect=min(5.0, total)),
        transport=BoundedTransport(total),
    )


def _address(base_url: str) -> httpx.URL:
    """InvalidSettings for what is no address."""
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, ValueError) as error:
        raise InvalidSettings(f"{base_url!r} is not the address of an exchange: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidSettings(f"{base_url!r} is not the address of an exchange: write it like {URL}")
    return url
