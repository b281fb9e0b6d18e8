"""Who may call over HTTP: a shared token, or an authorization server's tokens; nobody else beyond this machine."""

import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio.to_thread
import httpx
import jwt
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import AnyHttpUrl

from orchestration.settings_schema import McpSettings
from orchestration.web_guard import is_loopback
from trading.errors import InvalidSettings

LOG = logging.getLogger("marketloom.mcp")
TOKEN = "MARKETLOOM_MCP_TOKEN"
MIN_TOKEN = 16  # characters: nobody can try so many
READ, WRITE = "marketloom.read", "marketloom.write"  # scopes
# Only signatures with a public key: with a shared secret whoever can verify a token can make one.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
SECONDS = 10.0  # for the authorization server's documents
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class SharedToken:
    """One secret that every client knows."""

    secret: str

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return the right to read and to plan where it is the secret."""
        if not hmac.compare_digest(token.encode(), self.secret.encode()):
            return None
        return AccessToken(token="", client_id="shared token", scopes=[READ, WRITE])


class IssuedTokens:
    """Tokens that the authorization server `issuer` has issued for `resource`, as signed JWTs (RFC 9068)."""

    def __init__(self, issuer: str, resource: str) -> None:
        self._issuer = issuer
        self._resource = resource
        self._keys: jwt.PyJWKClient | None = None

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return whom and what the token names; None, with a line in the log, where it does not count."""
        try:
            claims = await anyio.to_thread.run_sync(self._claims, token)
        except (jwt.PyJWTError, httpx.HTTPError, InvalidSettings) as error:
            LOG.warning("a token was refused: %s", error)
            return None
        return AccessToken(
            token="",
            client_id=str(claims.get("client_id") or claims.get("azp") or ""),
            scopes=str(claims.get("scope") or "").split(),
            expires_at=int(claims["exp"]),
            resource=self._resource,
            subject=str(claims["sub"]) if claims.get("sub") else None,
            claims={"iss": self._issuer},
        )

    def _claims(self, token: str) -> Mapping[str, Any]:
        if self._keys is None:
            self._keys = jwt.PyJWKClient(self._find_keys(), timeout=SECONDS)
        key = self._keys.get_signing_key_from_jwt(token)
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key,
            algorithms=ALGORITHMS,
            audience=self._resource,
            issuer=self._issuer,
            options={"require": ["exp", "iss", "aud"]},
        )
        return claims

    def _find_keys(self) -> str:
        """Ask the server where its keys are: RFC 8414, else OpenID Connect Discovery."""
        server = httpx.URL(self._issuer)
        path = server.path.rstrip("/")
        for known in (
            f"/.well-known/oauth-authorization-server{path}",
            f"{path}/.well-known/openid-configuration",
        ):
            answer = httpx.get(server.copy_with(path=known), timeout=SECONDS)
            if answer.is_success and answer.json().get("issuer") == self._issuer:
                return str(answer.json()["jwks_uri"])
        raise InvalidSettings(
            f"[mcp] issuer: {self._issuer} publishes no metadata of an authorization server of this name"
        )


@dataclass(frozen=True, slots=True)
class HttpAccess:
    """`options` are those of the server, `security` that of its transport."""

    options: Mapping[str, Any]
    security: TransportSecuritySettings

    @property
    def asks(self) -> bool:
        """Return whether a caller needs a token."""
        return bool(self.options)


def http_access(settings: McpSettings, secret: str, *, write: bool) -> HttpAccess:
    """Decide who may call.

    InvalidSettings where other machines could without a token, where anybody on this machine could plan changes, and
    for a secret that can be guessed.
    """
    if bool(settings.issuer) != bool(settings.resource):
        raise InvalidSettings("[mcp] issuer and resource: set both for OAuth, or none of them")
    if secret and len(secret) < MIN_TOKEN:
        raise InvalidSettings(
            f"{TOKEN} has {len(secret)} characters, at least {MIN_TOKEN}: openssl rand -hex 32"
        )
    options = _options(settings, secret)
    if not options and not is_loopback(settings.host):
        raise InvalidSettings(
            f"[mcp] host = {settings.host!r} lets other machines read the account: set {TOKEN} to a secret of your "
            'own, or [mcp] issuer and resource, or host = "127.0.0.1"'
        )
    if not options and write:
        raise InvalidSettings(
            f"tools that plan changes need to know who calls over HTTP: set {TOKEN} to a secret of your own, or [mcp] "
            "issuer and resource, or leave --write out"
        )
    return HttpAccess(options, _security(settings))


def _options(settings: McpSettings, secret: str) -> dict[str, Any]:
    if settings.issuer:
        return {
            "token_verifier": IssuedTokens(settings.issuer, settings.resource),
            "auth": AuthSettings.model_validate(  # from texts: an address without a path must stay without a slash
                {
                    "issuer_url": settings.issuer,
                    "resource_server_url": settings.resource,
                    "required_scopes": [READ],
                    "validate_token_resource": True,
                }
            ),
        }
    if secret:  # nothing is published: there is no authorization server that a client could find
        here = AnyHttpUrl(f"http://{settings.host}:{settings.port or 1}")
        return {
            "token_verifier": SharedToken(secret),
            "auth": AuthSettings(issuer_url=here, resource_server_url=None, required_scopes=[READ]),
        }
    return {}


def _security(settings: McpSettings) -> TransportSecuritySettings:
    """Take requests for our own names alone: a page whose name points here (DNS rebinding) sends its own."""
    own = f"[{settings.host}]" if ":" in settings.host else settings.host
    names = dict.fromkeys([*LOOPBACK, own, *settings.allowed_hosts])
    return TransportSecuritySettings(
        allowed_hosts=[each for name in names for each in (name, f"{name}:*")],
        allowed_origins=[
            f"{scheme}://{each}"
            for scheme in ("http", "https")
            for name in names
            for each in (name, f"{name}:*")
        ],
    )
