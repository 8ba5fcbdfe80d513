"""Gather the measurements of a bundle: every eval, parity and bench in its reports folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_ovss._strict_parsing import DocumentError, read_json
from edge_ovss._version import VERSION
from edge_ovss.bundle.identity import answer_hash, is_of_graph
from edge_ovss.bundle.manifest import Manifest, now
from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.sections import PUBLISHED_ANSWER
from edge_ovss.errors import InputError
from edge_ovss.runtime.trt.engine_store import plan_hashes

Document = dict[str, Any]

_KINDS = ("eval", "parity", "bench", "tune")
_LARGEST = 64 << 20
RESULT, SCORES = "tune.json", "scores"
"""What `tune` writes: its table, and the folder with the evaluations of its candidates."""


@dataclass(frozen=True)
class Picture:
    """A row of example images of a comparison: files by kind, and a title."""

    title: str
    files: dict[str, Path]


@dataclass(frozen=True)
class ReportData:
    """The contents of a report.

    Attributes:
        bundle: The bundle that was measured.
        created: Time of the report, ISO 8601.
        evaluations: `eval.json` documents.
        comparisons: Results of `parity.json` documents, with the data set and environment.
        benches: `bench-*.json` documents.
        tunings: `tune.json` documents that have a candidate with this graph.
        pictures: Example images of the comparisons.
        strips: Frames before and after, of evaluations of videos.
        foreign: Files that were skipped because they belong to another graph or engine.
    """

    bundle: Bundle
    created: str
    evaluations: tuple[Document, ...] = ()
    comparisons: tuple[Document, ...] = ()
    benches: tuple[Document, ...] = ()
    pictures: tuple[Picture, ...] = ()
    foreign: tuple[str, ...] = field(default=())
    strips: tuple[Picture, ...] = ()
    tunings: tuple[Document, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing has been measured yet."""
        return not (self.evaluations or self.comparisons or self.benches or self.tunings)

    def environment(self) -> Document:
        """Return the environment of the first measurement, or {}."""
        for document in (*self.benches, *self.evaluations, *self.comparisons, *self.tunings):
            if document.get("environment"):
                found: Document = document["environment"]
                return found
        return {}

    def to_json(self) -> Document:
        """Return everything but the images as a JSON object."""
        return {
            "tool": f"edge-ovss {VERSION}",
            "created": self.created,
            "bundle": self.bundle.path.name,
            "graph_sha256": answer_hash(self.bundle),
            "manifest": dict(self.bundle.manifest.document),
            "evaluations": list(self.evaluations),
            "comparisons": list(self.comparisons),
            "benches": list(self.benches),
            "tunings": list(self.tunings),
            "left_out": list(self.foreign),
        }


def other_answer(manifest: Manifest) -> str:
    """Return ", answer 'fast', not the published one", or "" for the published one."""
    answer = manifest.output.answer
    return "" if answer == PUBLISHED_ANSWER else f", answer '{answer}', not the published one"


def gather(bundle: Bundle, extra: Sequence[str | Path] = ()) -> ReportData:
    """Read the measurements of a bundle.

    Args:
        bundle: The bundle; its folder `reports` is searched.
        extra: More files or folders, for measurements that were written elsewhere.

    Raises:
        InputError: A path in `extra` does not exist, or a file is not a measurement.
    """
    found: dict[str, list[Document]] = {kind: [] for kind in _KINDS}
    pictures: list[Picture] = []
    strips: list[Picture] = []
    foreign: list[str] = []
    for path in _files(bundle, extra):
        document = _read(path)
        if document.get("kind") not in _KINDS:
            continue
        kept = _own_parts(document, bundle)
        if not kept:
            foreign.append(path.name)
            continue
        found[document["kind"]] += kept
        strips += _strips(document, path.parent)
        pictures += _pictures(document, path.parent, {part.get("bundle") for part in kept})
    return ReportData(
        bundle=bundle,
        created=now(),
        evaluations=tuple(found["eval"]),
        comparisons=tuple(found["parity"]),
        benches=tuple(found["bench"]),
        pictures=tuple(pictures),
        foreign=tuple(foreign),
        strips=tuple(strips),
        tunings=tuple(found["tune"]),
    )


def _files(bundle: Bundle, extra: Sequence[str | Path]) -> Iterator[Path]:
    seen: set[Path] = set()
    for place in (bundle.path / "reports", *map(Path, extra)):
        if not place.exists():
            if place == bundle.path / "reports":
                continue
            message = f"There are no measurements at '{place}'."
            raise InputError(
                message, hint="Give a file or folder that eval, parity, bench or tune wrote."
            )
        for path in sorted(place.rglob("*.json")) if place.is_dir() else [place]:
            if path.resolve() not in seen and not _is_part_of_tuning(path, place):
                seen.add(path.resolve())
                yield path


def _is_part_of_tuning(path: Path, place: Path) -> bool:
    """Return whether a file belongs to a candidate of `tune`, whose table has its numbers."""
    inside = path.relative_to(place).parents if place.is_dir() else ()
    return any(
        folder.name == SCORES and (place / folder.parent / RESULT).is_file() for folder in inside
    )


def _read(path: Path) -> Document:
    try:
        document = read_json(path, limit=_LARGEST)
    except (OSError, DocumentError) as err:
        message = f"Measurement '{path}' cannot be read: {err}."
        raise InputError(message, hint="Measure again, or remove it.") from err
    return document if isinstance(document, dict) else {}


def _is_of_plans(bundle: Bundle, document: Document) -> bool:
    """Return whether the engines that a document was measured on are those of the bundle."""
    engines = document.get("engines")
    if not engines or not isinstance(engines, dict):
        return True
    present = plan_hashes(bundle, str(document.get("backend", "")))
    return all(present.get(name) == digest for name, digest in engines.items())


def _is_own(bundle: Bundle, document: Document) -> bool:
    return is_of_graph(bundle, document.get("graph_sha256")) and _is_of_plans(bundle, document)


def _measured(tuning: Document) -> list[Document]:
    """Return the graph and the engines of what `tune` measured on everything."""
    rows = [row for row in tuning.get("candidates", []) if row.get("measured_on_all")]
    rows = [row for row in rows if "graph_sha256" in row]
    return rows or [{"graph_sha256": graph} for graph in tuning.get("graphs", [])]


def _own_parts(document: Document, bundle: Bundle) -> list[Document]:
    """Return the parts of a document that were measured on this graph and these engines."""
    if document["kind"] == "tune":
        return [document] if any(_is_own(bundle, row) for row in _measured(document)) else []
    if document["kind"] != "parity":
        return [document] if _is_own(bundle, document) else []
    shared = {key: document[key] for key in ("dataset", "subset", "environment") if key in document}
    results = [
        result | {"own": is_of_graph(bundle, result.get("graph_sha256"))}
        for result in document.get("results", [])
    ]
    results = [one for one in results if not one["own"] or _is_of_plans(bundle, one)]
    # One run compares several precisions of a model; keep the others as rows for comparison.
    if not any(result["own"] for result in results):
        return []
    found = [shared | result for result in results]
    found[0]["gates"] = document.get("gates", [])  # they are of the whole run
    return found


def _pictures(document: Document, folder: Path, bundles: set[Any]) -> Iterator[Picture]:
    for example in document.get("examples", []):
        files = {kind: folder / str(name) for kind, name in example.get("files", {}).items()}
        inside = all(path.resolve().is_relative_to(folder.resolve()) for path in files.values())
        if example.get("bundle") in bundles and inside and all(p.is_file() for p in files.values()):
            share = 100 * float(example["label_agreement"])
            title = f"{example['name']}: {example['bundle']} on {example['backend']}, "
            yield Picture(f"{title}{share:.3f} % of the labels equal", files)


def _strips(document: Document, folder: Path) -> Iterator[Picture]:
    video = document.get("video")
    if document["kind"] != "eval" or not isinstance(video, dict) or not video.get("strip"):
        return
    path = folder / str(video["strip"])
    if path.resolve().is_relative_to(folder.resolve()) and path.is_file():
        yield Picture(f"{document['dataset']}, {video['title']}", {"strip": path})
