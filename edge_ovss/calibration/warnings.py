"""What a calibration goes on in spite of, told through Python's own warnings."""

from __future__ import annotations

import warnings


class CalibrationWarning(UserWarning):
    """Something the user should know that is no reason to stop."""


def caution(text: str) -> None:
    """Warn; the same sentence of the same line is shown once."""
    warnings.warn(text, CalibrationWarning, stacklevel=3)
