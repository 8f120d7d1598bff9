"""Calls of the bridge's methods over py4j's protocol: one string out, one string back, and nothing is ever sent twice.

py4j's own client sends a command again when its answer does not come, so that a transaction may leave twice. Here its connections are
used without that client: a call goes out once, on a connection of its own, and what follows is an answer or an error.
"""

from __future__ import annotations

import logging
import socket
from collections import deque
from typing import Final

from py4j import protocol
from py4j.java_gateway import GatewayConnection, GatewayParameters, quiet_close
from py4j.protocol import Py4JError, Py4JNetworkError

from ledger.core.errors import InternalError

HOST: Final = "127.0.0.1"


class LinkError(Exception):
    """A call got no answer. `sent`: it may have arrived. `late`: the time was up, and the connection still stood."""

    def __init__(self, reason: str, *, sent: bool, late: bool = False) -> None:
        super().__init__(reason)
        self.sent = sent
        self.late = late


class Link:
    """Connections to one bridge process, one for each call that is under way. Threads may share it."""

    def __init__(self, port: int, token: str) -> None:
        """Connect to `port` of the loopback interface when first called."""
        # py4j logs whole commands, and keys travel in them.
        logging.getLogger("py4j").setLevel(logging.CRITICAL + 1)
        self._parameters = GatewayParameters(address=HOST, port=port, auth_token=token)
        self._idle: deque[GatewayConnection] = deque()
        self._closed = False

    def call(self, method: str, argument: str, patience: float) -> str:
        """Return what a method answers (blocking). Raises LinkError, or InternalError when the bridge knows no such call."""
        connection = self._take(patience)
        part = protocol.get_command_part(argument)
        command = f"{protocol.CALL_COMMAND_NAME}{protocol.ENTRY_POINT_OBJECT_ID}\n{method}\n{part}{protocol.END_COMMAND_PART}"
        try:
            answer = connection.send_command(command)
        except Py4JNetworkError as error:
            connection.close(reset=True)
            late = _is_late(error)
            raise LinkError("no answer in time" if late else "the connection broke", sent=True, late=late) from error
        return self._read(connection, answer)

    def _read(self, connection: GatewayConnection, answer: str) -> str:
        try:
            value: object = protocol.get_return_value(answer, None)
        except Py4JError as error:
            connection.close()
            raise InternalError(
                "the bridge refuses a call", advice="Install the same version of metaledger and metaledger-fabric."
            ) from error
        if not isinstance(value, str):
            connection.close()
            raise InternalError("the bridge answers with something that is no text")
        self._idle.append(connection)
        if self._closed:
            self.close()
        return value

    def _take(self, patience: float) -> GatewayConnection:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect(patience)
        connection.socket.settimeout(patience)
        return connection

    def _connect(self, patience: float) -> GatewayConnection:
        connection = GatewayConnection(self._parameters)
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.socket.settimeout(patience)
        try:
            connection.start()
        except Py4JError as error:
            quiet_close(getattr(connection, "stream", None))  # there is one when the token was not answered any more
            connection.socket.close()
            raise LinkError("no connection", sent=False, late=_is_late(error)) from error
        return connection

    def close(self) -> None:
        """Close the connections, those in use when their calls end. Idempotent."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    @property
    def idle(self) -> int:
        """Return how many connections wait for a call."""
        return len(self._idle)


def _is_late(error: BaseException | None) -> bool:
    """Tell whether an error of py4j's comes from a time that was up: it wraps what happened, once or twice."""
    while error is not None and not isinstance(error, TimeoutError):
        error = getattr(error, "cause", None)
    return error is not None
