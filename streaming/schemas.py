"""The schemas of the topics for other languages: JSON Schema, and tables for people.

`python -m streaming.schemas docs` writes both: docs/schemas/TOPIC.json, and the tables of docs/bus.md.
"""

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from streaming.messages import SCHEMAS, BusMessage
from trading.errors import InvalidValue

BEGIN, END = "<!-- fields: written by python -m streaming.schemas docs -->", "<!-- end of fields -->"


def json_schema(topic: str) -> dict[str, Any]:
    """Return the JSON Schema of the topic's messages. InvalidValue for one without a schema."""
    if topic not in SCHEMAS:
        raise InvalidValue(f"topic {topic!r} has no schema: those of the bus are {', '.join(SCHEMAS)}")
    kind = SCHEMAS[topic]
    _, parts = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    own = dict(parts.pop(kind.__name__))
    head = {"schema": {"const": kind.schema_name}, "version": {"const": kind.schema_version}}
    own["properties"] = {**head, **own["properties"]}
    own["required"] = [*head, *own["required"]]
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **own, "title": kind.schema_name}
    return {**schema, "$defs": parts} if parts else schema


def tables() -> str:
    """Return the fields of every topic as Markdown."""
    return "\n".join(_table(topic, kind) for topic, kind in SCHEMAS.items())


def _table(topic: str, kind: type[BusMessage]) -> str:
    schema = json_schema(topic)
    rows = [
        f"| `{name}` | {_type(value)}{'' if name in schema['required'] else ', may be missing'} |"
        for name, value in schema["properties"].items()
    ]
    about = " ".join((inspect.getdoc(kind) or "").split())
    heading = f"### {topic}\n\n{about} [JSON Schema](schemas/{topic}.json)\n"
    return "\n".join([heading, "| field | type |", "| --- | --- |", *rows, ""])


def _type(value: dict[str, Any]) -> str:
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "anyOf" in value:
        return " or ".join(_type(each) for each in value["anyOf"])
    if "$ref" in value:
        return "object, see the schema"
    kind = str(value.get("type", "any"))
    return "time" if value.get("format") == "date-time" else kind


def write(folder: Path) -> None:
    """Write the schemas, and the tables into bus.md between their marks."""
    schemas = folder / "schemas"
    schemas.mkdir(exist_ok=True)
    for topic in SCHEMAS:
        (schemas / f"{topic}.json").write_text(json.dumps(json_schema(topic), indent=2) + "\n")
    page = folder / "bus.md"
    before, rest = page.read_text().split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{tables()}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
