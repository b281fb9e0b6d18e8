"""A decision in one file: verified from the file alone, and whoever changed a byte of it is found."""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest

from ml.decision import bundle_file
from ml.decision.bundle_file import CONTENTS, read_entries, write_entries
from ml.decision.decision_bundle import (
    POLICY_WEIGHTS,
    RECEIPT,
    PolicyFiles,
    verify_bundle,
    write_bundle,
)
from ml.decision.receipt import known_sha256
from ml.decision.replay import Verdict
from ml.learning.policy import MANIFEST, WEIGHTS
from orchestration.commands.bundle import verify_file
from tests.ml.decision.replay_world import ReplayWorld
from tests.ml.decision.trading_day import PAIR
from trading.errors import InvalidBundle, NotStored, UnusableHome


@dataclass(frozen=True)
class Bundle:
    path: Path
    chain: str
    receipt: dict[str, Any]
    entries: dict[str, bytes]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Write the decision of a world that is gone afterwards."""
    folder = tmp_path_factory.mktemp("bundle")
    world = ReplayWorld(folder / "world")
    receipt: dict[str, Any] = json.loads(json.dumps(world.execute().receipt))
    assert receipt["intent"]
    policy = world.policies.folder_of_policy(PAIR, world.champion)
    files = PolicyFiles((policy / MANIFEST).read_bytes(), (policy / WEIGHTS).read_bytes())
    path = folder / "decision.jsonl"
    articles = world.news.articles(world.all_candles["open_time"][0], world.newest)
    chain = write_bundle(path, receipt, world.journal.inputs, files, articles)
    return Bundle(path, chain, receipt, read_entries(path)[0])


def test_a_bundle_is_verified_from_the_file_alone(bundle: Bundle) -> None:
    replay, chain = verify_bundle(bundle.path)
    assert (replay.verdict, replay.reproduced) == (Verdict.IDENTICAL, True)
    assert (replay.decision_id, chain) == (bundle.receipt["decision_id"], bundle.chain)


def test_it_has_every_input_by_value(bundle: Bundle) -> None:
    named = {name.partition(",")[0] for name in bundle.entries}
    candles = {"candles", "candles of XRP/USDT", "candles of XRP/BTC"}
    assert candles | {"receipt", "news", "policy manifest", "policy weights", "articles"} == named
    assert "Bitcoin rises" in bundle.entries["articles"].decode()


def test_a_byte_that_is_flipped_anywhere_in_an_entry_is_found_in_that_entry(
    bundle: Bundle, tmp_path: Path
) -> None:
    content = bundle.path.read_bytes()
    lines, start = content.splitlines(keepends=True), 0
    changed = tmp_path / "changed.jsonl"
    names = [CONTENTS, *bundle.entries]
    assert len(lines) == len(names)
    for name, line in zip(names, lines, strict=True):
        for place in {0, 63, 64, 66, len(line) // 2, len(line) - 2, len(line) - 1}:
            flipped = bytearray(content)
            flipped[start + place] ^= 0x01
            changed.write_bytes(flipped)
            with pytest.raises(InvalidBundle, match=f"^entry {name} was changed"):
                read_entries(changed)
        start += len(line)


@pytest.mark.parametrize(
    "edit",
    [
        lambda lines: lines[:-1],
        lambda lines: [*lines[:5], *lines[6:]],
        lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]],
        lambda lines: [*lines, lines[-1]],
        lambda lines: [*lines, b"more"],
        lambda lines: [],
    ],
    ids=["cut off", "left out", "exchanged", "doubled", "added", "emptied"],
)
def test_entries_that_are_missing_moved_or_added_are_found(
    bundle: Bundle, tmp_path: Path, edit: Callable[[list[bytes]], list[bytes]]
) -> None:
    changed = tmp_path / "changed.jsonl"
    changed.write_bytes(b"".join(edit(bundle.path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(InvalidBundle, match=r"^entry .* (was changed|is missing)"):
        read_entries(changed)


def rewritten(bundle: Bundle, path: Path, **entries: bytes) -> Path:
    """The bundle as somebody would write it who changes entries and makes a new chain."""
    named = {name.replace("policy_weights", POLICY_WEIGHTS): each for name, each in entries.items()}
    write_entries(path, {**bundle.entries, **named})
    return path


def edited(bundle: Bundle, edit: Callable[[dict[str, Any]], None]) -> bytes:
    receipt = orjson.loads(bundle.entries[RECEIPT])
    edit(receipt)
    return orjson.dumps(receipt)


def test_another_outcome_with_a_new_chain_is_not_what_the_inputs_lead_to(
    bundle: Bundle, tmp_path: Path
) -> None:
    receipt = edited(bundle, lambda values: values.update(action="SHORT"))
    replay, chain = verify_bundle(rewritten(bundle, tmp_path / "other.jsonl", receipt=receipt))
    assert replay.verdict is Verdict.DECISION_DIFFERS
    assert replay.difference is not None
    assert replay.difference.input == "decision.action"
    assert chain != bundle.chain


def test_other_inputs_with_a_new_chain_are_not_those_of_the_receipts_digest(
    bundle: Bundle, tmp_path: Path
) -> None:
    receipt = edited(bundle, lambda values: values["inputs"]["account"].update(equity=1e9))
    with pytest.raises(InvalidBundle, match="was edited"):
        verify_bundle(rewritten(bundle, tmp_path / "other.jsonl", receipt=receipt))


def packed(**arrays: Any) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def zip_bomb() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weight_0.npy", bytes(65 * 1024 * 1024))
    return content.getvalue()


@pytest.mark.parametrize(
    "weights",
    [
        b"",
        b"not a zip file",
        zip_bomb(),
        packed(weight_0=np.zeros((2, 2)), bias_0=np.zeros(2)),
        packed(weight_0=np.array([{"an": "object"}], dtype=object)),
    ],
    ids=["empty", "no zip", "bomb", "other weights", "pickle"],
)
def test_weights_that_are_not_the_policys_are_refused_without_being_unpacked(
    bundle: Bundle, tmp_path: Path, weights: bytes
) -> None:
    with pytest.raises(InvalidBundle):
        verify_bundle(rewritten(bundle, tmp_path / "other.jsonl", policy_weights=weights))


@pytest.mark.parametrize(
    "edit",
    [
        lambda values: values["inputs"]["free"].update(USDT="1e999999999"),
        lambda values: values["inputs"].pop("account"),
        lambda values: values["inputs"].update(candles={"sha256": "../../etc/passwd"}),
        lambda values: values["clock"].update(at="yesterday"),
        lambda values: values.update(scope="rebalancing"),
        lambda values: values["rules"]["limits"].update(position_cap=5),
        lambda values: values.update(pair="no pair at all"),
        lambda values: values.clear(),
    ],
)
def test_a_receipt_that_makes_no_sense_is_refused_in_one_message(
    bundle: Bundle, tmp_path: Path, edit: Callable[[dict[str, Any]], None]
) -> None:
    def edit_and_seal(values: dict[str, Any]) -> None:
        edit(values)
        if {"account", "pair", "clock", "inputs", "rules"} <= set(values):
            values["known_sha256"] = known_sha256(values)

    receipt = edited(bundle, edit_and_seal)
    with pytest.raises(InvalidBundle, match="its entries do not make a decision"):
        verify_bundle(rewritten(bundle, tmp_path / "other.jsonl", receipt=receipt))


def test_a_table_whose_part_claims_more_rows_than_it_has_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    part = bundle.entries["candles, part 1"]
    head, _, body = part.partition(b"\n")
    lying = head.replace(b'"rows":', b'"rows":9') + b"\n" + body
    with pytest.raises(InvalidBundle):
        verify_bundle(rewritten(bundle, tmp_path / "other.jsonl", **{"candles, part 1": lying}))


def test_a_file_that_is_too_large_is_refused_before_it_is_read_as_a_whole(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle_file, "MAX_BYTES", 1000)
    with pytest.raises(InvalidBundle, match="larger than"):
        read_entries(bundle.path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnusableHome, match="nothing"):
        read_entries(tmp_path / "nothing.jsonl")


def test_a_lost_input_is_named_when_the_bundle_is_written(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(NotStored, match="is not stored"):
        write_bundle(tmp_path / "bundle", bundle.receipt, lambda _: {}, None, pl.DataFrame())
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_which_entry_was_changed_and_ends_with_its_code(
    bundle: Bundle, tmp_path: Path
) -> None:
    facts, code = verify_file(bundle.path)
    assert (facts["verdict"], code) == ("identical", 0)
    changed = tmp_path / "changed.jsonl"
    changed.write_bytes(bundle.path.read_bytes().replace(b"Bitcoin rises", b"Bitcoin falls"))
    facts, code = verify_file(changed)
    assert (facts["verdict"], code) == ("changed", 3)
    assert facts["reason"].startswith("entry articles was changed")
