"""A news server on localhost whose answers a test writes, byte by byte where it wants to."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.doubles.http import serving as serve

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class NewsServer:
    answers: dict[str, Answer] = field(default_factory=dict)  # by path
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""


def page(body: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def packed(body: bytes) -> Answer:
    return page(gzip.compress(body), Content_Encoding="gzip")


def moved(to: str) -> Answer:
    return page(b"", 302, Location=to)


@contextmanager
def serving(server: NewsServer) -> Iterator[NewsServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append((self.path, dict(self.headers)))
            server.answers.get(self.path.partition("?")[0], page(b"", 404))(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """The test's output stays its own."""

    with serve(Handler) as server.url:
        yield server


RSS = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0"><channel><title>Paper</title><language>en-us</language>{items}</channel></rss>"""


def rss(*items: str) -> bytes:
    return RSS.format(items="".join(f"<item>{item}</item>" for item in items)).encode()


def item(title: str, date: str, text: str = "Text.", link: str = "https://paper.example/1") -> str:
    named = f"<title>{title}</title><link>{link}</link><guid>{link}</guid>"
    return f"{named}<pubDate>{date}</pubDate><description>{text}</description>"
