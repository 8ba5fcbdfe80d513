"""Notes and warnings about sources and images, issued as Python warnings."""

from __future__ import annotations

import warnings


class SourceNote(UserWarning):
    """Something was skipped or is shown differently, which may be what the user wants."""


class PictureWarning(UserWarning):
    """An image can be read, but probably not as intended."""


def note(text: str) -> None:
    """Report something harmless."""
    warnings.warn(text, SourceNote, stacklevel=3)


def warn_of_picture(text: str) -> None:
    """Warn about an image."""
    warnings.warn(text, PictureWarning, stacklevel=3)
