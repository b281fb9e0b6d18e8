"""Polars schemas as Dagster's column schema."""

import dagster as dg
import polars as pl


def column_schema(schema: pl.Schema, descriptions: dict[str, str] | None = None) -> dict[str, dg.TableSchema]:
    """Definition metadata that shows the columns in the UI before anything ran."""
    described = descriptions or {}
    columns = [
        dg.TableColumn(name, str(kind), description=described.get(name)) for name, kind in schema.items()
    ]
    return {"dagster/column_schema": dg.TableSchema(columns=columns)}
