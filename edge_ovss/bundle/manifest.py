"""What a bundle says about itself: `manifest.json`, read and written typed (docs/bundle.md).

Keys that this version does not know are kept, and written again: a later version of the same
schema may say more.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from edge_ovss.bundle.contract import GraphContract, labels_dtype
from edge_ovss.bundle.json_fields import HIDDEN, Fields, as_json
from edge_ovss.bundle.rejection import Rejection
from edge_ovss.bundle.sections import (
    FileEntry,
    GraphInfo,
    ImageSpec,
    ModelInfo,
    OtherGraph,
    OutputSpec,
    Precision,
    ReferenceInfo,
    TemplatesInfo,
    TextTowerInfo,
    ToolInfo,
    VocabularyInfo,
    read_files,
    read_graph,
    read_model,
    read_output,
    read_reference,
    read_rounded_words,
    read_templates,
    read_text_tower,
    read_vocabulary,
)
from edge_ovss.bundle.unknown import Thresholds, UnknownInfo, read_unknown
from edge_ovss.bundle.words.section import OpenInfo, read_open
from edge_ovss.errors import BundleError

SCHEMA = 1
GRAPH_FILE = "model.onnx"
DATA_FILE = "model.onnx.data"
VOCABULARY_FILE = "vocabulary.json"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The whole of `manifest.json`; the fields stand in the order of the file.

    Attributes:
        schema: Version of the format.
        tool: Program that wrote the bundle.
        model: Model that was exported.
        licenses: License by subject ("code", "weights", "text_encoder", "training_data").
        vocabulary: Vocabulary in the graph.
        templates: Prompt templates.
        text_tower: What encoded the prompts; older bundles do not say.
        rounded_words: By the text of a word, to what the text tower's weights were rounded that
            encoded it, "fp16" or "int8"; None where all were encoded in float32.
        picture: How a frame becomes the network's input.
        output: What the graph gives.
        rejection: How categories are dropped on the way.
        unknown: When a label is "unknown"; None where the graph has no thresholds.
        open: Room for words that are inputs of the graph; None where they are frozen into it.
        precision_facts: Precision and what it costs.
        graph: ONNX files.
        created: When, in ISO 8601.
        reference: Files of the reference answer.
        parity: What was measured at export, free in form.
        versions: Version by name of what the export ran on.
        files: Entry by path in the bundle (POSIX, relative).
        document: The JSON document as it was read; {} where none was.
        others: The keys of it that stand in no field.
    """

    schema: int = SCHEMA
    tool: ToolInfo = field(default_factory=ToolInfo)
    model: ModelInfo
    licenses: Mapping[str, object]
    vocabulary: VocabularyInfo
    templates: TemplatesInfo
    text_tower: TextTowerInfo | None = None
    rounded_words: Mapping[str, str] | None = None
    picture: ImageSpec
    output: OutputSpec
    rejection: Rejection
    unknown: UnknownInfo | None = None
    open: OpenInfo | None = None
    precision_facts: Precision = field(metadata={"key": "precision"})
    graph: GraphInfo
    created: str
    reference: ReferenceInfo
    parity: Mapping[str, object]
    versions: Mapping[str, object]
    files: Mapping[str, FileEntry]
    document: Mapping[str, object] = field(default_factory=dict, repr=False, metadata=HIDDEN)
    others: Mapping[str, object] = field(default_factory=dict, repr=False, metadata=HIDDEN)

    @property
    def thresholds(self) -> Thresholds | None:
        """Below which a label is unknown, float32 [K]; None where the graph has no thresholds."""
        return None if self.unknown is None else self.unknown.of(self.vocabulary.outputs)

    @property
    def precision(self) -> str:
        """Name of the precision, such as "fp32"."""
        return self.precision_facts.name

    @property
    def contract(self) -> GraphContract:
        """Inputs and outputs of the graph."""
        rejection, categories = self.rejection, self.vocabulary.categories
        places: int | str = categories if rejection.mode == "none" else "n"
        if self.open is not None:
            places = self.open.side
        return GraphContract.of(
            self.output.outputs,
            labels=self.output.labels_dtype,
            names=self.vocabulary.outputs,
            categories=categories,
            places=rejection.limit[-1] if rejection.limit else places,
            scores_size=self.output.scores_size,
            thresholds=self.thresholds,
            words=self.open,
        )

    @property
    def fits_small(self) -> bool:
        """Whether there is a small graph, and every word has a slot in it at every rejection."""
        return self.vocabulary.categories <= self.graph.small_room

    def with_other_graph(self, what: str) -> Manifest | None:
        """Return the manifest with its "spare" or "small" graph as its graph; None without one.

        Raises:
            BundleError: The rejection has no slots.
        """
        info: OtherGraph | None = getattr(self.graph, what)
        if info is None:
            return None
        mode = self.rejection.mode
        if mode != "slots":
            message = (
                f"The bundle's rejection is '{mode}', but its {what} graph has slots {info.slots}."
            )
            raise BundleError(message, hint="Export the bundle again.")
        words = self.open
        if words is not None:  # it cannot choose more than there are
            words = replace(words, least=min(words.places, info.slots[0]))
        graph = replace(self.graph, file=info.file, spare=None, small=None)
        return replace(
            self, graph=graph, rejection=replace(self.rejection, slots=info.slots), open=words
        )

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
        schema, tool = _schema(fields), fields.section("tool")
        manifest = cls(
            schema=schema,
            tool=ToolInfo(tool.text("name"), tool.text("version")),
            created=fields.text("created"),
            model=read_model(fields.section("model")),
            licenses=fields.mapping("licenses"),
            vocabulary=read_vocabulary(fields.section("vocabulary")),
            templates=read_templates(fields.section("templates")),
            text_tower=read_text_tower(fields.values.get("text_tower")),
            rounded_words=read_rounded_words(fields.values.get("rounded_words")),
            picture=ImageSpec.from_json(fields.section("picture")),
            output=read_output(fields.section("output")),
            rejection=Rejection.from_json(fields.section("rejection")),
            unknown=read_unknown(
                fields.optional_section("unknown"), fields.section("vocabulary").integer("outputs")
            ),
            open=read_open(fields.optional_section("open")),
            precision_facts=Precision.from_json(fields.section("precision")),
            graph=read_graph(fields.section("graph")),
            reference=read_reference(fields.section("reference")),
            parity=fields.mapping("parity"),
            versions=fields.mapping("versions"),
            files=read_files(fields.section("files")),
            document=document,
        )
        _check_labels(manifest, fields)
        _check_room(manifest, fields)
        return replace(manifest, others=_others(document, as_json(manifest)))

    def to_json(self) -> dict[str, object]:
        """Return the document; in every section, keys that no field knows come last."""
        return _joined(as_json(self), self.others)


def now() -> str:
    """Return the time as `Manifest.created` has it."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _others(document: Mapping[str, object], known: Mapping[str, object]) -> dict[str, object]:
    """Return what a document has and `known` has not, section by section."""
    found: dict[str, object] = {}
    for key, value in document.items():
        ours = known.get(key)
        if key not in known:
            found[key] = value
        elif isinstance(ours, dict) and isinstance(value, dict):
            rest = _others(value, ours)
            found |= {key: rest} if rest else {}
    return found


def _joined(known: dict[str, object], others: Mapping[str, object]) -> dict[str, object]:
    """Return an object with the other keys behind its own, section by section."""
    found = dict(known)
    for key, value in others.items():
        ours = found.get(key)
        if isinstance(ours, dict) and isinstance(value, dict):
            value = _joined(ours, value)
        found[key] = value
    return found


def _schema(fields: Fields) -> int:
    schema = fields.integer("schema", minimum=1)
    if schema > SCHEMA:
        message = f"The bundle has schema {schema}; this version of edge-ovss reads up to {SCHEMA}."
        raise BundleError(message, hint="Upgrade: pip install --upgrade edge-ovss")
    return schema


def _check_labels(manifest: Manifest, fields: Fields) -> None:
    """Labels of eight bits cannot name more outputs than they have values."""
    outputs, dtype = manifest.vocabulary.outputs, manifest.output.labels_dtype
    if dtype == "uint8" != labels_dtype(outputs):
        output = fields.section("output")
        output.refuse("labels_dtype", f"'uint16' for the {outputs} outputs of the vocabulary")


def _check_room(manifest: Manifest, fields: Fields) -> None:
    """There are places for all words, and labels can name as many outputs as there are places."""
    if manifest.open is None:
        return
    places, words = manifest.open.places, manifest.vocabulary
    if max(words.categories, words.outputs) > places:
        section = fields.section("vocabulary")
        section.refuse("categories", f"at most {places}, as 'open.places' says")
    if manifest.unknown is not None and "confidence" not in manifest.output.outputs:
        fields.section("output").refuse("outputs", "'confidence' too, for an open graph")
    if manifest.output.labels_dtype != labels_dtype(places):
        output = fields.section("output")
        output.refuse("labels_dtype", f"'{labels_dtype(places)}' for {places} places")
