"""Records every call of a tool, resource or prompt: who, what, a digest of the arguments, outcome, duration."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

from trading.stores.postgres.tool_calls import PostgresToolCalls, ToolCall

AUDITED = {"tools/call": "name", "resources/read": "uri", "prompts/get": "name"}
MAX_DETAIL = 500
MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class Audit:
    """Middleware of the server. A call that cannot be recorded is not made."""

    calls: PostgresToolCalls
    transport: str
    local_caller: str  # who calls where nobody is asked for a token: the user of this process

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Record the call around the rest of the chain."""
        if ctx.method not in AUDITED:
            return await call_next(ctx)
        number = await in_thread(self.calls.begin, self._call(ctx))
        began, outcome, detail = time.monotonic(), "failed", "it was cancelled"
        try:
            result = await call_next(ctx)
            outcome, detail = _outcome(result)
            return result
        except Exception as error:
            detail = f"{type(error).__name__}: {error}"
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await in_thread(
                    self.calls.finish, number, outcome, detail[:MAX_DETAIL], time.monotonic() - began
                )

    def _call(self, context: ServerRequestContext[Any, Any]) -> ToolCall:
        params = context.params or {}
        known = context.session.client_params
        return ToolCall(
            caller=caller(self.local_caller),
            client=known.client_info.name[:MAX_NAME] if known and known.client_info else "",
            transport=self.transport,
            method=context.method,
            name=str(params.get(AUDITED[context.method], ""))[:MAX_NAME],
            arguments_sha256=digest(params.get("arguments") or {}),
        )


def caller(local: str) -> str:
    """Return whom the token of this request names; `local` without one."""
    token = get_access_token()
    return local if token is None else f"{token.client_id} {token.subject or ''}".strip()


def digest(arguments: Mapping[str, Any]) -> str:
    """Compute the SHA-256 of the arguments as canonical JSON."""
    text = json.dumps(arguments, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _outcome(result: HandlerResult) -> tuple[str, str]:
    """Return `ok`, `refused` with the words of the refusal, or `asked`: a person is asked something first."""
    wire = result if isinstance(result, dict) else {}
    if wire.get("resultType") == "input_required":
        return "asked", ""
    if wire.get("isError"):
        return "refused", " ".join(str(each.get("text", "")) for each in wire.get("content", ()))
    return "ok", ""


async def in_thread(work: Callable[..., Any], *arguments: Any) -> Any:
    """Run blocking work beside the event loop."""
    return await anyio.to_thread.run_sync(partial(work, *arguments))
