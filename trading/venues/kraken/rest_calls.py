"""One call of Kraken's REST interface: rate budget, nonce, signature, and what may be tried again.

A read is repeated where that can help. A call that changes something is sent once: when its response is lost it may
have taken effect all the same, and that is OutcomeUnknown.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import urlencode

import httpx
import tenacity

from trading.api_keys import KeyState
from trading.errors import (
    OFFLINE_ADVICE,
    InvalidMessage,
    InvalidSettings,
    InvalidValue,
    MarketloomError,
    NotAuthorised,
    OutcomeUnknown,
    RateLimited,
    VenueUnreachable,
)
from trading.orders import Purpose
from trading.venues.kraken.authentication import KEY, SECRET, Credentials, signature
from trading.venues.kraken.decoding import Envelope, decode_envelope, decode_result, is_complete_json
from trading.venues.kraken.errors import STALE_NONCE, StaleNonce, error_from
from trading.venues.kraken.key_budget import KeyBudget
from trading.venues.kraken.rate_budget import RateBudget
from trading.venues.kraken.rate_limits import CALL_COST, Allowance, RateLimit
from trading.venues.kraken.transport import BoundedTransport

LOG = logging.getLogger("marketloom.kraken")
Response = TypeVar("Response")
NO_FIELDS: Mapping[str, str] = MappingProxyType({})
HEADERS = {"User-Agent": "marketloom", "Accept-Encoding": "identity"}
PUBLIC_CALLS = "public calls"  # the counter's name
MAX_ATTEMPTS = 5
MAX_NONCES = 6  # tries of one call: nonces of other processes may overtake it on the way
TOO_MANY_REQUESTS = 429
URL = "https://api.kraken.com"


class RestCalls:
    """Safe to use from several threads.

    `keys` holds nonces and counters of the key, `folder` the counter of public calls from this machine.
    """

    def __init__(
        self,
        folder: Path,
        base_url: str,
        credentials: Credentials | None,
        keys: KeyState | None,
        allowance: Allowance,
        public: RateLimit,
        total: float,
        patience: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if credentials and keys is None:
            raise InvalidValue("a client with a key needs the KeyState that all users of the key share")
        self._public_limit = public
        self._sleep = sleep
        url = _parse_url(base_url)
        host = f"{url.host}-{url.port}" if url.port else url.host
        self._where = "" if url.host == httpx.URL(URL).host else f" at {url.scheme}://{url.netloc.decode()}"
        self._http = httpx.Client(
            base_url=base_url,
            headers=HEADERS,
            timeout=httpx.Timeout(total, connect=min(5.0, total)),
            transport=BoundedTransport(total),
        )
        self._address_budget = RateBudget(folder / f"{host}.public", patience, sleep=sleep)
        self._key = (
            (credentials, KeyBudget(keys, credentials.fingerprint, allowance, patience, sleep))
            if credentials and keys
            else None
        )

    def close(self) -> None:
        self._http.close()

    @property
    def budget(self) -> KeyBudget:
        """The budget of the key. NotAuthorised without a key."""
        return self._signing("this call")[1]

    def read_public(
        self,
        method: str,
        kind: type[Response],
        fields: Mapping[str, str] = NO_FIELDS,
        purpose: Purpose = Purpose.LOOK_UP,
    ) -> Response:
        """Call a public method; repeated also when the venue wants fewer requests."""
        named = method + self._where

        def call() -> Response:
            with self._address_budget.spending(PUBLIC_CALLS, self._public_limit, CALL_COST, purpose):
                envelope = _receive(named, lambda: self._get_public(method, fields), changes=False)
                _raise_errors(named, envelope, changes=False)
            return decode_result(named, envelope.result, kind)

        return self._retrying(VenueUnreachable, RateLimited)(call)

    def read_private(
        self,
        method: str,
        kind: type[Response],
        fields: Mapping[str, str] = NO_FIELDS,
        cost: float = CALL_COST,
        purpose: Purpose = Purpose.LOOK_UP,
    ) -> Response:
        """Call a private method that changes nothing; repeated when the venue is not reachable."""
        budget = self._signing(method)[1]

        def call() -> Response:
            with budget.spending("", cost, purpose) as nonce:
                envelope = self._call_private(method, fields, nonce, changes=False)
            return decode_result(method + self._where, envelope.result, kind)

        return self._retrying(VenueUnreachable)(call)

    def change(
        self,
        method: str,
        kind: type[Response],
        fields: Mapping[str, str],
        purpose: Purpose,
        pair_name: str = "",
        cost: float = CALL_COST,
    ) -> Response:
        """Call a private method that changes something, once.

        OutcomeUnknown when it may have taken effect; every other error says that nothing was changed. With `pair_name`
        the trading engine counts it, else it is a private call like those that read.
        """
        with self._signing(method)[1].spending(pair_name, cost, purpose) as nonce:
            envelope = self._call_private(method, fields, nonce, changes=True)
        try:
            return decode_result(method + self._where, envelope.result, kind)
        except InvalidMessage as error:
            raise OutcomeUnknown(f"{error}: Kraken took it, and its answer cannot be read") from error

    def _retrying(self, *errors: type[MarketloomError]) -> tenacity.Retrying:
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(
                lambda error: isinstance(error, errors) and not isinstance(error, StaleNonce)
            ),
            stop=tenacity.stop_after_attempt(MAX_ATTEMPTS),
            wait=tenacity.wait_random_exponential(multiplier=0.25, max=8.0),
            sleep=self._sleep,
            reraise=True,
        )

    def _call_private(self, method: str, fields: Mapping[str, str], nonce: int, changes: bool) -> Envelope:
        """Send a signed call; a refused nonce changed nothing, so the call goes out again with a newer one."""
        named, (credentials, budget) = method + self._where, self._signing(method)
        for attempt in range(MAX_NONCES):
            post = partial(self._post_signed, credentials, method, fields, nonce)
            envelope = _receive(named, post, changes)
            if STALE_NONCE not in envelope.errors:
                break
            if attempt == 0:
                LOG.warning("Kraken %s: nonce refused, trying newer ones", named)
            self._sleep(random.uniform(0.5, 1.5) * 0.02 * 2**attempt)  # those that were overtaken part ways
            nonce = budget.next_nonce()
        _raise_errors(named, envelope, changes)
        return envelope

    def _signing(self, method: str) -> tuple[Credentials, KeyBudget]:
        if self._key is None:
            raise NotAuthorised(f"Kraken {method} needs a key: set {KEY} and {SECRET}")
        return self._key

    def _get_public(self, method: str, fields: Mapping[str, str]) -> httpx.Response:
        return self._http.get(f"/0/public/{method}", params=dict(fields))

    def _post_signed(
        self, credentials: Credentials, method: str, fields: Mapping[str, str], nonce: int
    ) -> httpx.Response:
        path = f"/0/private/{method}"
        body = urlencode({"nonce": nonce, **fields})
        headers = {
            "API-Key": credentials.key,
            "API-Sign": signature(path, nonce, body, credentials.secret),
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        }
        return self._http.post(path, content=body, headers=headers)


def _receive(method: str, send: Callable[[], httpx.Response], changes: bool) -> Envelope:
    """Send, and decode the response whatever it says; a lost one of a call that changes something is OutcomeUnknown."""
    lost = OutcomeUnknown if changes else VenueUnreachable
    try:
        response = send()
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        advice = "is it running?" if " at http" in method else OFFLINE_ADVICE  # another address is a sandbox
        raise VenueUnreachable(f"Kraken {method}: no connection ({error}); {advice}") from error
    except httpx.HTTPError as error:
        raise lost(f"Kraken {method}: no answer ({type(error).__name__}: {error})") from error
    if response.status_code == TOO_MANY_REQUESTS:
        raise RateLimited(f"Kraken {method}: HTTP {TOO_MANY_REQUESTS}, too many requests from this address")
    if response.is_server_error or not is_complete_json(response.content):
        raise lost(f"Kraken {method}: HTTP {response.status_code} without a complete answer")
    try:
        return decode_envelope(method, response.content)
    except InvalidMessage as error:
        if changes:
            raise OutcomeUnknown(str(error)) from error
        raise


def _raise_errors(method: str, envelope: Envelope, changes: bool) -> None:
    if envelope.errors:
        raise error_from(method, envelope.errors, changes)


def _parse_url(base_url: str) -> httpx.URL:
    """InvalidSettings for what is no address."""
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, ValueError) as error:
        raise InvalidSettings(f"{base_url!r} is not the address of an exchange: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidSettings(f"{base_url!r} is not the address of an exchange: write it like {URL}")
    return url
