"""Whoever holds the token may call ten methods, and has nothing else of the JVM."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped] # it has no types
import pytest
from py4j import protocol
from py4j.java_gateway import GatewayParameters, JavaGateway
from py4j.protocol import Py4JAuthenticationError, Py4JError

from blockchain_adapters.hyperledger.link import Link
from ledger.core.errors import InternalError
from tests.support.java_bridge import bridge_jar, java

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

pytestmark = pytest.mark.java


@dataclass
class Raw:
    """A bridge process, and the token that its parent gave it."""

    process: subprocess.Popen[bytes]
    port: int
    token: str

    def stock(self, token: str | None = None) -> JavaGateway:
        """Return py4j's own client of it."""
        return JavaGateway(gateway_parameters=GatewayParameters(port=self.port, auth_token=token or self.token, read_timeout=10))

    def said(self, command: str) -> str:
        """Return the first line that it answers to a raw command of an authenticated connection; empty: it closed the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as one:
            stream = one.makefile("rwb")
            stream.write(f"A\n{self.token}\n".encode())
            stream.flush()
            assert stream.readline() == b"!yv\n"
            stream.write(command.encode())
            stream.flush()
            try:
                return stream.readline().decode()
            except ConnectionResetError:
                return ""

    def answers(self) -> bool:
        """Tell whether it still serves."""
        link = Link(self.port, self.token)
        try:
            return json.loads(link.call("ping", "{}", 10)) == {"ok": True} and self.process.poll() is None
        finally:
            link.close()


@contextmanager
def running() -> Iterator[Raw]:
    process = subprocess.Popen([java(), "-jar", bridge_jar()], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    token = secrets.token_urlsafe(32)
    process.stdin.write(f"{token}\n".encode())
    process.stdin.flush()
    try:
        yield Raw(process, json.loads(process.stdout.readline())["port"], token)
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(10)


@pytest.fixture(scope="module")
def raw() -> Iterator[Raw]:
    with running() as one:
        yield one


COMMANDS = {
    name: value
    for name, value in vars(protocol).items()
    if name.endswith("_COMMAND_NAME")
    and "SUB" not in name
    and name not in {"CALL_COMMAND_NAME", "CALL_PROXY_COMMAND_NAME", "AUTH_COMMAND_NAME"}
}


def test_the_commands_of_py4j_are_known() -> None:
    assert len(COMMANDS) >= 12


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_other_command_is_refused(raw: Raw, name: str) -> None:
    said = raw.said(COMMANDS[name].rstrip("\n") + "\nt\nc\nsjava.lang.Runtime\ne\n")
    assert said == "" or protocol.is_error(said.lstrip("!").rstrip("\n"))[0]
    assert raw.answers()


CALLS = {
    "another object": "c\no1\nping\ns{}\ne\n",
    "the server": "c\nGATEWAY_SERVER\nshutdown\ne\n",
    "a static method": "c\nz:java.lang.System\nexit\ni0\ne\n",
    "the class": "c\nt\ngetClass\ne\n",
    "the map of methods": "c\nt\nmethods\ne\n",
    "a method that is none": "c\nt\nPing\ns{}\ne\n",
    "no argument": "c\nt\nping\ne\n",
    "two arguments": "c\nt\nping\ns{}\ns{}\ne\n",
    "a number": "c\nt\nping\ni1\ne\n",
    "bytes": "c\nt\nping\njAAAA\ne\n",
    "a reference": "c\nt\nping\nrt\ne\n",
    "a proxy": "c\nt\nping\nfp0;java.lang.Runnable\ne\n",
    "nothing": "c\nt\nping\nn\ne\n",
    "an empty line": "c\nt\nping\n\ne\n",
}


@pytest.mark.parametrize("what", sorted(CALLS))
def test_every_other_call_is_refused(raw: Raw, what: str) -> None:
    said = raw.said(CALLS[what])
    assert said == "" or protocol.is_error(said.lstrip("!").rstrip("\n"))[0]
    assert raw.answers()


def test_what_follows_a_refused_command_is_not_read_as_another(raw: Raw) -> None:
    with socket.create_connection(("127.0.0.1", raw.port), timeout=10) as one:
        one.sendall(f"A\n{raw.token}\n".encode() + b"j\nc\nt\nping\ns{}\ne\nc\nt\nping\ns{}\ne\n")
        received = bytearray()
        try:
            while piece := one.recv(65_536):
                received += piece
        except ConnectionResetError:
            pass
    assert b'"ok"' not in received.replace(b"\\", b"")


STOCK: dict[str, Callable[[JavaGateway], Any]] = {
    "jvm": lambda gateway: gateway.jvm.java.lang.System.getProperty("user.name"),
    "constructor": lambda gateway: gateway.jvm.java.util.ArrayList(),
    "runtime": lambda gateway: gateway.jvm.java.lang.Runtime.getRuntime().exec("true"),
    "class": lambda gateway: gateway.entry_point.getClass(),
    "array": lambda gateway: gateway.new_array(gateway.jvm.int, 1),
    "help": lambda gateway: gateway.help(gateway.entry_point, display=False),
    "field": lambda gateway: protocol.get_return_value(
        gateway._gateway_client.send_command("f\ng\nt\nmethods\ne\n"), gateway._gateway_client
    ),
}


@pytest.mark.parametrize("what", sorted(STOCK))
def test_py4js_own_client_gets_nothing_else(raw: Raw, what: str) -> None:
    gateway = raw.stock()
    with pytest.raises((Py4JError, TypeError)):
        STOCK[what](gateway)
    gateway.close()
    assert raw.answers()


@pytest.mark.parametrize("token", ["wrong" * 8, ""])
def test_another_token_is_refused(raw: Raw, token: str) -> None:
    client = JavaGateway(gateway_parameters=GatewayParameters(port=raw.port, auth_token=token or None, read_timeout=10))
    with pytest.raises((Py4JAuthenticationError, Py4JError)):
        client.entry_point.ping("{}")
    client.close()
    assert raw.answers()


def test_a_call_that_is_unknown_is_an_error_of_ours(raw: Raw) -> None:
    link = Link(raw.port, raw.token)
    with pytest.raises(InternalError, match="refuses"):
        link.call("shutdown", "{}", 10)
    assert link.idle == 0


def test_it_listens_on_loopback_alone(raw: Raw) -> None:
    found = [one.laddr for one in psutil.Process(raw.process.pid).net_connections("inet") if one.status == psutil.CONN_LISTEN]
    assert [(one.ip.removeprefix("::ffff:"), one.port) for one in found] == [("127.0.0.1", raw.port)]


def test_the_token_is_nowhere_to_be_read(raw: Raw) -> None:
    process = psutil.Process(raw.process.pid)
    assert raw.token not in " ".join(process.cmdline())
    assert raw.token not in "".join(process.environ().values())


@pytest.mark.parametrize("line", [b"", b"short\n"])
def test_without_a_token_it_does_not_start(line: bytes) -> None:
    done = subprocess.run([java(), "-jar", bridge_jar()], input=line, capture_output=True, timeout=20, check=False)
    assert done.returncode == 2
    assert b"token" in done.stderr
    assert done.stdout == b""


def test_text_of_any_kind_comes_back_as_it_went(raw: Raw) -> None:
    link = Link(raw.port, raw.token)
    odd = 'a\\n\r\n\t"\u2028ü🙂\x00'
    answer = json.loads(link.call("lookup", json.dumps({"connection": odd}, ensure_ascii=False), 10))
    assert answer == {"ok": False, "code": "closed", "message": "there is no such connection"}
    for wrong in ("", "{", "[]", "null", '"x"', "{}", '{"connection":1}', '{"connection":null}'):
        assert json.loads(link.call("lookup", wrong, 10))["code"] in {"request", "failed"}, wrong
    link.close()
