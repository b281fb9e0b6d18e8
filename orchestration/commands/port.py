"""Is the port free? Said before anything else is done."""

import os
import socket

from trading.errors import InvalidSettings


def refuse_a_used_port(host: str, port: int, way_out: str) -> None:
    """InvalidSettings with `way_out` when nothing can listen there; port 0 always can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            raise InvalidSettings(f"cannot listen on {host}:{port}: {reason}; {way_out}") from None
