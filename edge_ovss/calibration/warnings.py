"""Warnings that do not stop a calibration."""

from __future__ import annotations

import warnings


class CalibrationWarning(UserWarning):
    """Something the user should know, but no reason to stop."""


def caution(text: str) -> None:
    """Warn; a sentence from one place is shown once."""
    warnings.warn(text, CalibrationWarning, stacklevel=3)
