"""The sections of `manifest.json`, and how they are read (docs/bundle.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_ovss._version import VERSION
from edge_ovss.bundle.contract import GRAPH_OUTPUTS, MOST_OUTPUTS, REQUIRED_OUTPUTS
from edge_ovss.bundle.json_fields import HIDDEN, NULL, Fields
from edge_ovss.bundle.rejection import read_slots
from edge_ovss.errors import BundleError
from edge_ovss.vocabulary.embeddings import TOWER_WEIGHTS
from edge_ovss.vocabulary.words import MOST_CATEGORIES

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
PUBLISHED_ANSWER = "published"
MOST_FILES = 4096
# What a graph is cut for; the labels are the same.
DEVICES = CPU, GPU = ("cpu", "gpu")
_MOST_FRAME_BYTES = 1 << 20  # of memory, for one pixel
_MOST_PIXELS = 65535  # of one side of the network's image or of the scores

Facts = Mapping[str, object]


@dataclass(frozen=True)
class ToolInfo:
    """The program that wrote the bundle."""

    name: str = "edge-ovss"
    version: str = VERSION

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class WeightsInfo:
    """Where the weights of a model came from.

    Attributes:
        source: "checkpoint", "random", "embedded" or "clip".
        file: Name of the file, without its folder.
        sha256: SHA-256 of the file.
        seed: Seed of random weights.
    """

    source: str
    file: str | None = field(default=None, metadata=NULL)
    sha256: str | None = field(default=None, metadata=NULL)
    seed: int | None = field(default=None, metadata=NULL)


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
    """The sentences around the class names; `compression` tells what a template rank cost."""

    name: str
    count: int
    sha256: str
    compression: Mapping[str, object] | None = None


@dataclass(frozen=True)
class TextTowerInfo:
    """What encoded the prompts; `sha256` is of its weights."""

    name: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """How a frame becomes the input of the network; of a bundle, all of it is inside the graph.

    Attributes:
        input: Name of the graph's input.
        dtype: Of the input.
        layout: Order of its axes after the batch.
        channels: Order of its colors.
        height: Height of the network's image in pixels, a multiple of `multiple`.
        width: Width of the network's image in pixels, a multiple of `multiple`.
        keep_aspect: Fit the frame and pad, instead of stretching it.
        interpolation: How the frame is resized.
        coordinates: Where pixel centers are when it is.
        antialias: Whether more than the next pixels count when it gets smaller.
        mean: Mean per channel (R, G, B), in 0…255.
        std: Standard deviation per channel (R, G, B), in 0…255.
        in_graph: Whether all this happens inside the graph.
        fit: In words, how the frame is fitted where its aspect is kept.
        multiple: Height and width are multiples of this; known of models, not of bundles.
    """

    input: str = "frame"
    dtype: str = "uint8"
    layout: str = "HWC"
    channels: str = "RGB"
    height: int
    width: int
    keep_aspect: bool = False
    interpolation: str = "bilinear"
    coordinates: str = "half_pixel"
    antialias: bool = False
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    in_graph: bool = True
    fit: Mapping[str, object] | None = None
    multiple: int = field(default=32, metadata=HIDDEN)

    @classmethod
    def from_json(cls, fields: Fields) -> ImageSpec:
        """Read the manifest's section.

        Raises:
            BundleError: A field is missing or of the wrong type.
        """
        std = fields.triple("std")
        if min(std) <= 0.0:
            fields.refuse("std", "three numbers above 0")
        fit = fields.values.get("fit")
        return cls(
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
            fit=fit if isinstance(fit, dict) else None,
        )


@dataclass(frozen=True)
class ScoresSize:
    """Height and width of the scores; 0 and 0 where they have the frame's."""

    height: int
    width: int


@dataclass(frozen=True)
class OutputSpec:
    """What the graph gives.

    Attributes:
        labels_dtype: "uint8" or "uint16".
        outputs: Names of the graph's outputs.
        scores: Their size, if they are exported.
        stated_answer: `answer`; None in older bundles.
    """

    labels_dtype: str
    outputs: tuple[str, ...]
    scores: ScoresSize | None
    stated_answer: str | None = field(default=None, metadata={"key": "answer"})

    @property
    def scores_size(self) -> tuple[int, int] | None:
        """(height, width) of the scores, if exported; (0, 0) is the frame's size."""
        return None if self.scores is None else (self.scores.height, self.scores.width)

    @property
    def answer(self) -> str:
        """How labels are made of what the network says; "published" as its authors do."""
        return self.stated_answer or PUBLISHED_ANSWER


@dataclass(frozen=True)
class OtherGraph:
    """An ONNX file that differs from the first in its `slots` only."""

    file: str
    slots: tuple[int, ...]


@dataclass(frozen=True)
class GraphInfo:
    """The ONNX file and the files that hold its large tensors; those of the others are the same.

    `spare` has more slots, for frames that overflow the first graph. `small` has fewer, and runs
    where there are no more words than its fewest slots, so that nothing can overflow. `frame_bytes`
    is what one pixel of a frame takes of memory; older bundles do not say. `made_for` is the device
    whose memory the graph is cut for, of `DEVICES`; None for the first, a CPU.
    """

    file: str
    external_data: tuple[str, ...]
    opset: int
    frame_bytes: int | None = None
    spare: OtherGraph | None = None
    small: OtherGraph | None = None
    made_for: str | None = None

    @property
    def small_room(self) -> int:
        """The most words with which the small graph runs; 0 without one."""
        return 0 if self.small is None else min(self.small.slots)


@dataclass(frozen=True, kw_only=True)
class ReferenceInfo:
    """A frame and the outputs that the exporter saw for it, for `selftest`.

    `lead` says how sure its labels are; older bundles have none. `measure` is what thresholds of
    "unknown" are compared with; only graphs that take them have it.
    """

    frame: str
    labels: str
    alive: str
    counts: str
    lead: str | None = None
    measure: str | None = None
    min_label_agreement: float

    @property
    def files(self) -> tuple[str, ...]:
        """The four files, or up to six, as paths in the bundle."""
        always = (self.frame, self.labels, self.alive, self.counts)
        return (*always, *(name for name in (self.lead, self.measure) if name is not None))


@dataclass(frozen=True)
class FileEntry:
    """What a file of the bundle must be."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Precision:
    """The section `precision`. All but the name is there for people, and only if it was measured.

    Attributes:
        name: One of `PRECISIONS`; decides how strictly labels are compared.
        base: Float type of the layers that are not quantized.
        target: Runtime that an INT8 graph is made for: "tensorrt" or "cpu".
        calibration: Images that it was calibrated on, and the method.
        loss: What it costs against float32.
        islands: Nodes that stay float32 in FP16, by reason.
        half_nodes: How many nodes are FP16.
        casts: How many casts lead into and out of FP16.
        largest: Largest magnitudes that were seen, by tensor.
        quantized: Layers in INT8, by block.
        excluded: Layers that stay float, with the reason.
        ranges: Smallest and largest value of every quantized tensor.
        recipe: Blocks that stay float, and the file that repeats the choice.
        speed: Race against float32 on the CPU that made it.
        made_from: Hash of the graph that it was made from.
    """

    name: str
    base: str | None = None
    target: str | None = None
    calibration: Facts | None = None
    loss: Facts | None = None
    islands: Facts | None = None
    half_nodes: int | None = None
    casts: int | None = None
    largest: Facts | None = None
    quantized: Facts | None = None
    excluded: Facts | None = None
    ranges: Facts | None = None
    recipe: Facts | None = None
    speed: Facts | None = None
    made_from: Facts | None = None

    @classmethod
    def from_json(cls, fields: Fields) -> Precision:
        """Read the manifest's section; of what is for people, what has the right type.

        Raises:
            BundleError: There is no precision of that name.
        """
        kinds: dict[str, type] = {"base": str, "target": str, "half_nodes": int, "casts": int}
        known: dict[str, Any] = {
            key: value
            for key, value in fields.values.items()
            if key in cls.__dataclass_fields__ and isinstance(value, kinds.get(key, dict))
        }
        return cls(**{**known, "name": fields.choice("name", PRECISIONS)})


def read_model(fields: Fields) -> ModelInfo:
    """Read the section `model`."""
    weights = fields.section("weights")
    info = WeightsInfo(
        source=weights.text("source"),
        file=weights.optional_text("file"),
        sha256=weights.optional_text("sha256"),
        seed=weights.optional_integer("seed"),
    )
    return ModelInfo(family=fields.text("family"), name=fields.text("name"), weights=info)


def read_vocabulary(fields: Fields) -> VocabularyInfo:
    """Read the section `vocabulary`."""
    return VocabularyInfo(
        file=fields.text("file"),
        name=fields.text("name"),
        sha256=fields.text("sha256"),
        categories=fields.integer("categories", minimum=1, maximum=MOST_CATEGORIES),
        outputs=fields.integer("outputs", minimum=1, maximum=MOST_OUTPUTS),
    )


def read_templates(fields: Fields) -> TemplatesInfo:
    """Read the section `templates`."""
    compression = fields.values.get("compression")
    return TemplatesInfo(
        name=fields.text("name"),
        count=fields.integer("count"),
        sha256=fields.text("sha256"),
        compression=compression if isinstance(compression, dict) else None,
    )


def read_text_tower(value: object) -> TextTowerInfo | None:
    """Read the section `text_tower`; None where it is not as expected: nothing depends on it."""
    name, digest = (value.get(k) for k in ("name", "sha256")) if isinstance(value, dict) else (0, 0)
    both = isinstance(name, str) and isinstance(digest, str)
    return TextTowerInfo(str(name), str(digest)) if both else None


def read_rounded_words(value: object) -> Mapping[str, str] | None:
    """Read `rounded_words`; None where it is not as expected: nothing depends on it."""
    known = isinstance(value, dict) and all(each in TOWER_WEIGHTS for each in value.values())
    return dict(value) if isinstance(value, dict) and known else None


def read_output(fields: Fields) -> OutputSpec:
    """Read the section `output`."""
    outputs = fields.texts("outputs")
    known = set(outputs) <= set(GRAPH_OUTPUTS) and len(set(outputs)) == len(outputs)
    if not known or not set(REQUIRED_OUTPUTS) <= set(outputs):
        expected = "labels, alive, counts and, if exported, confidence and scores, each once"
        fields.refuse("outputs", expected)
    scores = fields.optional_section("scores")
    size = None
    if scores is not None:
        sides = (scores.integer(k, maximum=_MOST_PIXELS) for k in ("height", "width"))
        size = ScoresSize(*sides)
    if (scores is None) == ("scores" in outputs):
        fields.refuse("scores", "height and width if 'scores' is exported, else null")
    return OutputSpec(
        labels_dtype=fields.choice("labels_dtype", ("uint8", "uint16")),
        outputs=outputs,
        scores=size,
        stated_answer=fields.optional_text("answer"),
    )


def read_graph(fields: Fields) -> GraphInfo:
    """Read the section `graph`."""
    return GraphInfo(
        file=fields.text("file"),
        external_data=fields.texts("external_data"),
        opset=fields.integer("opset", minimum=1),
        frame_bytes=fields.optional_integer("frame_bytes", minimum=1, maximum=_MOST_FRAME_BYTES),
        spare=_read_other(fields.optional_section("spare")),
        small=_read_other(fields.optional_section("small")),
        made_for=None
        if fields.optional_text("made_for") is None
        else fields.choice("made_for", DEVICES),
    )


def _read_other(fields: Fields | None) -> OtherGraph | None:
    return None if fields is None else OtherGraph(fields.text("file"), read_slots(fields))


def read_reference(fields: Fields) -> ReferenceInfo:
    """Read the section `reference`."""
    agreement = fields.number("min_label_agreement")
    if not 0.0 < agreement <= 1.0:
        fields.refuse("min_label_agreement", "a number above 0 and at most 1")
    return ReferenceInfo(
        frame=fields.text("frame"),
        labels=fields.text("labels"),
        alive=fields.text("alive"),
        counts=fields.text("counts"),
        lead=fields.optional_text("lead"),
        measure=fields.optional_text("measure"),
        min_label_agreement=agreement,
    )


def read_files(fields: Fields) -> dict[str, FileEntry]:
    """Read the section `files`."""
    if len(fields.values) > MOST_FILES:
        message = f"manifest.json lists {len(fields.values)} files; expected at most {MOST_FILES}."
        raise BundleError(message, hint="Do not use it unless you know who wrote it.")
    entries = {}
    for name in fields.values:
        entry = fields.section(name)
        entries[name] = FileEntry(sha256=entry.text("sha256"), bytes=entry.integer("bytes"))
    return entries
