"""Kraken's downloadable time and sales: lines of unix seconds, price and volume, with their exact decimals."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

from streaming.sandbox.market.recordings import ACCEPTED, RecordedTrade
from trading.errors import UnreadableFile

PAGE = 65_536  # bytes: some two thousand trades
MAX_LINE = 200  # bytes; a trade takes some forty
HEADERS = (b"time,price,volume", b"timestamp,price,volume")  # Kraken writes none, people who cut files do
MAX_TIME = Decimal(2**33)  # seconds, the year 2242: what is larger was counted in something else


class CsvPages:
    """A page holds the lines that begin in one piece of the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = -(-path.stat().st_size // PAGE)
        while self._count and not self._lines(
            self._count - 1
        ):  # blank, or its line began in the piece before
            self._count -= 1
        if self._count:
            self.begins(0)  # a file of something else is refused at once

    def __len__(self) -> int:
        return self._count

    def begins(self, page: int) -> int:
        return self._row(self._lines(page)[0]).at

    def rows(self, page: int) -> Sequence[RecordedTrade]:
        return [self._row(line) for line in self._lines(page)]

    def _lines(self, page: int) -> list[bytes]:
        begin, end = page * PAGE, (page + 1) * PAGE
        with self._path.open("rb") as stream:
            stream.seek(max(begin - 1, 0))
            if begin:
                self._whole(stream.readline(MAX_LINE))
            piece = stream.read(max(end - stream.tell(), 0))
            if piece and not piece.endswith(b"\n"):
                piece += self._whole(stream.readline(MAX_LINE))
        lines = [line.strip() for line in piece.splitlines() if line.strip()]
        return lines[1:] if page == 0 and lines and lines[0].lower() in HEADERS else lines

    def _whole(self, line: bytes) -> bytes:
        if len(line) == MAX_LINE:
            raise UnreadableFile(f"{self._path} has a line that is too long for a trade; {ACCEPTED}")
        return line

    def _row(self, line: bytes) -> RecordedTrade:
        try:
            time, price, quantity = (Decimal(field) for field in line.decode("ascii").split(","))
        except (ValueError, InvalidOperation):
            raise self._error(line) from None
        numbers = (time, price, quantity)
        if not all(number.is_finite() and number > 0 for number in numbers) or time > MAX_TIME:
            raise self._error(line)
        return RecordedTrade(int(time * 1_000_000), price, quantity)

    def _error(self, line: bytes) -> UnreadableFile:
        shown = line[:80].decode("ascii", "backslashreplace")
        return UnreadableFile(f"{self._path}: {shown!r} is not a trade; {ACCEPTED}")
