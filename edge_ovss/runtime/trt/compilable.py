"""Bundles that no variant of TensorRT can compile."""

from __future__ import annotations

from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import ArtifactError


def check_compilable(bundle: Bundle) -> None:
    """Refuse a graph that TensorRT cannot compile, before anything is loaded.

    Raises:
        ArtifactError: It is INT8 for CPUs, or has shapes that depend on the image.
    """
    if bundle.manifest.precision_facts.target == "cpu":
        kind = f"{bundle.manifest.precision} for CPUs (asymmetric, int32 biases)"
        message = f"The bundle is {kind}, which TensorRT cannot build."
        hint = "Calibrate again with --target tensorrt, which is symmetric with float biases."
        raise ArtifactError(message, hint=hint)
    dynamic = sorted({"NonZero", "Loop", "If"} & set(bundle.graph.operators))
    if bundle.manifest.rejection.mode == "dynamic" or dynamic:
        found = f" ({', '.join(dynamic)})" if dynamic else ""
        message = f"The graph's shapes depend on the image{found}; an engine needs fixed shapes."
        raise ArtifactError(message, hint="Export the bundle again with --reject slots.")
