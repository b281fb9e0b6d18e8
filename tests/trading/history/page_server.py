"""A server on localhost whose answers a test writes: one function from path and query to an answer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlsplit

from tests.doubles.http import serving as serve


@dataclass(frozen=True)
class Reply:
    """`body` None: the connection is cut without an answer."""

    body: bytes | None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Query = dict[str, str]


@dataclass
class PageServer:
    """`first` are sent before anything else, one for each request; then `answer` decides."""

    answer: Callable[[str, Query], Reply]
    first: list[Reply] = field(default_factory=list)
    asked: list[tuple[str, Query]] = field(default_factory=list)
    authorisations: list[str] = field(default_factory=list)
    url: str = ""

    def reply(self, path: str, query: Query) -> Reply:
        self.asked.append((path, query))
        return self.first.pop(0) if self.first else self.answer(path, query)


@contextmanager
def serving(double: PageServer) -> Iterator[PageServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            double.authorisations.append(self.headers.get("Authorization", ""))
            split = urlsplit(self.path)
            reply = double.reply(split.path, dict(parse_qsl(split.query)))
            if reply.body is None:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """The test's output stays its own."""

    with serve(Handler) as double.url:
        yield double
