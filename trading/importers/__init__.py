"""Candle files of many vendors, read without repairing anything.

Content decides the format. Venue, pair and timeframe come from flags, content and the file's name, which must
agree.

* Exact duplicate rows are dropped and counted.
* Rows with the same open time and other numbers are a conflict: the file is refused, the rows are shown.
* Impossible candles (high below low, not positive, not finite ...) and opens off the timeframe's grid are
  quarantined: left out, counted, and returned as they were, each with its reason. Above 1 % of the rows the
  file is refused.
* Newest-first files are sorted: the order is a property of the format.
* Missing candles are counted, never filled. Kraken publishes none for a window without a trade.
* A file that is no candle file at all raises UnreadableFile.
"""

from trading.importers.candle_files import import_path, read_candle_file
from trading.importers.import_report import ImportedFile, ImportReport
from trading.importers.landing_area import ImportedCandles, LandingArea

__all__ = [
    "ImportReport",
    "ImportedCandles",
    "ImportedFile",
    "LandingArea",
    "import_path",
    "read_candle_file",
]
