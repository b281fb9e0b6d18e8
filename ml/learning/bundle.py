"""Writes policy bundles: a whole one or none, and never over one that may be trading.

month folder / <policy id> / manifest.json + weights.npz      every policy that was trained for the month
month folder / current                                        id of the one trained last
"""

import json
import os
import shutil
import uuid
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np

from ml.learning.manifest import Manifest, sha256_hex
from ml.learning.policy import MANIFEST, WEIGHTS, Layers, load_bundle
from trading.atomic_files import replace_file, unusable_when_refused
from trading.errors import InvalidBundle, NotStored

CURRENT = "current"
PARTIAL = ".partial-"


def write_bundle(folder: Path, manifest: Manifest, layers: Layers) -> Path:
    """Write layers and manifest (its `policy_id` and `files` are filled in here) below the month's `folder`.

    Returns the bundle's own folder. Both steps are renames: a killed writer leaves no bundle, and its
    leftovers are removed by the next one. The same policy written twice is one bundle.
    """
    remove_leftovers(folder)
    weights = _weights(layers)
    manifest = replace(manifest, files={WEIGHTS: sha256_hex(weights)})
    manifest = replace(manifest, policy_id=manifest.identity())
    bundle = folder / manifest.policy_id
    partial = _partial_path(folder)
    try:
        replace_file(partial / WEIGHTS, weights)
        replace_file(partial / MANIFEST, json.dumps(manifest.as_json(), indent=1).encode())
        if not _is_intact(bundle):
            shutil.rmtree(bundle, ignore_errors=True)
            with unusable_when_refused(bundle):
                partial.replace(bundle)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    replace_file(folder / CURRENT, manifest.policy_id.encode())
    return bundle


def current_bundle(folder: Path) -> Path:
    """Return the bundle trained last for a month's folder. Raises NotStored when there is none."""
    try:
        return folder / (folder / CURRENT).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise NotStored(f"no policy was trained in {folder}: materialise ppo_policy first") from None


def remove_leftovers(folder: Path) -> None:
    """Delete the partial files of writers that no longer run."""
    for partial in folder.glob(f"{PARTIAL}*"):
        if not _is_running(int(partial.name.removeprefix(PARTIAL).split("-")[0])):
            _remove(partial)


def _partial_path(folder: Path) -> Path:
    return folder / f"{PARTIAL}{os.getpid()}-{uuid.uuid4().hex}"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_intact(bundle: Path) -> bool:
    try:
        load_bundle(bundle)
    except (NotStored, InvalidBundle):
        return False
    return True


def _weights(layers: Layers) -> bytes:
    content = BytesIO()
    arrays = {}
    for index, (weight, bias) in enumerate(layers):
        arrays[f"weight_{index}"], arrays[f"bias_{index}"] = weight, bias
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()
