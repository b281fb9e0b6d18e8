"""Files that are replaced whole or not at all, whatever is killed and however full the disk is."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from trading.errors import UnusableHome

DRAFT = ".partial"


def replace_file(path: Path, content: bytes | memoryview) -> None:
    """Replace the file, making its folder. UnusableHome, leaving it as it was, when it cannot be written."""
    with unusable_when_refused(path), lock_folder(path.parent) as folder:
        write_and_rename(path, content)
        os.fsync(folder)


def replace_files(contents: Mapping[Path, bytes]) -> None:
    """Replace several files. UnusableHome, leaving all as they were, when there is no room for one of them.

    They appear one after the other: a killed writer may leave the new content of some and the old one of others.
    """
    drafts = {path: path.with_suffix(DRAFT) for path in contents}
    try:
        for path, content in contents.items():
            with unusable_when_refused(path):
                make_folder(path.parent)
                _write_durably(drafts[path], content)
        for path, draft in drafts.items():
            with unusable_when_refused(path), lock_folder(path.parent) as folder:
                os.replace(draft, path)
                os.fsync(folder)
    except BaseException:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
        raise


def make_folder(folder: Path) -> None:
    """Make the folder and those above it so that they, too, are still there after a power cut."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    above = os.open(folder.parent, os.O_RDONLY)
    try:
        os.fsync(above)
    finally:
        os.close(above)


@contextmanager
def unusable_when_refused(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write into UnusableHome, in words."""
    try:
        yield
    except OSError as error:
        raise UnusableHome(
            f"{path}: cannot write: {error.strerror or error}; what was there before is unchanged. Free disk "
            "space, mend the permissions, or choose another folder with MARKETLOOM_HOME"
        ) from error


@contextmanager
def lock_folder(folder: Path) -> Iterator[int]:
    """Make the folder and let its writers wait for each other; a killed one's lock ends with its process."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def write_and_rename(path: Path, content: bytes | memoryview) -> None:
    """Write a draft under a fixed name: the draft of a killed writer is overwritten and never left behind.

    For a caller that has locked the folder, and syncs it afterwards.
    """
    draft = path.with_suffix(DRAFT)
    try:
        _write_durably(draft, content)
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _write_durably(path: Path, content: bytes | memoryview) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # a rename that survives a power cut must not point at an empty file
