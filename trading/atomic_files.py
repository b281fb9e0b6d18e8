"""Files that are replaced whole or not at all, whatever is killed and however full the disk is."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trading.errors import UnusableHome


def replace_file(path: Path, content: bytes | memoryview) -> None:
    """Replace the file, making its folder. UnusableHome, leaving it as it was, when it cannot be written."""
    with unusable_when_refused(path), lock_folder(path.parent) as folder:
        _write_and_rename(path, content)
        os.fsync(folder)


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


def _write_and_rename(path: Path, content: bytes | memoryview) -> None:
    """Write a draft under a fixed name: the draft of a killed writer is overwritten and never left behind."""
    draft = path.with_suffix(".partial")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # a rename that survives a power cut must not point at an empty file
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
