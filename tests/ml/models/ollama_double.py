"""A server on localhost with the part of Ollama's API that lists models, chats and embeds."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.doubles.http import serving as serve


@dataclass
class OllamaDouble:
    """The responses to give, and the requests received."""

    models: tuple[str, ...] = ("chatty:7b", "vectors:latest")
    chat_answers: list[str] = field(default_factory=list)  # the last one is repeated
    raw_body: bytes | None = None  # sent in response to every request in place of the usual one
    vector: tuple[float, ...] = (3.0, 4.0)
    silent: threading.Event = field(default_factory=threading.Event)  # while set, it never responds
    requests: list[tuple[str, Any]] = field(default_factory=list)
    url: str = ""

    def respond(self, path: str, request: Any) -> tuple[int, bytes]:
        if self.raw_body is not None:
            return 200, self.raw_body
        if path == "/api/tags":
            return 200, _json({"models": [{"name": name, "model": name} for name in self.models]})
        if not {request["model"], f"{request['model']}:latest"} & set(self.models):
            return 404, _json({"error": f"model '{request['model']}' not found"})
        if path == "/api/embed":
            return 200, _json(
                {"model": request["model"], "embeddings": [self.vector for _ in request["input"]]}
            )
        return 200, self._chat(request)

    def _chat(self, request: Any) -> bytes:
        text = self.chat_answers.pop(0) if len(self.chat_answers) > 1 else self.chat_answers[0]
        ending = {"done_reason": "stop", "prompt_eval_count": 120, "eval_count": 15}
        if request.get("stream"):
            middle = len(text) // 2
            pieces = [_part(request, text[:middle]), _part(request, text[middle:])]
            return b"\n".join(_json(part) for part in [*pieces, _part(request, "", **ending)])
        return _json(_part(request, text, **ending))


def _part(request: Any, content: str, **ending: object) -> dict[str, object]:
    message = {"role": "assistant", "content": content}
    start = {"model": request["model"], "created_at": "2021-04-01T00:00:00Z", "message": message}
    return {**start, "done": bool(ending), **ending}


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


@contextmanager
def serving(double: OllamaDouble) -> Iterator[OllamaDouble]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply(None)

        def do_POST(self) -> None:
            self._reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _reply(self, request: Any) -> None:
            double.requests.append((self.path, request))
            if double.silent.is_set():
                released.wait(timeout=10)
                return
            status, body = double.respond(self.path, request)
            self.send_response(status)
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
