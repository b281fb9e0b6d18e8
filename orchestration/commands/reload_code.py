"""`python -m orchestration.commands.reload_code SOCKET`: the code server loads the code in another process."""

import sys
from contextlib import suppress

from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._grpc.client import DagsterGrpcClient

PATIENCE = 300  # seconds, on a busy machine


def main(socket: str) -> None:
    """Ask for it and wait until it is done. Whether it has helped, the supervisor sees."""
    with suppress(DagsterUserCodeUnreachableError):  # it says goodbye to the process before, which is dead
        DagsterGrpcClient(socket=socket).reload_code(timeout=PATIENCE)


if __name__ == "__main__":
    main(sys.argv[1])
