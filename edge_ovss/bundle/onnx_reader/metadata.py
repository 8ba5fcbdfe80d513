"""The facts stand twice in a bundle, in the manifest and in the ONNX file; they must be the same.

The ONNX file carries them as `metadata_props`: JSON values under `edge_ovss.*`, and three plain
keys for other tools. A key that is missing there is no contradiction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NoReturn

from edge_ovss._strict_parsing import DocumentError, parse_json
from edge_ovss.bundle.manifest import Manifest
from edge_ovss.bundle.words.section import OpenInfo
from edge_ovss.errors import BundleError
from edge_ovss.vocabulary import Vocabulary

PREFIX = "edge_ovss."

# Written by the program that made the graph; calibration makes a new manifest around it.
_OF_THE_EXPORT = ("tool", "created", "version", "parity", "versions", "files", "reference", "graph")
# Sections to which the manifest adds what was measured or chosen later.
_GROWING = ("templates", "rejection", "unknown", "precision")


def check_metadata(metadata: Mapping[str, str], manifest: Manifest, vocabulary: Vocabulary) -> None:
    """Compare the metadata of the ONNX file with the manifest and the vocabulary.

    Args:
        metadata: Of the ONNX file.
        manifest: Of the bundle; its `rejection` is that of this graph.
        vocabulary: Of the bundle.

    Raises:
        BundleError: They contradict each other; the message names both values.
    """
    facts = _facts(manifest, vocabulary)
    for key, text in metadata.items():
        name = key.removeprefix(PREFIX)
        if key.startswith(PREFIX) and name not in _OF_THE_EXPORT and name in facts:
            _compare(key, name, _decode(key, text), facts[name])
    plain = {
        "names": {str(index): name for index, name in enumerate(vocabulary.outputs)},
        "imgsz": [manifest.picture.height, manifest.picture.width],
    }
    for key in plain.keys() & metadata.keys():
        _compare(key, key, _decode(key, metadata[key]), plain[key])


def _facts(manifest: Manifest, vocabulary: Vocabulary) -> dict[str, object]:
    facts = dict(manifest.document)
    if manifest.open is not None:
        facts["open"] = sizes_of(manifest.open)
    facts["names"] = list(vocabulary.outputs)
    facts["output_map"] = list(vocabulary.output_map)
    rejection = manifest.rejection
    slots = None if rejection.slots is None else list(rejection.slots)
    facts["rejection"] = {"mode": rejection.mode, "topk": rejection.topk, "slots": slots}
    return facts


def sizes_of(info: OpenInfo) -> dict[str, object]:
    """Return what a graph itself says of its room for words."""
    return {key: getattr(info, key) for key in ("places", "least", "prompts", "width")}


def _decode(key: str, text: str) -> object:
    try:
        value: object = parse_json(text)
    except DocumentError as err:
        message = f"The metadata '{key}' of the graph is not JSON: {err}."
        raise BundleError(message, hint="Export it again.") from err
    return value


def _compare(key: str, name: str, given: object, expected: object) -> None:
    """Compare two JSON values."""
    if isinstance(given, dict) and isinstance(expected, dict):
        parts = given.keys() if name in _GROWING else given.keys() | expected.keys()
        for part in sorted(parts):
            _compare(key, f"{name}.{part}", given.get(part), expected.get(part))
    elif not _same(given, expected):
        _refuse(key, name, given, expected)


def _same(given: object, expected: object) -> bool:
    """Say whether two JSON values are equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(given, list) and isinstance(expected, list):
        return len(given) == len(expected) and all(map(_same, given, expected))
    if isinstance(given, bool) or isinstance(expected, bool):
        return given is expected
    return given == expected


def _refuse(key: str, name: str, given: object, expected: object) -> NoReturn:
    message = (
        f"The metadata '{key}' of the graph says {_short(given)} for '{name}'; "
        f"the bundle says {_short(expected)}."
    )
    raise BundleError(message, hint="One of them was changed; export it again.")


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:80]}…"
