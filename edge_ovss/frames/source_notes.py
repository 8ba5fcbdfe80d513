"""What is worth knowing of pictures and is no error, told through Python's own warnings."""

from __future__ import annotations

import warnings


class SourceNote(UserWarning):
    """Something that was left out or is shown otherwise, as may be just what a user means."""


class PictureWarning(UserWarning):
    """A picture that can be read, but probably not as it was meant."""


def note(text: str) -> None:
    """Tell something that is no reason to worry."""
    warnings.warn(text, SourceNote, stacklevel=3)


def warn_of_picture(text: str) -> None:
    """Warn of a picture."""
    warnings.warn(text, PictureWarning, stacklevel=3)
