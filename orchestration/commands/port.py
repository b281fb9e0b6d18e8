"""Check that the port is free before anything starts."""

import os
import socket

from trading.errors import InvalidSettings


def check_port_is_free(host: str, port: int, way_out: str) -> None:
    """Raise InvalidSettings with `way_out` when nothing can listen there; port 0 is always free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise InvalidSettings(f"cannot listen on {host}:{port}: {reason}; {way_out}") from None
