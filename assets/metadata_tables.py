"""Tables for asset metadata: column schemas and Markdown."""

from collections.abc import Sequence

import dagster as dg
import polars as pl


def column_schema(schema: pl.Schema, descriptions: dict[str, str] | None = None) -> dict[str, dg.TableSchema]:
    """Return definition metadata that shows the columns in the UI before anything ran."""
    described = descriptions or {}
    columns = [
        dg.TableColumn(name, str(kind), description=described.get(name)) for name, kind in schema.items()
    ]
    return {"dagster/column_schema": dg.TableSchema(columns=columns)}


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table of text cells."""
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + " --- |" * len(head), *lines[1:]])
