"""SQL of people over the tables of a dataset in ClickHouse; the server refuses whatever would change something."""

import polars as pl

from trading.errors import InvalidValue
from trading.stores.clickhouse.connection import ClickHouse

MAX_ROWS = 1_000_000  # of an answer: more is a mistake
# Sent with one request, so that the limits still count as set before reading alone begins.
_READING = {"max_result_rows": MAX_ROWS + 1, "result_overflow_mode": "break", "readonly": 1}


def run_query(server: ClickHouse, query: str) -> pl.DataFrame:
    """Run one SELECT in ClickHouse's own SQL. NotStored without the table, InvalidValue for what is refused."""
    result = server.for_people().query(query, settings=_READING)
    if result.height > MAX_ROWS:
        raise InvalidValue(f"the answer has more than {MAX_ROWS:,} rows: aggregate, or add LIMIT")
    return result
