"""Frozen dataclasses to JSON values and back, for what a replica stores beside its entries.

Types known: dataclasses, tuples of one type, str, int, bool, bytes (UTF-8 text in JSON), string enums, and `X | None`.
What is read must have exactly the fields that were written, but those marked `LATER`, which older programs did not write.
Anything else raises CorruptError.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from enum import StrEnum
from types import MappingProxyType, NoneType, UnionType
from typing import TYPE_CHECKING, TypeVar, cast, get_args, get_origin, get_type_hints

from ledger.core.errors import CorruptError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.core.canonical import JSON

Stored = TypeVar("Stored")
LATER: Mapping[str, bool] = MappingProxyType({"later": True})


def write(value: object) -> str:
    """Return `value`, a dataclass, as JSON text."""
    return json.dumps(_pack(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def read(kind: type[Stored], text: str) -> Stored:
    """Return the dataclass `kind` that `write` made into `text`. CorruptError otherwise."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorruptError("the stored trust state is not JSON") from error
    return cast("Stored", _unpack(kind, value))


def _pack(value: object) -> JSON:
    if is_dataclass(value):
        return {one.name: _pack(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, tuple):
        return [_pack(one) for one in value]
    if isinstance(value, bytes):
        return value.decode()
    return cast("JSON", value)


def _unpack(kind: object, value: JSON) -> object:
    if isinstance(kind, UnionType):
        inner = next(one for one in get_args(kind) if one is not NoneType)
        return None if value is None else _unpack(inner, value)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise _corrupt(kind, value)
        return tuple(_unpack(get_args(kind)[0], one) for one in value)
    if is_dataclass(kind) and isinstance(kind, type):
        return _unpack_fields(kind, value)
    return _unpack_scalar(kind, value)


def _unpack_fields(kind: type, value: JSON) -> object:
    hints = get_type_hints(kind)
    later = {one.name for one in fields(kind) if one.metadata == LATER}
    if not isinstance(value, dict) or not set(hints) - later <= set(value) <= set(hints):
        raise _corrupt(kind, value)
    return kind(**{name: _unpack(hints[name], one) for name, one in value.items()})


def _unpack_scalar(kind: object, value: JSON) -> object:
    if kind is bytes and isinstance(value, str):
        return value.encode(errors="surrogatepass")
    if isinstance(kind, type) and issubclass(kind, StrEnum) and value in list(kind):
        return kind(value)
    if type(value) is not kind:
        raise _corrupt(kind, value)
    return value


def _corrupt(kind: object, value: object) -> CorruptError:
    return CorruptError(f"the stored trust state holds {str(value)[:80]!r} where {kind} belongs")
