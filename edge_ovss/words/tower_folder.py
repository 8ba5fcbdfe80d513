"""What is in the folder of a text tower, read as an untrusted file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from edge_ovss._files import sha256_of_file
from edge_ovss._strict_parsing import DocumentError, read_json
from edge_ovss.bundle.json_fields import Fields
from edge_ovss.bundle.reader import resolve_inside
from edge_ovss.errors import ArtifactError
from edge_ovss.vocabulary import TextEmbeddings
from edge_ovss.vocabulary.embeddings import TOWER_WEIGHTS

MANIFEST = "manifest.json"
KIND = "text-tower"
SCHEMA = 1
GRAPH, TOKENIZER, WEIGHTS = "tower.onnx", "tokenizer.json", "tower.weights"

SYNONYMS = ("average", "first", "whole")
_MANIFEST_LIMIT = 4 << 20
# The text tower of the largest CLIP takes 2.8 GB in float32.
_LIMITS = {GRAPH: 64 << 20, TOKENIZER: 16 << 20, WEIGHTS: 8 << 30}
_LONGEST_CONTEXT = 512
_WIDEST = 1 << 14
_COPY_AGAIN = "Copy the text tower again, or write it: edge-ovss vocab tower MODEL --out DIR."


@dataclass(frozen=True)
class TowerError:
    """By how much embeddings differ from torch's, which has weights in float32.

    Attributes:
        vocabulary: Name of the list whose words were encoded.
        words: How many.
        largest: Relative L2 distance of a word's embedding under a template, the largest.
        mean: The same in the mean over words and templates.
    """

    vocabulary: str
    words: int
    largest: float
    mean: float

    @classmethod
    def from_json(cls, fields: Fields | None) -> TowerError | None:
        """Read the section; None where weights are not rounded, and nothing was measured.

        Raises:
            BundleError: A field is missing or is not what is expected.
        """
        if fields is None:
            return None
        return cls(
            vocabulary=fields.text("vocabulary"),
            words=fields.integer("words", minimum=1),
            largest=fields.number("largest"),
            mean=fields.number("mean"),
        )


@dataclass(frozen=True)
class TowerInfo:
    """Facts about a text tower.

    Attributes:
        model: Name of the model that it belongs to.
        sha256: `text_tower_sha256` of the embeddings that it makes.
        context_length: L, the most tokens of a prompt.
        width: D, the size of an embedding.
        synonyms: What is encoded of a class: "average" of all synonyms, the "first", or its text
            as a "whole".
        templates: Prompt templates with "{}" for the class name, in order.
        templates_name: Name of this list.
        precision: "fp32", or what the weights are rounded to: "fp16" or "int8".
        bytes: Size of its files.
        error: What the rounding costs; None where nothing is rounded.
    """

    model: str
    sha256: str
    context_length: int
    width: int
    synonyms: str
    templates: tuple[str, ...]
    templates_name: str
    precision: str
    bytes: int
    error: TowerError | None = None

    @property
    def summary(self) -> str:
        """The weights, the size and the error in one line for people."""
        text, error = f"{self.precision} weights, {self.bytes / 1e6:.1f} MB", self.error
        if error is None:
            return text
        return (
            f"{text}; embeddings differ from torch's by {error.largest:.1e} at most, "
            f"{error.mean:.1e} in the mean ({error.words} words of '{error.vocabulary}')"
        )

    def to_json(self) -> dict[str, object]:
        """The weights, the size and the error as a JSON object."""
        error = None if self.error is None else asdict(self.error)
        return {"weights": self.precision, "bytes": self.bytes, "error": error}

    @property
    def templates_sha256(self) -> str:
        """Hash of the templates, as embeddings state it."""
        return TextEmbeddings.templates_digest(self.templates)

    @classmethod
    def from_json(cls, fields: Fields) -> TowerInfo:
        """Read the manifest.

        Raises:
            BundleError: A field is missing or is not what is expected.
        """
        fields.choice("kind", (KIND,))
        fields.integer("schema", minimum=SCHEMA, maximum=SCHEMA)
        templates = fields.texts("templates")
        if not templates or any("{}" not in each for each in templates):
            fields.refuse("templates", "a list of texts with {}")
        return cls(
            model=fields.text("model"),
            sha256=fields.text("sha256"),
            context_length=fields.integer("context_length", minimum=3, maximum=_LONGEST_CONTEXT),
            width=fields.integer("width", minimum=1, maximum=_WIDEST),
            synonyms=fields.choice("synonyms", SYNONYMS),
            templates=templates,
            templates_name=fields.text("templates_name"),
            precision=fields.choice("precision", TOWER_WEIGHTS),
            bytes=sum(
                fields.section("files").section(name).integer("bytes", minimum=0)
                for name in _LIMITS
            ),
            error=TowerError.from_json(fields.optional_section("error")),
        )


def read_tower(folder: Path) -> TowerInfo:
    """Read the manifest of a text tower, and verify its files.

    Raises:
        ArtifactError: There is none, or a file is missing, damaged or too large.
        BundleError: A field of the manifest is not what is expected.
    """
    info, fields = _read_manifest(folder)
    for name, limit in _LIMITS.items():
        _verify(folder, name, fields.section("files").section(name), limit)
    return info


def read_facts(folder: Path) -> TowerInfo:
    """Read the manifest of a text tower, and nothing else of it; raises as `read_tower`."""
    return _read_manifest(folder)[0]


def _read_manifest(folder: Path) -> tuple[TowerInfo, Fields]:
    path = folder / MANIFEST
    try:
        fields = Fields(read_json(path, limit=_MANIFEST_LIMIT), MANIFEST)
    except OSError as err:
        message = f"There is no text tower at '{folder}': {err.strerror or err}."
        raise ArtifactError(message, hint=_COPY_AGAIN) from err
    except DocumentError as err:
        message = f"'{path}' is not the manifest of a text tower: {err}."
        raise ArtifactError(message, hint=_COPY_AGAIN) from err
    return TowerInfo.from_json(fields), fields


def _verify(folder: Path, name: str, entry: Fields, limit: int) -> None:
    size, digest = entry.integer("bytes"), entry.text("sha256")
    path = resolve_inside(folder, name)
    try:
        found = path.stat().st_size
        whole = found == size and size <= limit and sha256_of_file(path) == digest
    except OSError as err:
        message = f"'{name}' of the text tower cannot be read: {err.strerror or err}."
        raise ArtifactError(message, hint=_COPY_AGAIN) from err
    if not whole:
        message = f"'{name}' of the text tower '{folder}' is damaged or has been changed."
        raise ArtifactError(message, hint=_COPY_AGAIN)
