"""A server on localhost with the part of OpenAI's and of Anthropic's protocol that answers a chat."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.doubles.http import serving as serve


@dataclass
class VendorDouble:
    """What to answer, and the requests that were received: path, headers, body."""

    answer: str = '{"score": 0.5, "confidence": 0.75}'
    finish: str = "stop"
    status: int = 200
    silent: threading.Event = field(default_factory=threading.Event)  # while set, it never responds
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    url: str = ""

    def respond(self, path: str, headers: dict[str, str], request: Any) -> bytes:
        if self.status != 200:
            key = headers.get("x-api-key") or headers.get("authorization", "")
            return _json({"error": {"message": f"no: {key}", "type": "error", "code": None}})
        if path.endswith("/messages"):
            return _json(self._anthropic(request))
        return _json(self._openai(request))

    def _openai(self, request: Any) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self.answer}
        if request.get("tools"):
            function = {"name": "answer", "arguments": self.answer}
            message = {
                "role": "assistant", "content": None,
                "tool_calls": [{"id": "1", "type": "function", "function": function}],
            }  # fmt: skip
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        return {
            "id": "1", "object": "chat.completion", "created": 1, "model": request["model"],
            "choices": [choice], "usage": usage,
        }  # fmt: skip

    def _anthropic(self, request: Any) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "text", "text": self.answer}
        if request.get("tools"):
            block = {"type": "tool_use", "id": "toolu_1", "name": "answer", "input": json.loads(self.answer)}
        return {
            "id": "msg_1", "type": "message", "role": "assistant", "model": request["model"], "content": [block],
            "stop_reason": "max_tokens" if self.finish == "length" else "tool_use", "stop_sequence": None,
            "usage": {"input_tokens": 100, "output_tokens": 10},
        }  # fmt: skip


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


@contextmanager
def serving(double: VendorDouble) -> Iterator[VendorDouble]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            double.requests.append((self.path, headers, request))
            if double.silent.is_set():
                released.wait(timeout=10)
                return
            body = double.respond(self.path, headers, request)
            self.send_response(double.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """The test's output stays its own."""

    released = threading.Event()
    with serve(Handler) as double.url:
        try:
            yield double
        finally:
            released.set()
