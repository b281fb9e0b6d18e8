"""Questions to processes that may end at any moment: one that has ended is an answer, no error (tests only)."""

import psutil


def is_alive(process: psutil.Process) -> bool:
    """Return False for one that has ended, also while nobody has waited for it yet."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def command_line(process: psutil.Process) -> str:
    """Return its words; none where it has ended since it was listed, or is not ours to read."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
