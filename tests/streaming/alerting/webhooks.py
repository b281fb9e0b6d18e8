"""A real HTTP server on this machine that takes what apprise posts, and may be dead, slow, or never end."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "s3cret-t0ken-of-the-hook"


class Webhook:
    """`url` is its address for apprise; `status` what it answers; while `held` is not set it does not answer."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.received: list[dict[str, Any]] = []
        self.status = 200
        self.drips = False
        self.free = threading.Event()
        self.free.set()
        self.entered = threading.Event()
        self.url = f"json://127.0.0.1:{server.server_port}/{TOKEN}"

    @property
    def texts(self) -> list[str]:
        return [each["message"] for each in self.received]


@contextmanager
def webhook() -> Iterator[Webhook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            hook.entered.set()
            if hook.drips:
                self._drip()
            elif hook.free.wait(60):
                if hook.status == 200:
                    hook.received.append(body)
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def _drip(self) -> None:
            """Begin an answer, and go on with it byte by byte for as long as the test lasts."""
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            while not hook.free.wait(0.05):
                self.wfile.write(b"x")

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:  # of clients that do not wait any longer
            pass

    server = Server(("127.0.0.1", 0), Handler)
    hook = Webhook(server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        hook.free.set()
        server.shutdown()
        server.server_close()
        thread.join()
