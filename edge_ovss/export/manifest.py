"""The manifest of an exported bundle; most of it is stored in the ONNX file as well."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version

from edge_ovss._machine import package_versions
from edge_ovss._version import VERSION
from edge_ovss.bundle.contract import labels_dtype
from edge_ovss.bundle.json_fields import as_json
from edge_ovss.bundle.manifest import DATA_FILE, GRAPH_FILE, VOCABULARY_FILE, Manifest, now
from edge_ovss.bundle.onnx_reader.metadata import sizes_of
from edge_ovss.bundle.reference import reference_info
from edge_ovss.bundle.rejection import Rejection
from edge_ovss.bundle.sections import (
    CPU,
    GraphInfo,
    ModelInfo,
    OutputSpec,
    Precision,
    ScoresSize,
    TemplatesInfo,
    TextTowerInfo,
    VocabularyInfo,
)
from edge_ovss.bundle.unknown import UnknownInfo
from edge_ovss.export.family import LoadedModel
from edge_ovss.export.graph_files import OPSET
from edge_ovss.export.parity_check import FrameCheck
from edge_ovss.export.ties import ties_of
from edge_ovss.vocabulary import TextEmbeddings, Vocabulary
from edge_ovss.vocabulary.embeddings import TOWER_WEIGHTS

_PACKAGES = ("torch", "open_clip_torch", "timm", "onnx", "onnxscript")
_IN_THE_GRAPH = (
    "schema",
    "tool",
    "model",
    "licenses",
    "vocabulary",
    "templates",
    "text_tower",
    "picture",
    "output",
    "rejection",
    "unknown",
    "precision",
)
# The thresholds of a bundle may be changed; what they are compared with may not.
_OF_THE_MEASURE = ("measure", "range")


def describe(
    loaded: LoadedModel,
    *,
    rejection: Rejection,
    outputs: tuple[str, ...],
    unknown: UnknownInfo | None = None,
) -> Manifest:
    """Return the manifest of a new float32 bundle, without files and without measurements."""
    spec, vocabulary, embeddings = loaded.model.spec, loaded.vocabulary, loaded.embeddings
    height, width = loaded.size
    return Manifest(
        model=ModelInfo(spec.family, spec.name, loaded.model.origin),
        licenses=loaded.model.licenses,
        vocabulary=VocabularyInfo(
            file=VOCABULARY_FILE,
            name=vocabulary.name,
            sha256=vocabulary.sha256,
            categories=len(vocabulary),
            outputs=len(vocabulary.outputs),
        ),
        templates=TemplatesInfo(
            spec.templates_name, len(spec.templates), embeddings.templates_sha256
        ),
        text_tower=TextTowerInfo(embeddings.text_tower, embeddings.text_tower_sha256),
        rounded_words=_rounded_words(embeddings),
        picture=replace(spec.picture, height=height, width=width, **loaded.family.picture(spec)),
        output=OutputSpec(
            labels_dtype=labels_dtype(loaded.outputs),
            outputs=outputs,
            scores=_scores_size(loaded) if "scores" in outputs else None,
            stated_answer=loaded.answer,
        ),
        rejection=rejection,
        unknown=unknown or UnknownInfo(),
        open=loaded.open_info(rejection),
        precision_facts=Precision("fp32"),
        graph=GraphInfo(
            GRAPH_FILE,
            (DATA_FILE,),
            OPSET,
            made_for=None if loaded.made_for == CPU else loaded.made_for,
        ),
        created=now(),
        reference=reference_info("fp32"),
        parity={},
        versions={},
        files={},
    )


def _rounded_words(embeddings: TextEmbeddings) -> dict[str, str] | None:
    if embeddings.tower_weights == TOWER_WEIGHTS[0]:
        return None
    return dict.fromkeys(embeddings.prompts, embeddings.tower_weights)


def _scores_size(loaded: LoadedModel) -> ScoresSize:
    """Return the fixed size of the scores; 0 and 0 where it is the frame's."""
    if loaded.family.scores_at_frame:
        return ScoresSize(0, 0)
    height, width = loaded.size
    return ScoresSize(height // 4, width // 4)


def with_measurements(manifest: Manifest, parity: Sequence[FrameCheck]) -> Manifest:
    """Return the manifest with what the comparison with torch gave, and what it ran on."""
    return replace(
        manifest,
        created=now(),
        parity={
            "against": "torch",
            "frames": [frame.to_json() for frame in parity],
            "ties": [pair.to_json() for pair in ties_of(parity)],
        },
        versions={
            "edge-ovss": VERSION,
            "python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
            "onnxruntime": package_versions()["onnxruntime"] or "?",  # or onnxruntime-gpu
            "numpy": version("numpy"),
        },
    )


def graph_metadata(manifest: Manifest, vocabulary: Vocabulary) -> dict[str, str]:
    """Return the ONNX file's `metadata_props`: JSON values under `edge_ovss.*`.

    The plain keys `names`, `imgsz` and `task` are for other tools.
    """
    document = manifest.to_json()
    if manifest.unknown is not None:
        section = as_json(manifest.unknown)
        document["unknown"] = {key: section[key] for key in _OF_THE_MEASURE}
    if manifest.open is not None:  # its words are no part of the graph
        document["open"] = sizes_of(manifest.open)
        del document["vocabulary"]
    keys = (key for key in (*_IN_THE_GRAPH, "open") if key in document)
    facts = {f"edge_ovss.{key}": json.dumps(document[key]) for key in keys}
    return {
        "edge_ovss.version": VERSION,
        **facts,
        **({} if manifest.open is not None else _names(vocabulary)),
        "imgsz": json.dumps([manifest.picture.height, manifest.picture.width]),
        "task": "segment",
    }


def _names(vocabulary: Vocabulary) -> dict[str, str]:
    return {
        "edge_ovss.names": json.dumps(list(vocabulary.outputs)),
        "edge_ovss.output_map": json.dumps(list(vocabulary.output_map)),
        "names": json.dumps(dict(enumerate(vocabulary.outputs))),
    }
