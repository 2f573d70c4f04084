"""A sign of life from a gRPC server: its answer to an HTTP/2 greeting. Nothing here imports Ray or gRPC."""

from __future__ import annotations

import socket

_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"
"""Preface and empty SETTINGS frame, RFC 9113 section 3.4."""
_SETTINGS = 4
"""Type of the frame that each side sends first; it follows the three bytes of the frame's length."""
_MANY = 4096


def greets(connection: socket.socket) -> bytes | None:
    """Greet the other side and return its answer; None if it closes the connection, as a server that expects TLS does.

    Raises:
        TimeoutError: if it does neither within the connection's timeout.
        OSError: if the connection breaks in another way.
    """
    try:
        connection.sendall(_GREETING)
        return connection.recv(_MANY) or None
    except (ConnectionResetError, BrokenPipeError):
        return None


def is_http2(answer: bytes) -> bool:
    """Whether an answer to a greeting begins as HTTP/2 does."""
    return len(answer) > 3 and answer[3] == _SETTINGS
