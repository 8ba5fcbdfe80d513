"""Why a program did not run, in one line of its own words."""

from __future__ import annotations

import traceback


def reason_of(err: BaseException) -> str:
    """Return the first line of an error that says something.

    Our own errors have a message and a hint. Others can end in pages of advice, and OpenVINO's
    begin with places in its source, each a line that ends with a colon.
    """
    if hasattr(err, "message"):
        return " ".join(str(err.message).split())
    text = traceback.format_exception_only(err)[-1]
    return telling_line(text.splitlines()) or type(err).__name__


def telling_line(lines: list[str]) -> str:
    """Return the first line that does not announce the next one; "" if all are empty."""
    found = [line.strip() for line in lines if line.strip()]
    return next((line for line in found if not line.endswith(":")), "".join(found[:1]))
