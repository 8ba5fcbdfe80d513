"""Find which backends can run here, and how to get the others, for `edge-ovss doctor`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_ovss._import_faults import Problem
from edge_ovss.doctor.engines import EngineFacts
from edge_ovss.runtime.backends import REGISTRY
from edge_ovss.runtime.backends.base import Machine


@dataclass(frozen=True)
class BackendFacts:
    """Whether one backend can run here, and how to get it (None if it can)."""

    usable: bool
    advice: str | None


def survey_backends(
    engines: EngineFacts, providers: Sequence[str], problem: Problem | None = None
) -> dict[str, BackendFacts]:
    """Check every backend, in the order of the registry.

    Args:
        engines: The result of `engines.survey`.
        providers: Execution providers of ONNX Runtime; () if it is not installed.
        problem: Why ONNX Runtime cannot be imported although it is installed, or None.
    """
    lack = None
    if problem is not None:
        lack = f"onnxruntime is installed but does not load: {problem.error}; {problem.advice}"
    machine = Machine(
        gpu=engines.gpu is not None,
        providers=providers,
        onnxruntime=lack,
        engines={name: facts.advice for name, facts in engines.flavors.items()},
    )
    found = {name: entry.why_not_usable(machine) for name, entry in REGISTRY.items()}
    return {name: BackendFacts(advice is None, advice) for name, advice in found.items()}
