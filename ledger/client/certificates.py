"""Certificates that a member asks its network's CA for: the first one at a join, others in time, or when one is to be replaced."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from auth.pairs import replace_pair
from auth.pki import common_name, encode_tls_key, hosts_of, load_chain, make_request, new_tls_key
from auth.succession import is_under
from ledger.client.transport import parse_object
from ledger.core.errors import FormatError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.client.place import Place
    from ledger.client.transport import Transport
    from ledger.home.home import Home

REQUEST_TYPE = "application/pkcs10"


async def obtain_certificate(transport: Transport, home: Home, name: str, hosts: Sequence[str]) -> int:
    """Get a certificate with a new TLS key and put both into the home; return when it ends.

    A server of this home takes it up by itself. Raises what the master's refusal says.
    """
    key = await asyncio.to_thread(new_tls_key)
    reply = await transport.post("/v1/certificates", make_request(key, name, list(hosts)), REQUEST_TYPE)
    chain = parse_object(reply.body).get("certificate")
    if not isinstance(chain, str):
        raise FormatError("the server's answer holds no certificate")
    leaf = load_chain(chain.encode())[0]
    if leaf.public_key() != key.public_key():
        raise FormatError("the server's certificate is of another key")
    await asyncio.to_thread(replace_pair, home.certificate_file, home.certificate_key_file, chain.encode(), encode_tls_key(key))
    return int(leaf.not_valid_after_utc.timestamp())


async def renew_certificate(place: Place, more: Sequence[str] = ()) -> int:
    """Replace the home's certificate by a new one for the same hosts and `more`; return when it ends. NotFoundError without one."""
    name, hosts = await asyncio.to_thread(present_names, place.home)
    async with await asyncio.to_thread(place.transport) as transport:
        return await obtain_certificate(transport, place.home, name, list(dict.fromkeys([*hosts, *more])))


def present_names(home: Home) -> tuple[str, tuple[str, ...]]:
    """Return the common name and the hosts of the home's certificate (blocking). NotFoundError without one."""
    try:
        leaf = load_chain(home.certificate_file.read_bytes())[0]
    except FileNotFoundError as error:
        raise NotFoundError(f"{home.path} has no certificate", advice="Homes that joined, and the master's, have one.") from error
    return common_name(leaf.subject), hosts_of(leaf.extensions)


def is_due(home: Home, now: float) -> bool:
    """Tell whether the home's certificate wants renewal (blocking): two thirds of its life are over, or another CA followed its own."""
    chain = home.certificate_file.read_bytes()
    leaf = load_chain(chain)[0]
    start, end = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
    return now >= start + (end - start) * 2 / 3 or (home.ca_file.exists() and not is_under(chain, home.ca_file.read_bytes()))
