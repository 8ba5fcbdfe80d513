"""Who races: our bundles, torch, and the graphs that other packages make of a plain export.

Nothing is imported here but the standard library: every contestant's process reads it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

OURS, TORCH, PLAIN, QUANTIZED, CLOSED = "ours", "torch", "plain", "quantized", "closed"
FIRST = "slots"
"""Every ratio is a time by that of this contestant in the same heat."""

REFERENCE = "torch-fp32"
UNREJECTED = "plain-onnxruntime"
"""What labels of the plain export are compared with too: it rejects no category."""


@dataclass(frozen=True)
class Entry:
    """One contestant.

    Attributes:
        name: What `--only` calls it.
        title: What the table calls it.
        heat: Which of them run at the same time, so that memory is enough.
        needs: Steps (`making`) that must have been made.
        runs: Kind of program: "bundle", "torch", "onnxruntime" or "openvino".
        what: The bundle or graph; for torch "eager" or "compiled".
        precision: "FP32", "BF16" or "INT8", or "FP16" where a graph has that.
    """

    name: str
    title: str
    heat: str
    needs: tuple[str, ...]
    runs: str
    what: str
    precision: str = "FP32"

    @property
    def ours(self) -> bool:
        """Whether it is a bundle of ours."""
        return self.heat == OURS

    @property
    def rejects(self) -> bool:
        """Whether it rejects categories, as the published order does."""
        return self.heat in (OURS, TORCH)

    @property
    def exact(self) -> bool:
        """Whether it computes in FP32."""
        return self.precision == "FP32"


def _ours(name: str, bundle: str, backend: str, precision: str = "FP32") -> Entry:
    title = f"our bundle, `{bundle}`, `{backend}`"
    if bundle == "int8":
        title = f"our bundle, `slots`, INT8, `{backend}`"
    return Entry(name, title, OURS, (bundle,), f"bundle:{backend}", bundle, precision)


def _torch(name: str, title: str, what: str, precision: str = "FP32") -> Entry:
    return Entry(name, title, TORCH, ("setting",), "torch", what, precision)


def _graph(
    name: str, title: str, step: str, runs: str, precision: str = "FP32", heat: str = PLAIN
) -> Entry:
    return Entry(name, title, heat, (step,), runs, step, precision)


ROSTER = (
    _ours("slots", "slots", "onnxruntime"),
    _ours("dynamic", "dynamic", "onnxruntime"),
    _ours("slots-openvino", "slots", "openvino"),
    _ours("slots-openvino-bf16", "slots", "openvino-bf16", "BF16"),
    _ours("int8", "int8", "onnxruntime", "INT8"),
    _ours("int8-openvino", "int8", "openvino", "INT8"),
    _ours("int8-openvino-bf16", "int8", "openvino-bf16", "INT8"),
    _torch("torch-fp32", "torch, eager, published order", "eager"),
    _torch("torch-compiled", "torch.compile", "compiled"),
    _torch("torch-compiled-bf16", "torch.compile, BF16 autocast", "compiled", "BF16"),
    _graph("plain-onnxruntime", "plain export, ONNX Runtime", "plain", "onnxruntime"),
    _graph("plain-openvino", "plain export, OpenVINO", "plain", "openvino"),
    _graph("plain-openvino-bf16", "plain export, OpenVINO, BF16", "plain", "openvino", "BF16"),
    _graph("nncf", "plain export, NNCF `quantize`", "nncf", "openvino", "INT8", QUANTIZED),
    _graph(
        "nncf-control",
        "plain export, NNCF `quantize_with_accuracy_control`",
        "nncf-control",
        "openvino",
        "INT8",
        QUANTIZED,
    ),
    _graph(
        "modelopt-autocast",
        "plain export, ModelOpt AutoCast, ONNX Runtime",
        "modelopt-autocast",
        "onnxruntime",
        "FP16",
        QUANTIZED,
    ),
    _graph(
        "modelopt-int8",
        "plain export, ModelOpt INT8, ONNX Runtime",
        "modelopt-int8",
        "onnxruntime",
        "INT8",
        QUANTIZED,
    ),
    _graph(
        "closed-onnxruntime",
        "closed set: LR-ASPP MobileNetV3, ONNX Runtime",
        "closed",
        "onnxruntime",
        heat=CLOSED,
    ),
    _graph(
        "closed-openvino",
        "closed set: LR-ASPP MobileNetV3, OpenVINO",
        "closed",
        "openvino",
        heat=CLOSED,
    ),
)


def find(name: str) -> Entry:
    """Return a contestant.

    Raises:
        SystemExit: There is none of that name.
    """
    for entry in ROSTER:
        if entry.name == name:
            return entry
    known = ", ".join(entry.name for entry in ROSTER)
    message = f"--only names '{name}'; expected any of: {known}"
    raise SystemExit(message)


def chosen(names: str | None) -> list[Entry]:
    """Return those that `--only` names, in the order of the table; the first is always there.

    Raises:
        SystemExit: There is none of some name.
    """
    if names is None:
        return list(ROSTER)
    wanted = {find(name.strip()).name for name in names.split(",")} | {FIRST}
    return [entry for entry in ROSTER if entry.name in wanted]


def heats(entries: Iterable[Entry], *, together: int) -> list[list[Entry]]:
    """Return who runs at the same time: the first one, and at most `together` others of a heat."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.name != FIRST:
            groups.setdefault(entry.heat, []).append(entry)
    return [
        group[start : start + together]
        for group in groups.values()
        for start in range(0, len(group), together)
    ] or [[]]
