"""What other languages read about the topics is what the code writes."""

import json
from pathlib import Path

import msgspec
import pytest

from streaming.messages import SCHEMAS
from streaming.schemas import BEGIN, END, json_schema, tables

DOCS = Path(__file__).parents[2] / "docs"
HINT = "run `python -m streaming.schemas docs`"


@pytest.mark.parametrize("topic", SCHEMAS)
def test_the_stored_schema_of_a_topic_is_that_of_the_code(topic: str) -> None:
    assert json.loads((DOCS / "schemas" / f"{topic}.json").read_text()) == json_schema(topic), HINT


def test_no_schema_is_left_of_a_topic_that_is_gone() -> None:
    assert {path.stem for path in (DOCS / "schemas").glob("*.json")} == set(SCHEMAS)


def test_the_fields_on_the_page_are_those_of_the_code() -> None:
    page = (DOCS / "bus.md").read_text()
    assert page.split(BEGIN)[1].split(END)[0].strip() == tables().strip(), HINT


@pytest.mark.parametrize("topic", SCHEMAS)
def test_a_schema_names_every_field_and_what_must_be_there(topic: str) -> None:
    schema, kind = json_schema(topic), SCHEMAS[topic]
    fields = msgspec.structs.fields(kind)
    assert set(schema["properties"]) == {"schema", "version", *(field.name for field in fields)}
    assert set(schema["required"]) == {
        "schema",
        "version",
        *(field.name for field in fields if field.required),
    }
    assert schema["properties"]["schema"] == {"const": kind.schema_name}
