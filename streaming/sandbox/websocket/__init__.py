"""The WebSocket v2 API of the sandbox exchange."""

from streaming.sandbox.websocket.api import WebSocketApi

__all__ = ["WebSocketApi"]
