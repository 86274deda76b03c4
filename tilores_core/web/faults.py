"""Errors that are not of our tree: what may be logged of them."""

from __future__ import annotations


def bare(error: BaseException) -> BaseException:
    """The error as it is logged: its traceback names lines of code, its message may hold data and is left out."""
    return RuntimeError(type(error).__name__).with_traceback(error.__traceback__)
