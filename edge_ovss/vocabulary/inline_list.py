"""Read a list on the command line: "road, car; automobile, person"."""

from __future__ import annotations

from edge_ovss.errors import VocabularyError
from edge_ovss.vocabulary.vocabulary import Vocabulary

_QUOTES = "\"'`\u2018\u2019\u201c\u201d"
_EXAMPLE = 'Write the names bare: --vocab "road, car; automobile, person".'


def inline_list(spec: str) -> Vocabulary:
    """Return the vocabulary of names separated by commas; white space around them is dropped.

    Raises:
        VocabularyError: Line ends, brackets or quotation marks, which belong in a file or in code;
            an empty name; or class names that cannot be used.
    """
    names = [item.strip() for item in spec.split(",")]
    if "\n" in spec or "\r" in spec:
        message = f"The list {_short(spec)} contains line ends; expected names separated by commas."
        raise VocabularyError(message, hint="Give the file with the lines, or use commas.")
    if names[0][:1] in ("[", "{"):
        message = f"The list {_short(spec)} begins with a bracket; expected names and commas."
        raise VocabularyError(message, hint=f"{_EXAMPLE} JSON belongs in a .json file.")
    for index, name in enumerate(names):
        if name[:1] in _QUOTES and name[:1]:
            message = f"Category {index} is {_short(name)}, which begins with a quotation mark."
            raise VocabularyError(message, hint=_EXAMPLE)
        if not name:
            message = f"Category {index} is '': empty, or nothing but white space."
            hint = "Remove the comma; a single category needs a file." if len(names) > 1 else None
            raise VocabularyError(message, hint=hint)
    return Vocabulary.from_names(names)


def _short(text: str) -> str:
    return repr(text if len(text) <= 64 else f"{text[:64]}…")
