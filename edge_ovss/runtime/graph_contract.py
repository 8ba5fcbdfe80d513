"""Is the ONNX file of a bundle one that edge-ovss writes? Asked before it is calibrated or built.

The backends ask the library that runs the graph; these two do not run it first.
"""

from __future__ import annotations

from edge_ovss.errors import ArtifactError
from edge_ovss.runtime.bundle import Bundle


def require_contract(bundle: Bundle) -> None:
    """Compare the inputs and outputs of the graph with the manifest.

    Raises:
        ArtifactError: They are others.
    """
    inputs = {each.name: each.dtype for each in bundle.graph.inputs}
    _compare(bundle, "inputs", inputs, {bundle.manifest.picture.input: "uint8"})
    outputs = sorted(each.name for each in bundle.graph.outputs)
    _compare(bundle, "outputs", outputs, sorted(bundle.manifest.output.outputs))


def _compare(bundle: Bundle, what: str, given: object, expected: object) -> None:
    if given != expected:
        name = bundle.manifest.graph.file
        message = f"'{name}' has the {what} {given}; the manifest says {expected}."
        raise ArtifactError(message, hint="It is no graph of edge-ovss export; export it again.")
