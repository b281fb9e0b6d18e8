"""The system user that the embedded PostgreSQL runs as: it refuses to run as root."""

import os
import pwd
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trading.atomic_files import lock_folder
from trading.errors import UnusableHome

NAME = "pgserver"
ACCOUNTS = Path("/etc")  # where the system keeps its users


@dataclass(frozen=True, slots=True)
class ServerUser:
    """An ordinary user of this system, chosen because this process is root."""

    uid: int
    gid: int

    @property
    def subprocess_options(self) -> dict[str, Any]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def adopt(self, folder: Path) -> None:
        """Take ownership of the folder; the folders above it become traversable, not readable, for others."""
        os.chown(folder, self.uid, self.gid)
        make_parents_traversable(folder)


def choose_user(data: Path) -> ServerUser | None:
    """Choose the user: None for this process's own; for root the owner of the data folder, else a system user."""
    if os.geteuid() != 0:
        return None
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return ServerUser(owner.st_uid, owner.st_gid)
    entry = _find_user() or _create_user()
    return ServerUser(entry.pw_uid, entry.pw_gid)


def make_parents_traversable(folder: Path) -> None:
    for above in folder.parents:
        mode = above.stat().st_mode
        if not mode & stat.S_IXOTH:
            above.chmod(mode | stat.S_IXOTH)


def _find_user() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(NAME)
    except KeyError:
        return None


def _create_user() -> pwd.struct_passwd:
    """Create the user, one process at a time: of two `useradd` at once the later gives it another number."""
    try:
        with lock_folder(ACCOUNTS):
            if _find_user() is None:
                subprocess.run(["useradd", "--system", NAME], check=True, capture_output=True)
            return pwd.getpwnam(NAME)
    except (OSError, subprocess.CalledProcessError, KeyError):
        raise UnusableHome(
            f"root cannot run PostgreSQL and no user {NAME} could be made: run `useradd {NAME}`, "
            "or run Marketloom as an ordinary user"
        ) from None
