"""A decision in one portable file: its receipt and all inputs by value; a stranger decides again from it alone."""

import re
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from ml.decision.bundle_file import parts_of, read_entries, write_entries
from ml.decision.plain_json import canonical_bytes
from ml.decision.recorded_tables import part_digests
from ml.decision.replay import Replay, Verdict, computed_differences, decision_difference
from ml.decision.restoring import Read, Restored, is_replayable, restore
from ml.learning.manifest import sha256_hex
from ml.learning.policy import Policy, policy_from_bytes
from trading.errors import InvalidBundle, MarketloomError, NotStored

RECEIPT, ARTICLES = "receipt", "articles"
POLICY_MANIFEST, POLICY_WEIGHTS = "policy manifest", "policy weights"
MAX_WEIGHTS = 64 * 1024 * 1024  # bytes of all arrays, unpacked
_HUGE = re.compile(r"[+-]?[\d.]*e[+-]?\d{3,}", re.IGNORECASE)  # a number whose digits would fill the memory
# What numbers and archives raise that make no sense.
_NONSENSE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class PolicyFiles:
    """The two files of the policy that voted, as they lie in its bundle."""

    manifest: bytes
    weights: bytes


def write_bundle(
    path: Path, receipt: Mapping[str, Any], read: Read, policy: PolicyFiles | None, articles: pl.DataFrame
) -> str:
    """Write the decision's file; returns the last hash of its chain.

    NotStored where the decision does not have all of its inputs, or one of them is not stored any more.
    """
    if not is_replayable(receipt):
        raise NotStored(f"decision {receipt['decision_id']}: its receipt does not have all of its inputs")
    entries = {RECEIPT: canonical_bytes(receipt), **_tables(receipt["inputs"], read)}
    if policy is not None:
        entries |= {POLICY_MANIFEST: policy.manifest, POLICY_WEIGHTS: policy.weights}
    entries[ARTICLES] = articles.write_json().encode()
    return write_entries(path, entries)


def _tables(known: Mapping[str, Any], read: Read) -> dict[str, bytes]:
    """Return root and parts of each table under names that say what they are; shared parts are there once."""
    roots = {"candles": known["candles"]["sha256"], "news": known["news"]["sha256"]}
    roots |= {f"candles of {pair}": each["sha256"] for pair, each in known["companions"].items()}
    entries: dict[str, bytes] = {}
    seen: set[str] = set()
    for name, root in roots.items():
        table = _required(read, [root])
        parts = [each for each in parts_of(name, part_digests(table[root])) if each[1] not in seen]
        contents = table | _required(read, [digest for _, digest in parts])
        entries |= {part: contents[digest] for part, digest in [(name, root), *parts]}
        seen |= {digest for _, digest in parts}
    return entries


def _required(read: Read, digests: Collection[str]) -> dict[str, bytes]:
    found = dict(read(digests))
    if missing := set(digests) - found.keys():
        raise NotStored(f"the recorded input {min(missing)[:12]} is not stored")
    return found


def verify_bundle(path: Path) -> tuple[Replay, str]:
    """Check the chain, compute features and sentiment again, and decide again: from this file and nothing else.

    Returns what that has shown, and the last hash of the chain. InvalidBundle names the entry that was changed, or says
    what keeps the file from being decided on.
    """
    entries, chain = read_entries(path)
    try:
        return _verified(entries), chain
    except (*_NONSENSE, MarketloomError) as error:
        raise InvalidBundle(f"its entries do not make a decision: {type(error).__name__}: {error}") from error


def _verified(entries: Mapping[str, bytes]) -> Replay:
    receipt = orjson.loads(entries[RECEIPT])
    _refuse_huge_numbers(receipt)
    contents = {sha256_hex(content): content for content in entries.values()}

    def read(digests: Collection[str]) -> Mapping[str, bytes]:
        return {each: contents[each] for each in digests if each in contents}

    restored = restore(receipt, read, lambda pair, policy_id: _policy(entries, policy_id))
    difference = next(_differences(receipt, restored), None)
    verdict = Verdict.IDENTICAL if difference is None else Verdict.DECISION_DIFFERS
    return Replay(receipt["decision_id"], verdict, difference is None, difference)


def _differences(receipt: Mapping[str, Any], restored: Restored) -> Iterator[Any]:
    if restored.inputs.features:
        yield from computed_differences(restored.inputs)
    if difference := decision_difference(receipt, restored):
        yield difference


def _policy(entries: Mapping[str, bytes], policy_id: str) -> Policy:
    weights = entries[POLICY_WEIGHTS]
    with zipfile.ZipFile(BytesIO(weights)) as archive:
        if sum(each.file_size for each in archive.infolist()) > MAX_WEIGHTS:
            raise InvalidBundle(f"entry {POLICY_WEIGHTS} would unpack to more than {MAX_WEIGHTS >> 20} MiB")
    policy = policy_from_bytes(entries[POLICY_MANIFEST], weights)
    if policy.policy_id != policy_id:
        raise InvalidBundle(f"entry {POLICY_MANIFEST} is of policy {policy.policy_id}, not of {policy_id}")
    return policy


def _refuse_huge_numbers(values: Any) -> None:
    """Raise InvalidBundle for a decimal whose exponent alone would make its digits fill the memory."""
    if isinstance(values, Mapping):
        values = list(values.values())
    if isinstance(values, list):
        for each in values:
            _refuse_huge_numbers(each)
    elif isinstance(values, str) and _HUGE.fullmatch(values):
        raise InvalidBundle(f"entry {RECEIPT} has the number {values[:40]}")
