"""What a bundle says about itself: `manifest.json` as frozen dataclasses (docs/bundle.md).

Keys that this version does not know are kept in `Manifest.document` and otherwise ignored, so
that a later writer of the same schema may say more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_ovss.bundle.contract import MOST_OUTPUTS, labels_dtype
from edge_ovss.bundle.json_fields import Fields
from edge_ovss.errors import BundleError
from edge_ovss.vocabulary.words import MOST_CATEGORIES

SCHEMA = 1
GRAPH_OUTPUTS = ("labels", "alive", "counts", "confidence", "scores")
REQUIRED_OUTPUTS = GRAPH_OUTPUTS[:3]
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
STAGES = 3
"""How many rejections there are, and so how many `counts` and slots."""

MOST_FILES = 4096
_MOST_PIXELS = 65535  # of one side of the network's picture
_MOST_FRAME_BYTES = 1 << 20  # of memory, for one pixel


PUBLISHED_ANSWER = "published"


@dataclass(frozen=True)
class WeightsInfo:
    """Where the weights came from; `file` is a name without a folder."""

    source: str
    file: str | None
    sha256: str | None
    seed: int | None


@dataclass(frozen=True)
class ModelInfo:
    """The model that was exported."""

    family: str
    name: str
    weights: WeightsInfo


@dataclass(frozen=True)
class VocabularyInfo:
    """The vocabulary that is frozen into the graph; `sha256` is of its words, not of the file."""

    file: str
    name: str
    sha256: str
    categories: int
    outputs: int


@dataclass(frozen=True)
class TemplatesInfo:
    """The sentences around the words."""

    name: str
    count: int
    sha256: str


@dataclass(frozen=True)
class PictureSpec:
    """How a frame becomes the network's input: `height` and `width` are the network's."""

    input: str
    dtype: str
    layout: str
    channels: str
    height: int
    width: int
    keep_aspect: bool
    interpolation: str
    coordinates: str
    antialias: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    in_graph: bool


@dataclass(frozen=True)
class OutputSpec:
    """What the graph answers.

    Attributes:
        labels_dtype: "uint8" or "uint16".
        outputs: Names of the graph's outputs.
        scores_size: (height, width) of the scores, if exported; (0, 0) is the frame's size.
        answer: How labels are made of what the network says; "published" as its authors do.
    """

    labels_dtype: str
    outputs: tuple[str, ...]
    scores_size: tuple[int, int] | None
    answer: str = PUBLISHED_ANSWER


@dataclass(frozen=True)
class Rejection:
    """How categories are dropped on the way; `slots` has one number per rejection."""

    mode: str
    topk: int | None
    slots: tuple[int, ...] | None


@dataclass(frozen=True)
class SpareInfo:
    """An ONNX file that differs from the first in having more `slots`."""

    file: str
    slots: tuple[int, ...]


@dataclass(frozen=True)
class GraphInfo:
    """The ONNX file and the files that hold its large tensors; those of `spare` are the same.

    `frame_bytes` is what one pixel of a frame takes of memory; older bundles do not say.
    """

    file: str
    external_data: tuple[str, ...]
    opset: int
    spare: SpareInfo | None = None
    frame_bytes: int | None = None


@dataclass(frozen=True)
class ReferenceInfo:
    """A frame and the answer that the exporter saw, for `selftest`.

    `lead` says how sure its labels are; bundles of versions before it have none.
    """

    frame: str
    labels: str
    alive: str
    counts: str
    min_label_agreement: float
    lead: str | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The four files, or five, as paths in the bundle."""
        always = (self.frame, self.labels, self.alive, self.counts)
        return always if self.lead is None else (*always, self.lead)


@dataclass(frozen=True)
class FileEntry:
    """What a file of the bundle must be."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """The whole of `manifest.json`.

    Attributes:
        tool: Name and version of the program that wrote the bundle, as "edge-ovss 0.1.0".
        created: When, in ISO 8601.
        licenses: Licence by subject ("code", "weights", "text_encoder", "training_data").
        precision: Name of the precision, such as "fp32".
        parity: What was measured at export, free in form.
        versions: Version by name of what the export ran on.
        files: Entry by path in the bundle (POSIX, relative).
        document: The JSON document as it was read, with the keys that are unknown here.
    """

    schema: int
    tool: str
    created: str
    model: ModelInfo
    licenses: Mapping[str, object]
    vocabulary: VocabularyInfo
    templates: TemplatesInfo
    picture: PictureSpec
    output: OutputSpec
    rejection: Rejection
    precision: str
    graph: GraphInfo
    reference: ReferenceInfo
    parity: Mapping[str, object]
    versions: Mapping[str, object]
    files: Mapping[str, FileEntry]
    document: Mapping[str, object]

    @classmethod
    def from_json(cls, document: object) -> Manifest:
        """Read a manifest.

        Raises:
            BundleError: The schema is newer than this version knows, or a field is missing or of
                the wrong type.
        """
        if not isinstance(document, dict):
            message = "manifest.json is not a JSON object."
            raise BundleError(message, hint="Export it again.")
        fields = Fields(document)
        schema = _schema(fields)
        tool = fields.section("tool")
        manifest = cls(
            schema=schema,
            tool=f"{tool.text('name')} {tool.text('version')}",
            created=fields.text("created"),
            model=_model(fields.section("model")),
            licenses=fields.mapping("licenses"),
            vocabulary=_vocabulary(fields.section("vocabulary")),
            templates=_templates(fields.section("templates")),
            picture=_picture(fields.section("picture")),
            output=_output(fields.section("output")),
            rejection=_rejection(fields.section("rejection")),
            precision=fields.section("precision").choice("name", PRECISIONS),
            graph=_graph(fields.section("graph")),
            reference=_reference(fields.section("reference")),
            parity=fields.mapping("parity"),
            versions=fields.mapping("versions"),
            files=_files(fields.section("files")),
            document=document,
        )
        _check_labels(manifest, fields)
        return manifest


def _schema(fields: Fields) -> int:
    schema = fields.integer("schema", minimum=1)
    if schema > SCHEMA:
        message = f"The bundle has schema {schema}; this version of edge-ovss reads up to {SCHEMA}."
        raise BundleError(message, hint="Upgrade: pip install --upgrade edge-ovss")
    return schema


def _model(fields: Fields) -> ModelInfo:
    weights = fields.section("weights")
    info = WeightsInfo(
        source=weights.text("source"),
        file=weights.optional_text("file"),
        sha256=weights.optional_text("sha256"),
        seed=weights.optional_integer("seed"),
    )
    return ModelInfo(family=fields.text("family"), name=fields.text("name"), weights=info)


def _vocabulary(fields: Fields) -> VocabularyInfo:
    return VocabularyInfo(
        file=fields.text("file"),
        name=fields.text("name"),
        sha256=fields.text("sha256"),
        categories=fields.integer("categories", minimum=1, maximum=MOST_CATEGORIES),
        outputs=fields.integer("outputs", minimum=1, maximum=MOST_OUTPUTS),
    )


def _templates(fields: Fields) -> TemplatesInfo:
    return TemplatesInfo(
        name=fields.text("name"), count=fields.integer("count"), sha256=fields.text("sha256")
    )


def _picture(fields: Fields) -> PictureSpec:
    std = fields.triple("std")
    if min(std) <= 0.0:
        fields.refuse("std", "three numbers above 0")
    return PictureSpec(
        input=fields.choice("input", ("frame",)),
        dtype=fields.choice("dtype", ("uint8",)),
        layout=fields.choice("layout", ("HWC",)),
        channels=fields.choice("channels", ("RGB",)),
        height=fields.integer("height", minimum=1, maximum=_MOST_PIXELS),
        width=fields.integer("width", minimum=1, maximum=_MOST_PIXELS),
        keep_aspect=fields.flag("keep_aspect"),
        interpolation=fields.text("interpolation"),
        coordinates=fields.text("coordinates"),
        antialias=fields.flag("antialias"),
        mean=fields.triple("mean"),
        std=std,
        in_graph=fields.flag("in_graph"),
    )


def _output(fields: Fields) -> OutputSpec:
    outputs = fields.texts("outputs")
    known = set(outputs) <= set(GRAPH_OUTPUTS) and len(set(outputs)) == len(outputs)
    if not known or not set(REQUIRED_OUTPUTS) <= set(outputs):
        expected = "labels, alive, counts and, if exported, confidence and scores, each once"
        fields.refuse("outputs", expected)
    scores = fields.optional_section("scores")
    size = None
    if scores is not None:
        height, width = (scores.integer(k, maximum=_MOST_PIXELS) for k in ("height", "width"))
        size = height, width
    if (scores is None) == ("scores" in outputs):
        fields.refuse("scores", "height and width if 'scores' is exported, else null")
    return OutputSpec(
        labels_dtype=fields.choice("labels_dtype", ("uint8", "uint16")),
        outputs=outputs,
        scores_size=size,
        answer=fields.optional_text("answer") or PUBLISHED_ANSWER,
    )


def _rejection(fields: Fields) -> Rejection:
    mode = fields.choice("mode", ("slots", "dynamic", "none"))
    slots = None if fields.values.get("slots") is None else _slots(fields)
    if mode == "slots" and not slots:
        fields.refuse("slots", f"a list of {STAGES} integers, for mode 'slots'")
    if mode != "slots" and slots is not None:
        fields.refuse("slots", f"null, for mode '{mode}'")
    topk = fields.optional_integer("topk", minimum=1, maximum=MOST_OUTPUTS)
    return Rejection(mode=mode, topk=topk, slots=slots)


def _slots(fields: Fields) -> tuple[int, ...]:
    """Return the places after each rejection."""
    slots = fields.integers("slots")
    fits = len(slots) == STAGES and all(1 <= slot <= MOST_OUTPUTS for slot in slots)
    if not fits or list(slots) != sorted(slots, reverse=True):
        fields.refuse("slots", f"{STAGES} integers from 1 to {MOST_OUTPUTS} that do not grow")
    return slots


def _check_labels(manifest: Manifest, fields: Fields) -> None:
    """Labels of eight bits cannot name more outputs than they have values."""
    outputs, dtype = manifest.vocabulary.outputs, manifest.output.labels_dtype
    if dtype == "uint8" != labels_dtype(outputs):
        output = fields.section("output")
        output.refuse("labels_dtype", f"'uint16' for the {outputs} outputs of the vocabulary")


def _graph(fields: Fields) -> GraphInfo:
    spare = fields.optional_section("spare")
    return GraphInfo(
        file=fields.text("file"),
        external_data=fields.texts("external_data"),
        opset=fields.integer("opset", minimum=1),
        spare=None if spare is None else SpareInfo(spare.text("file"), _slots(spare)),
        frame_bytes=fields.optional_integer("frame_bytes", minimum=1, maximum=_MOST_FRAME_BYTES),
    )


def _reference(fields: Fields) -> ReferenceInfo:
    agreement = fields.number("min_label_agreement")
    if not 0.0 < agreement <= 1.0:
        fields.refuse("min_label_agreement", "a number above 0 and at most 1")
    return ReferenceInfo(
        frame=fields.text("frame"),
        labels=fields.text("labels"),
        alive=fields.text("alive"),
        counts=fields.text("counts"),
        min_label_agreement=agreement,
        lead=fields.optional_text("lead"),
    )


def _files(fields: Fields) -> dict[str, FileEntry]:
    if len(fields.values) > MOST_FILES:
        message = f"manifest.json lists {len(fields.values)} files; expected at most {MOST_FILES}."
        raise BundleError(message, hint="Do not use it unless you know who wrote it.")
    entries = {}
    for name in fields.values:
        entry = fields.section(name)
        entries[name] = FileEntry(sha256=entry.text("sha256"), bytes=entry.integer("bytes"))
    return entries
