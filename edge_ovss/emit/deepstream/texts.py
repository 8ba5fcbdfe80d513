"""The texts: nvinfer's configuration, names, colors, what the parser knows, a page."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from edge_ovss._safe_text import shown
from edge_ovss.bundle.contract import UNKNOWN
from edge_ovss.bundle.reader import Bundle
from edge_ovss.emit.cpp_text import comment, quoted
from edge_ovss.emit.origin import Origin

FUNCTION = "NvDsInferParseEdgeOvss"
LIBRARY = "libnvdsinfer_edge_ovss.so"
ENGINE = "model.engine"
MODEL = "model.onnx"


@dataclass(frozen=True)
class Network:
    """What nvinfer runs: the size of its frames, and whether it may build the engine itself.

    Attributes:
        height: Of the frames that the network gets.
        width: Of these.
        outputs: K.
        builds: False where the graph has a precision of its own, which nvinfer would not keep.
    """

    height: int
    width: int
    outputs: int
    builds: bool


def config_text(network: Network, origin: Origin, labels_file: str) -> str:
    """Return the configuration for `nvinfer config-file-path=`."""
    model = f"onnx-file={MODEL}\n" if network.builds else ""
    return (
        f"{origin.comment('deepstream')}"
        "# Not run on DeepStream where it was made.\n"
        "[property]\n"
        "gpu-id=0\n"
        "gie-unique-id=1\n"
        "process-mode=1\n"
        "batch-size=1\n"
        "interval=0\n"
        "# RGB from 0 to 255 as float32 [1, 3, H, W]: the graph does the rest.\n"
        "net-scale-factor=1.0\n"
        "offsets=0;0;0\n"
        "model-color-format=0\n"
        "network-input-order=0\n"
        f"infer-dims=3;{network.height};{network.width}\n"
        "maintain-aspect-ratio=0\n"
        "scaling-filter=1\n"
        f"{model}"
        f"model-engine-file={ENGINE}\n"
        "network-mode=0\n"
        "# Segmentation, by the parser in parser/.\n"
        "network-type=2\n"
        f"num-detected-classes={network.outputs}\n"
        "segmentation-threshold=0.0\n"
        "output-blob-names=labels\n"
        f"labelfile-path={labels_file}\n"
        f"parse-segmentation-func-name={FUNCTION}\n"
        f"custom-lib-path=parser/{LIBRARY}\n"
    )


def colors_text(bundle: Bundle, origin: Origin) -> str:
    """Return a table: label, name, red, green, blue."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["label", "name", "red", "green", "blue"])
    for label, (name, color) in enumerate(zip(names(bundle), colors(bundle), strict=True)):
        table.writerow([label, name, *color])
    return origin.comment("deepstream") + text.getvalue()


def header_text(bundle: Bundle, origin: Origin) -> str:
    """Return the header from which the parser knows the bundle."""
    manifest = bundle.manifest
    has_unknown = manifest.thresholds is not None
    unknown = UNKNOWN[manifest.output.labels_dtype] if has_unknown else -1
    rows = "".join(
        f"    {{{quoted(name)}, {{{', '.join(map(str, color))}}}}},\n"
        for name, color in zip(names(bundle), colors(bundle), strict=True)
    )
    return (
        f"{comment(origin.lines('deepstream'))}"
        "#pragma once\n\n"
        "#include <cstdint>\n\n"
        "namespace edge_ovss_bundle {\n\n"
        f'inline constexpr const char* kGraphSha256 = "{origin.graph_sha256}";\n'
        f"inline constexpr int kOutputs = {len(bundle.vocabulary.outputs)};\n"
        "// The label that means unknown; -1: there is none.\n"
        f"inline constexpr int kUnknown = {unknown};\n\n"
        "struct Class {\n    const char* name;\n    std::uint8_t rgb[3];\n};\n\n"
        f"inline constexpr Class kClasses[kOutputs] = {{\n{rows}}};\n\n"
        "}  // namespace edge_ovss_bundle\n"
    )


def names(bundle: Bundle) -> list[str]:
    """Return the names of the labels, each on one line."""
    return [shown(" ".join(name.split())) for name in bundle.vocabulary.outputs]


def colors(bundle: Bundle) -> list[list[int]]:
    """Return red, green and blue of each label."""
    found: list[list[int]] = bundle.vocabulary.palette.tolist()
    return found


def page_text(network: Network, origin: Origin) -> str:
    """Return the page in Markdown."""
    engine = (
        "nvinfer builds it when it starts for the first time; building it before is quicker to try."
        if network.builds
        else "nvinfer would not keep the precision of this graph, so build it before:"
    )
    return origin.hidden("deepstream") + _PAGE.format(
        height=network.height, width=network.width, engine=engine
    )


_PAGE = """\

# DeepStream

Files with which `nvinfer` runs a bundle. They were not run on DeepStream where they were made.

| file | what it is |
|---|---|
| `config_infer.txt` | the configuration of `nvinfer` |
| `model.onnx` | `frame` float32 [1, 3, {height}, {width}] in, `labels` int32 out |
| `parser/` | the parser in C++ that makes segmentation metadata of `labels` |
| `labels-*.txt` | line N, from 0, is the class of label N |
| `colors.csv`, `parser/edge_ovss_bundle.h` | names and colors, for programs |
| `emitted.json` | from which bundle, and the sha256 of every file |

On the machine with DeepStream:

```sh
make -C parser
trtexec --onnx=model.onnx --saveEngine=model.engine --stronglyTyped
```

The engine is for one GPU and one version of TensorRT. {engine}

Then run it, here for one video:

```sh
gst-launch-1.0 filesrc location=street.mp4 ! decodebin ! m.sink_0 \\
    nvstreammux name=m batch-size=1 width={width} height={height} ! \\
    nvinfer config-file-path=config_infer.txt ! \\
    nvsegvisual width={width} height={height} ! nvvideoconvert ! fakesink
```

Frames of another size are scaled by DeepStream before the network sees them: its labels may then
differ a little from those of edge-ovss. Emit again with `--size` for another size.

In `NvDsInferSegmentationMeta` the `class_map` has the label of every pixel, and -1 where it is
unknown. There is no probability map. The colors of `nvsegvisual` are its own; `colors.csv` has the
bundle's.
"""
