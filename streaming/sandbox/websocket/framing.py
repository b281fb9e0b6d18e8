"""WebSocket frames of a server as bytes (RFC 6455, section 5.2): made once, sent to any number of clients."""

TEXT = 0x1
BINARY = 0x2
CONTINUATION = 0x0
_FINAL = 0x80


def make_frame(payload: bytes) -> bytes:
    """Make one whole frame: text, or binary for what is no UTF-8, which would end the connection as text."""
    return _frame(_FINAL | _kind(payload), payload)


def fragments(payload: bytes) -> list[bytes]:
    """Split a message into frames of a single byte, between which pings and pongs stay possible."""
    last = len(payload) - 1
    return [
        _frame((_FINAL if index == last else 0) | (CONTINUATION if index else _kind(payload)), bytes([byte]))
        for index, byte in enumerate(payload)
    ]


def _kind(payload: bytes) -> int:
    if payload.isascii():
        return TEXT
    try:
        payload.decode()
    except UnicodeDecodeError:
        return BINARY
    return TEXT


def _frame(first: int, payload: bytes) -> bytes:
    length = len(payload)
    if length < 126:
        return bytes((first, length)) + payload
    if length < 1 << 16:
        return bytes((first, 126)) + length.to_bytes(2, "big") + payload
    return bytes((first, 127)) + length.to_bytes(8, "big") + payload
