"""The WebSocket v2 face of the sandbox exchange."""

from streaming.sandbox.websocket.face import WebSocketFace

__all__ = ["WebSocketFace"]
