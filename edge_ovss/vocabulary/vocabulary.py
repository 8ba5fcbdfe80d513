"""The vocabulary: immutable, checked at construction, and hashed over what changes results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy
import numpy.typing

from edge_ovss.errors import VocabularyError
from edge_ovss.vocabulary.words import (
    MOST_CATEGORIES,
    MOST_CHARACTERS,
    MOST_SYNONYMS,
    check_count,
    check_name,
    digest,
    first_repetition,
    refuse_repetition,
    short,
)

MOST_OUTPUTS = 65535


@dataclass(frozen=True)
class Category:
    """One row of the text embeddings.

    Attributes:
        text: The published string, untouched.
        synonyms: The names that are encoded, each used as it is.
        color: Red, green, blue (0 to 255) of its output.
        output: Value in the label map, in [0, K).
        place: Its place in its source ("line 3"), for messages; empty if unknown.
    """

    text: str
    synonyms: tuple[str, ...]
    color: tuple[int, int, int]
    output: int
    place: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        check_name(self.text, "The name of a category")
        if not isinstance(self.synonyms, tuple) or not self.synonyms:
            found = short(self.synonyms)
            message = f"Category {short(self.text)} has the synonyms {found}; expected names."
            raise VocabularyError(message)
        check_count(len(self.synonyms), MOST_SYNONYMS, f"synonyms of {short(self.text)}")
        for position, synonym in enumerate(self.synonyms):
            check_name(synonym, f"Synonym {position} of {short(self.text)}", most=MOST_CHARACTERS)
        check_color(self.color, f"category {short(self.text)}")
        if type(self.output) is not int or self.output < 0:
            found = short(self.output)
            message = f"Category {short(self.text)} has the output {found}; expected 0 or more."
            raise VocabularyError(message)

    @property
    def display(self) -> str:
        """A short name for legends: the first synonym without surrounding white space."""
        return self.synonyms[0].strip()


@dataclass(frozen=True)
class Vocabulary:
    """Ordered categories and the outputs they map to.

    Attributes:
        name: Name in messages and bundles; not part of the hash.
        categories: The T categories in index order.
        outputs: The K names of the label values: `outputs[labels[y, x]]` is the class at (y, x).
        background: The output that means "none of these", if there is one.

    Raises:
        VocabularyError: No categories, two equal categories or output names, an output that is
            out of range or that no category maps to, two colors for one output, more than
            65535 outputs or 131072 categories.
    """

    name: str
    categories: tuple[Category, ...]
    outputs: tuple[str, ...]
    background: int | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "The name of the vocabulary")
        _check_categories(self.categories)
        _check_outputs(self.categories, self.outputs)
        if self.background is not None and not (
            type(self.background) is int and 0 <= self.background < len(self.outputs)
        ):
            message = f"The background is output {short(self.background)} of {len(self.outputs)}."
            raise VocabularyError(message)

    @classmethod
    def load(
        cls, spec: str | os.PathLike[str], *, background: str | os.PathLike[str] | None = None
    ) -> Vocabulary:
        """Load a built-in list, a file (.txt, .toml, .json) or an inline list ("road, car").

        Args:
            spec: A built-in name (see `builtin_names`), a path, or names separated by commas.
            background: Further words in one of these forms, or a single one: together they are one
                more output, the background.

        Raises:
            VocabularyError: There is no such list, the file cannot be read, class names cannot be
                used, or there is a background already.
        """
        # The readers make this class, so they are imported when they are used.
        from edge_ovss.vocabulary.sources import add_background, load_vocabulary

        vocabulary = load_vocabulary(spec)
        return vocabulary if background is None else add_background(vocabulary, background)

    @classmethod
    def from_names(cls, names: Sequence[str], *, name: str = "custom") -> Vocabulary:
        """Make a vocabulary of published strings; one output for each, with generated colors.

        Args:
            names: Strings in index order; ", " (or ";") separates synonyms.
            name: Name of the vocabulary.

        Raises:
            VocabularyError: No names, an empty one, or two equal ones.
        """
        from edge_ovss.vocabulary.assembly import assemble, entries_from_names

        return assemble(entries_from_names(names), name=name)

    @classmethod
    def from_json(cls, document: object) -> Vocabulary:
        """Make the vocabulary that `to_json` described.

        Raises:
            VocabularyError: Unknown schema, missing or unknown keys, wrong types, or a wrong hash.
        """
        from edge_ovss.vocabulary.document import vocabulary_from_json

        return vocabulary_from_json(document)

    def to_json(self) -> dict[str, object]:
        """Return everything as a JSON object; `from_json` gives an equal vocabulary back."""
        from edge_ovss.vocabulary.document import vocabulary_to_json

        return vocabulary_to_json(self)

    def __len__(self) -> int:
        """Return T, the number of categories."""
        return len(self.categories)

    @property
    def prompts(self) -> tuple[str, ...]:
        """The T published strings in index order, untouched."""
        return tuple(category.text for category in self.categories)

    @property
    def output_map(self) -> tuple[int, ...]:
        """For each of the T categories its output, in [0, K)."""
        return tuple(category.output for category in self.categories)

    @cached_property
    def display_names(self) -> tuple[str, ...]:
        """K short names for legends, in the order of the outputs."""
        own = {category.text: category.display for category in self.categories}
        return tuple(own.get(output, output.strip()) for output in self.outputs)

    @cached_property
    def palette(self) -> numpy.typing.NDArray[numpy.uint8]:
        """Colors of the outputs: uint8 [K, 3], RGB, read-only."""
        colors = numpy.zeros((len(self.outputs), 3), dtype=numpy.uint8)
        for category in self.categories:
            colors[category.output] = category.color
        colors.setflags(write=False)
        return colors

    @cached_property
    def sha256(self) -> str:
        """Hash of everything that changes results: names, synonyms, outputs, background.

        The name and the colors are not part of it.
        """
        rows = [[each.text, list(each.synonyms), each.output] for each in self.categories]
        return digest(
            {"background": self.background, "categories": rows, "outputs": list(self.outputs)}
        )


def check_color(color: object, what: str) -> None:
    """Check that `color` is three integers in 0 to 255.

    Raises:
        VocabularyError: It is not; the message names `what`.
    """
    if (
        not isinstance(color, tuple)
        or len(color) != 3
        or not all(type(value) is int and 0 <= value <= 255 for value in color)
    ):
        shown = list(color) if isinstance(color, tuple) else color
        message = (
            f"The color of {what} is {short(shown)}; expected [red, green, blue], each 0 to 255."
        )
        raise VocabularyError(message)


def _check_categories(categories: tuple[Category, ...]) -> None:
    if not isinstance(categories, tuple) or not categories:
        message = "The vocabulary has no categories; expected at least one."
        raise VocabularyError(message)
    check_count(len(categories), MOST_CATEGORIES, "categories")
    texts = [category.text for category in categories]
    repeated = first_repetition(texts) or first_repetition([c.synonyms for c in categories])
    if repeated:
        first, second = repeated
        refuse_repetition(f"category {first}", f"Category {second}", texts[second])


def _check_outputs(categories: tuple[Category, ...], outputs: tuple[str, ...]) -> None:
    if len(outputs) > MOST_OUTPUTS:
        message = f"The vocabulary has {len(outputs)} outputs; at most {MOST_OUTPUTS} fit a label."
        raise VocabularyError(message)
    for index, output in enumerate(outputs):
        check_name(output, f"The name of output {index}")
    repeated = first_repetition(outputs)
    if repeated:
        first, second = repeated
        refuse_repetition(f"output {first}", f"Output {second}", outputs[second])
    colors: dict[int, tuple[int, int, int]] = {}
    for index, category in enumerate(categories):
        if category.output >= len(outputs):
            message = (
                f"Category {index} ({short(category.text)}) maps to output {category.output}, "
                f"but there are {len(outputs)} outputs."
            )
            raise VocabularyError(message)
        if colors.setdefault(category.output, category.color) != category.color:
            message = (
                f"Output {category.output} ({short(outputs[category.output])}) has two colors: "
                f"{list(colors[category.output])} and {list(category.color)}."
            )
            raise VocabularyError(message, hint="A color belongs to an output: give one.")
    unused = [output for index, output in enumerate(outputs) if index not in colors]
    if unused:
        message = (
            f"No category maps to the output {short(unused[0])}, so it can never be predicted."
        )
        raise VocabularyError(message, hint="Remove the output, or map a category to it.")
