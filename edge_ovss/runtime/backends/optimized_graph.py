"""The graph as ONNX Runtime optimizes it for this processor, kept for the next start.

Much of the time until a large model's first label goes into ONNX Runtime's optimizers, which come
to the same result at every start. `edge-ovss build --backend onnxruntime` keeps that result in the
user's cache. Not in the bundle: nobody checks its operators, so it must not come with a bundle from
elsewhere. It is bound to the graph, the version of ONNX Runtime and what the processor can do,
because the optimizers choose layouts of weights that fit its vector units.
"""

from __future__ import annotations

import hashlib
import json
import logging
import platform
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ovss._files import cache_folder, sha256_of_file, write_json
from edge_ovss._machine import CPUINFO, processor_features
from edge_ovss._strict_parsing import DocumentError, read_json
from edge_ovss.bundle.hashes.ownership import check_owner
from edge_ovss.bundle.identity import graph_hash
from edge_ovss.bundle.json_fields import Fields
from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import ArtifactError, BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_log = logging.getLogger(__name__)

_FOLDER = "optimized"
GRAPH, WEIGHTS, RECORD = "model.onnx", "model.onnx.data", "optimized.json"
# Increased when the way in which a graph is optimized changes.
_RECIPE = 1
_LARGEST = 1 << 20


@dataclass(frozen=True)
class OptimizedKey:
    """Everything that decides whether a kept graph may be loaded.

    Attributes:
        graph: `graph_hash` of the bundle.
        library: Version of ONNX Runtime.
        processor: `processor_name` of the machine.
        recipe: Version of the procedure.
    """

    graph: str
    library: str
    processor: str
    recipe: int = _RECIPE

    @property
    def name(self) -> str:
        """The name of the folder."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class OptimizedGraph:
    """A kept graph in its folder.

    Attributes:
        folder: Where it is.
        key: What it is for.
        files: sha256 by file name.
    """

    folder: Path
    key: OptimizedKey
    files: Mapping[str, str]

    @property
    def path(self) -> Path:
        """The ONNX file."""
        return self.folder / GRAPH

    @property
    def size(self) -> int:
        """Size of all files in bytes.

        Raises:
            OSError: One is gone.
        """
        return sum((self.folder / name).stat().st_size for name in self.files)

    def to_json(self) -> dict[str, object]:
        """Return the record as a JSON object."""
        return {"key": asdict(self.key), "files": dict(self.files)}

    def write(self) -> None:
        """Write the record, whole or not at all."""
        write_json(self.folder / RECORD, self.to_json())

    @contextmanager
    def checked(self) -> Iterator[Path]:
        """Yield the ONNX file for a block that loads it; the weights are hashed beside that.

        Raises:
            ArtifactError: A file was changed, cannot be read, or other users may write it; that of
                the weights is raised at the end of the block.
        """
        self._check(GRAPH)
        with ThreadPoolExecutor(1, thread_name_prefix="edge-ovss-hashes") as beside:
            rest = [beside.submit(self._check, name) for name in self.files if name != GRAPH]
            yield self.path
            for each in rest:
                each.result()

    def _check(self, name: str) -> None:
        path = self.folder / name
        try:
            check_owner(self.folder, name)
            digest = sha256_of_file(path)
        except OSError as err:
            raise _unusable(self.folder, f"{name}: {err.strerror or err}") from err
        if digest != self.files[name]:
            raise _unusable(self.folder, f"{name} has been changed")


def key_here(bundle: Bundle, runtime: ModuleType) -> OptimizedKey:
    """Return the key of a bundle's graph on this machine."""
    return OptimizedKey(graph_hash(bundle), str(runtime.__version__), processor_name())


def processor_name(cpuinfo: Path = CPUINFO) -> str:
    """Return the kind of processor, with a hash of what it says it can do."""
    features = " ".join(sorted(set(processor_features(cpuinfo) or [platform.processor()])))
    digest = hashlib.sha256(features.encode()).hexdigest()[:12]
    return f"{platform.system().lower()}-{platform.machine().lower()} {digest}"


def optimized_folder() -> Path | None:
    """Return the folder of all kept graphs; None where there is no cache."""
    cache = cache_folder()
    return None if cache is None else cache / _FOLDER


def find_optimized(key: OptimizedKey) -> OptimizedGraph | None:
    """Return the kept graph of a key; None if there is none that may be used, with a warning."""
    place = optimized_folder()
    if place is None:
        return None
    folder = place / key.name
    try:
        if not folder.is_dir():
            return None
        found = read_optimized(folder)
    except ArtifactError as err:
        warn_unused(err.message)
        return None
    except OSError as err:
        warn_unused(f"The cache '{place}' cannot be read: {err.strerror or err}.")
        return None
    if found.key != key:
        warn_unused(f"The record of '{folder.name}' was changed, or the folder renamed.")
        return None
    return found


def kept_graphs(graphs: Collection[str]) -> Iterator[OptimizedGraph]:
    """Yield what is kept of graphs, given as `graph_hash`; what is damaged is left out."""
    place = optimized_folder()
    for folder in sorted(place.glob("*")) if place is not None else ():
        with suppress(ArtifactError):
            found = read_optimized(folder)
            if found.key.graph in graphs:
                yield found


def warn_unused(why: str) -> None:
    """Say that a kept graph is of no use; the start takes longer, and the labels are the same."""
    _log.warning("%s The graph is optimized anew.", why)


def read_optimized(folder: Path) -> OptimizedGraph:
    """Read the record of a kept graph.

    Raises:
        ArtifactError: It is missing or damaged.
    """
    try:
        document = read_json(folder / RECORD, limit=_LARGEST)
        if not isinstance(document, dict):
            raise _unusable(folder, f"{RECORD} is not a JSON object")
        fields = Fields(document)
        return OptimizedGraph(folder, _read_key(fields.section("key")), _read_files(fields))
    except OSError as err:
        raise _unusable(folder, f"{RECORD}: {err.strerror or err}") from err
    except (BundleError, DocumentError) as err:
        text = str(err).replace("manifest.json", RECORD)
        raise _unusable(folder, text.rstrip(".")) from err


def _read_key(fields: Fields) -> OptimizedKey:
    graph, library, processor = map(fields.text, ("graph", "library", "processor"))
    return OptimizedKey(graph, library, processor, fields.integer("recipe"))


def _read_files(fields: Fields) -> Mapping[str, str]:
    files = fields.section("files")
    outside = {} if WEIGHTS not in files.values else {WEIGHTS: files.text(WEIGHTS)}
    return {GRAPH: files.text(GRAPH), **outside}


def _unusable(folder: Path, why: str) -> ArtifactError:
    message = f"The optimized graph '{folder}' cannot be used: {why}."
    hint = "Remove its folder, or: edge-ovss build BUNDLE --backend onnxruntime --overwrite."
    return ArtifactError(message, hint=hint)
