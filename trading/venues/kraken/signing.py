"""Kraken's signature of a private call (docs.kraken.com/exchange/guides/rest/authentication)."""

import base64
import hashlib
import hmac


def signature(path: str, nonce: int, body: str, secret: str) -> str:
    """API-Sign for the exact bytes of `body` (which holds the nonce too) sent to `path`; `secret` is base64."""
    message = path.encode() + hashlib.sha256(f"{nonce}{body}".encode()).digest()
    return base64.b64encode(hmac.digest(base64.b64decode(secret), message, hashlib.sha512)).decode()
