"""`marketloom mcp calls`: the record of what language models' clients have called."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration.services import Services
from orchestration.system import running_system
from trading.stores.postgres.tool_calls import PostgresToolCalls

SHOWN_DETAIL = 80
NO_OUTCOME = "none: it runs, or its process died"


def read_calls(limit: int) -> list[dict[str, Any]]:
    """Read the newest calls, newest first."""
    with running_system():
        return PostgresToolCalls(Services.current().dsn).newest(limit)


def show(rows: list[dict[str, Any]], out: Console) -> None:
    table = Table("began (UTC)", "caller", "client", "over", "call", "outcome", "seconds")
    for row in rows:
        outcome = ": ".join(filter(None, (row["outcome"], (row["detail"] or "")[:SHOWN_DETAIL])))
        cells = (
            f"{row['began_at']:%Y-%m-%d %H:%M:%S}",
            row["caller"],
            row["client"],
            row["transport"],
            row["name"],
            outcome or NO_OUTCOME,
            "" if row["seconds"] is None else f"{row['seconds']:.3f}",
        )
        table.add_row(*map(Text, cells))
    out.print(table)
