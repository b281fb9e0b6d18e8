"""Tables for asset metadata: the columns of what is stored, and rows that the UI shows without a click."""

from collections.abc import Mapping, Sequence

import dagster as dg
import polars as pl

WORDS: Mapping[type[pl.DataType], str] = {
    pl.Datetime: "time (UTC)",
    pl.Float64: "number",
    pl.Float32: "number",
    pl.Int64: "whole number",
    pl.Int8: "whole number",
    pl.String: "text",
    pl.Boolean: "yes or no",
}


def column_schema(schema: pl.Schema, descriptions: Mapping[str, str]) -> dict[str, dg.TableSchema]:
    """Return definition metadata that shows the columns in the UI before anything ran; each has a description."""
    columns = [
        dg.TableColumn(name, WORDS[kind.base_type()], description=descriptions[name])
        for name, kind in schema.items()
    ]
    return {"dagster/column_schema": dg.TableSchema(columns=columns)}


def shown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> dg.TableMetadataValue:
    """Return a table of text cells; long Markdown would lie behind a button."""
    return dg.MetadataValue.table(
        [dg.TableRecord(dict(zip(head, row, strict=True))) for row in rows],
        dg.TableSchema([dg.TableColumn(name, "text") for name in head]),
    )
