"""Contents of what decisions read, by their SHA-256; each content is stored once and never changed."""

from collections.abc import Collection, Mapping

from trading.stores.postgres.connection import Database


def store_contents(database: Database, contents: Mapping[str, bytes]) -> None:
    """Store those that are not stored yet; the same content twice changes nothing."""
    known = database.execute(
        "SELECT sha256 FROM recorded_inputs WHERE sha256 = ANY(%(digests)s)", {"digests": list(contents)}
    )
    missing = sorted(set(contents) - {row["sha256"] for row in known})
    if missing:
        database.execute(
            "INSERT INTO recorded_inputs SELECT * FROM unnest(%(digests)s::text[], %(contents)s::bytea[]) "
            "ON CONFLICT DO NOTHING",
            {"digests": missing, "contents": [contents[digest] for digest in missing]},
        )


def select_contents(database: Database, digests: Collection[str]) -> dict[str, bytes]:
    rows = database.execute(
        "SELECT sha256, content FROM recorded_inputs WHERE sha256 = ANY(%(digests)s)",
        {"digests": list(digests)},
    )
    return {row["sha256"]: row["content"] for row in rows}
