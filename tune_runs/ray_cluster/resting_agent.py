"""What a local Ray starts in place of each of its two agents: it rests, and becomes the agent once that is asked for.

With every node Ray starts two Python processes that import Ray. One serves a dashboard, which a local Ray does not
have: nobody asks for it. The other prepares the environments that tasks demand: those of a search demand none, but
tasks of a user's code may. Ray runs this file by its path, so that it imports nothing but the standard library.
"""

import os
import select
import socket
import sys

PORT = "--runtime-env-agent-port="
ADDRESS = "--node-ip-address="
"""Options of the agent that name where it listens."""


def rest(agent: list[str]) -> None:
    """Wait, and become the agent when somebody connects to its port; end with Ray.

    Args:
        agent: command line of the agent.
    """
    if _is_asked_for(_value(agent, ADDRESS), _value(agent, PORT)):
        os.execv(agent[0], agent)


def family_of(address: str) -> socket.AddressFamily:
    """Return the family of an address in numbers."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _value(words: list[str], option: str) -> str | None:
    return next((word.removeprefix(option) for word in words if word.startswith(option)), None)


def _is_asked_for(address: str | None, port: str | None) -> bool:
    """Wait until somebody connects or Ray has ended; say which. The port is free again then: a client tries again."""
    if address is None or port is None:
        return bool(sys.stdin.read())
    with socket.create_server((address, int(port)), family=family_of(address)) as listener:
        return listener in select.select([listener, sys.stdin], [], [])[0]


if __name__ == "__main__":
    rest(sys.argv[1:])
