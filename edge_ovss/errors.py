"""The errors of this package, each with a message, a hint and an exit status.

Every error that a user can cause is an `EdgeOvssError`. Its message says what was given and what
was expected; its hint says what to do. Any other exception that escapes is a bug in this project.
"""

from __future__ import annotations


class EdgeOvssError(Exception):
    """Base class of all errors of this package; `status` is the exit status of the command line.

    Args:
        message: What was given and what was expected, as one or two sentences.
        hint: What to do about it; printed on a line of its own.
    """

    status = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\nHint: {self.hint}"


class UsageError(EdgeOvssError):
    """An option or argument is wrong, or two of them contradict each other (status 2)."""

    status = 2


class MissingDependencyError(EdgeOvssError):
    """A package, library or device that this step needs is missing (status 3)."""

    status = 3


class InputError(EdgeOvssError):
    """A file, a folder or a value given by the user cannot be used (status 4)."""

    status = 4


class VocabularyError(InputError):
    """A vocabulary or an embedding pack cannot be used."""


class CheckpointError(InputError):
    """A checkpoint is damaged, or belongs to another model."""


class PictureError(InputError):
    """An image or frame cannot be read or has the wrong form."""


class VideoError(InputError):
    """A video is cut off or damaged; its readable frames were returned before."""


class OutputError(InputError):
    """A result cannot be written to the requested place (permission, space, existing file)."""


class ArtifactError(EdgeOvssError):
    """A bundle, graph or engine is damaged, too new, or made for something else (status 5)."""

    status = 5


class BundleError(ArtifactError):
    """A bundle is damaged, incomplete, or has a schema that this version does not know."""


class GateError(EdgeOvssError):
    """A comparison or a gate failed (status 6)."""

    status = 6


class ParityError(GateError):
    """Two results that must agree do not."""
