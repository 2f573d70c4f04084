"""A sign of life from a gRPC server: what it says to an HTTP/2 greeting. Nothing here imports Ray or gRPC."""

from __future__ import annotations

import socket

_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
"""Preface and empty SETTINGS frame, RFC 9113 section 3.4."""
_SETTINGS = 4
"""Type of the frame that each side begins with; it stands after the three bytes of the frame's length."""
_MANY = 4096


def greets(connection: socket.socket) -> bytes | None:
    """What the other side says to a greeting; None if it closes the connection, as one does that expects TLS.

    Raises:
        TimeoutError: if it does neither within the connection's timeout.
        OSError: if the connection breaks otherwise.
    """
    try:
        connection.sendall(_GREETING)
        return connection.recv(_MANY) or None
    except (ConnectionResetError, BrokenPipeError):
        return None


def is_http2(said: bytes) -> bool:
    """Whether an answer to a greeting begins as HTTP/2 does."""
    return len(said) > 3 and said[3] == _SETTINGS
