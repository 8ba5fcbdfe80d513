"""Write the folder for DeepStream."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edge_ovss.bundle.reader import Bundle
from edge_ovss.emit.cpp_text import comment
from edge_ovss.emit.deepstream.graph import nvinfer_graph
from edge_ovss.emit.deepstream.texts import (
    FUNCTION,
    LIBRARY,
    MODEL,
    Network,
    colors_text,
    config_text,
    header_text,
    names,
    page_text,
)
from edge_ovss.emit.folder import EmittedFolder
from edge_ovss.emit.origin import Origin

CONFIG = "config_infer.txt"
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class EmittedDeepStream:
    """What was written: the folder, the size of the frames, and the content of `emitted.json`."""

    out: Path
    size: tuple[int, int]
    record: dict[str, object]


def emit_deepstream(
    bundle: Bundle,
    out: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    overwrite: bool = False,
) -> EmittedDeepStream:
    """Write nvinfer's configuration, the graph that it can feed, a parser and a page about them.

    Args:
        bundle: The bundle, opened with its files verified.
        out: The folder to write, whole or not at all.
        size: (height, width) of the frames; None for the size that the network scales them to.
        overwrite: Replace what an earlier run wrote.

    Raises:
        ArtifactError: The graph cannot be given the input of nvinfer.
        MissingDependencyError: onnx is not installed.
        OutputError: `out` cannot be written, or something is there.
    """
    manifest = bundle.manifest
    height, width = size or (manifest.picture.height, manifest.picture.width)
    builds = manifest.precision == "fp32"
    network = Network(height, width, len(bundle.vocabulary.outputs), builds)
    model = nvinfer_graph(bundle, height, width)
    with EmittedFolder(out, bundle, "deepstream", overwrite=overwrite) as folder:
        _write_model(folder, bundle, model)
        _write_texts(folder, bundle, network)
        _write_parser(folder, bundle)
        return EmittedDeepStream(folder.out, (height, width), folder.finish())


def _write_model(folder: EmittedFolder, bundle: Bundle, model: bytes) -> None:
    folder.write(MODEL, model)
    info = bundle.manifest.graph
    for each in info.external_data:
        # The ONNX file names these relative to its own folder.
        name = PurePosixPath(each).relative_to(PurePosixPath(info.file).parent)
        folder.copy(str(name), bundle.file(each))


def _write_texts(folder: EmittedFolder, bundle: Bundle, network: Network) -> None:
    origin: Origin = folder.origin
    # A list of names has no comments: it says its bundle in its own name.
    labels_file = f"labels-{origin.short}.txt"
    folder.write(labels_file, "".join(f"{name}\n" for name in names(bundle)))
    folder.write("colors.csv", colors_text(bundle, origin))
    folder.write(CONFIG, config_text(network, origin, labels_file))
    folder.write("README.md", page_text(network, origin))


def _write_parser(folder: EmittedFolder, bundle: Bundle) -> None:
    above = comment(folder.origin.lines("deepstream"))
    source = (_HERE / "parser" / "parser.cpp.in").read_text(encoding="utf-8")
    rules = (_HERE / "parser" / "Makefile.in").read_text(encoding="utf-8")
    folder.write("parser/edge_ovss_bundle.h", header_text(bundle, folder.origin))
    folder.write("parser/parser.cpp", above + source.replace("@FUNCTION@", FUNCTION))
    folder.write(
        "parser/Makefile", folder.origin.comment("deepstream") + rules.replace("@LIBRARY@", LIBRARY)
    )
