"""The file of instruments: all of them as they were last read, as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path

from trading.atomic_files import replace_file
from trading.errors import NotStored, UnreadableFile
from trading.market import Instrument, Pair, PairStatus

DECIMALS = (
    "price_increment",
    "quantity_increment",
    "minimum_quantity",
    "minimum_cost",
    "taker_fee",
    "maker_fee",
    "maximum_leverage",
)


class InstrumentFile:
    """One small JSON file of all instruments."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, instruments: Sequence[Instrument]) -> None:
        """Replace them all, atomically."""
        rows = [asdict(instrument) | {"pair": str(instrument.pair)} for instrument in instruments]
        replace_file(self._path, json.dumps(rows, default=str, indent=1).encode())

    def read(self) -> dict[Pair, Instrument]:
        """Read the instruments by pair. NotStored until the `instruments` asset was materialised once."""
        try:
            rows = json.loads(self._path.read_text(encoding="utf-8"))
            return {pair.pair: pair for pair in map(_instrument, rows)}
        except FileNotFoundError:
            raise NotStored("no instruments stored: materialise `instruments` first") from None
        except (ValueError, KeyError, TypeError) as error:
            raise UnreadableFile(
                f"{self._path}: not an instruments file ({error}); materialise `instruments` again"
            ) from None


def _instrument(row: dict[str, str]) -> Instrument:
    return Instrument(
        pair=Pair.parse(row["pair"]),
        status=PairStatus(row["status"]),
        **{name: Decimal(row[name]) for name in DECIMALS},
    )
