from __future__ import annotations

from ledger.core import errors
from ledger.core.errors import EXIT_CODE, HTTP_STATUS, BusyError, FormatError, LedgerError, SizeMismatchError, error_class, lookup


def every_class(cls: type[LedgerError] = LedgerError) -> list[type[LedgerError]]:
    return [cls, *(found for child in cls.__subclasses__() for found in every_class(child))]


def test_codes_are_unique_and_found_again() -> None:
    classes = [cls for cls in every_class() if cls.__module__ == errors.__name__]
    assert len({cls.code for cls in classes}) == len(classes)
    assert all(error_class(cls.code) is cls for cls in classes)


def test_unknown_code_is_the_base_error() -> None:
    assert error_class("no-such-code") is LedgerError


def test_tables_answer_by_nearest_ancestor() -> None:
    assert lookup(HTTP_STATUS, FormatError("x")) == 400
    assert lookup(HTTP_STATUS, SizeMismatchError) == 412
    assert lookup(EXIT_CODE, SizeMismatchError("x")) == 5
    assert all(lookup(EXIT_CODE, cls) in range(1, 6) for cls in every_class())


def test_every_class_is_drawn_in_the_tree_and_gives_advice() -> None:
    assert errors.__doc__ is not None
    for cls in every_class():
        if cls.__module__ == errors.__name__:
            assert cls.__name__ in errors.__doc__
            assert cls.advice.endswith(".")


def test_busy_carries_its_delay_into_the_context() -> None:
    error = BusyError("full", retry_after=2.5)
    assert error.retry_after == 2.5
    assert error.context == {"retry_after": 2.5}


def test_advice_can_be_replaced() -> None:
    assert FormatError("x", advice="Do y.").hint == "Do y."
    assert FormatError("x").hint == FormatError.advice
