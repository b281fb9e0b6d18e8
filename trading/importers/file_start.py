"""The beginning of a file, which decides its format. Names and endings decide nothing."""

from dataclasses import dataclass
from pathlib import Path

from trading.bounded_files import feather_columns, parquet_columns
from trading.errors import UnreadableFile

START_BYTES = 65_536  # bytes
MAX_LINES = 20  # enough for a JSON row that is printed one number per line

MAGIC = {
    b"PAR1": "Parquet",
    b"ARROW1": "Feather",
    b"FEA1": "Feather",  # version 1
    b"PK\x03\x04": "zip",
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
}
COMPRESSED = frozenset({"zip", "gzip", "zstd"})


@dataclass(frozen=True, slots=True)
class FileStart:
    """`container` is Parquet, Feather, a compression, text or binary; only the first two have `columns`."""

    path: Path
    container: str
    columns: tuple[str, ...]
    lines: tuple[str, ...]  # the first lines of a text, without a byte order mark

    @classmethod
    def read(cls, path: Path) -> "FileStart":
        """Read the beginning. UnreadableFile when the file is empty, or a damaged Parquet or Feather file."""
        start = _read_bytes(path)
        container = _detect_container(start)
        columns = _read_columns(path, container) if container in ("Parquet", "Feather") else ()
        return cls(path, container, columns, _first_lines(start) if container == "text" else ())

    def fields(self, line: int) -> tuple[str, ...]:
        """Return the comma-separated fields of one line, lower case; empty when there is no such line.

        Commas at its end are no fields.
        """
        if line >= len(self.lines):
            return ()
        text = self.lines[line].rstrip(", ")
        return tuple(field.strip().strip('"').lower() for field in text.split(","))


def _read_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise UnreadableFile(f"{path} is a folder: give one of its files, or import the folder as a whole")
    try:
        with path.open("rb") as file:
            start = file.read(START_BYTES)
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be opened: {error.strerror}") from error
    if not start.strip():
        raise UnreadableFile(f"{path} is empty: fetch it again")
    return start


def _detect_container(start: bytes) -> str:
    for magic, container in MAGIC.items():
        if start.startswith(magic):
            return container
    return "binary" if b"\x00" in start else "text"


def _read_columns(path: Path, container: str) -> tuple[str, ...]:
    # Imported here: it takes a third of a second that only these files need.
    import pyarrow as pa

    try:
        if container == "Parquet":
            return parquet_columns(path)
        return feather_columns(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UnreadableFile(f"{path} is damaged {container}: {error}; fetch it again") from error


def _first_lines(start: bytes) -> tuple[str, ...]:
    text = start.decode("utf-8-sig", errors="replace")
    return tuple(text.splitlines()[:MAX_LINES])
