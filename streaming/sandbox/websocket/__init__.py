"""The WebSocket v2 face of the sandbox exchange."""

from streaming.sandbox.websocket.api import WebSocketFace

__all__ = ["WebSocketFace"]
