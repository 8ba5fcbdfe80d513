"""Find which verbs can run here, for `edge-ovss doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_ovss._import_faults import Problem, remedy
from edge_ovss.doctor import import_check
from edge_ovss.doctor.engines import EngineFacts


@dataclass(frozen=True)
class Need:
    """Modules that a verb needs, and the extra that installs them."""

    verb: str
    modules: tuple[str, ...]
    extra: str


@dataclass(frozen=True)
class VerbFinding:
    """Whether a verb can run here, and what to do if not.

    Attributes:
        verb: The verb, or several.
        ready: Whether all modules that it needs can be imported.
        missing: Modules that are not installed.
        install: Command that installs those; None if none is missing.
        broken: Modules that are installed but cannot be imported.
    """

    verb: str
    ready: bool
    missing: tuple[str, ...]
    install: str | None
    broken: tuple[str, ...] = ()


NEEDS = (
    Need("vocab, inspect, set", (), "onnxruntime"),
    Need("run, selftest", ("cv2", "onnxruntime"), "onnxruntime"),
    Need("words, vocab encode --tower", ("onnxruntime", "tokenizers", "ftfy"), "words"),
    Need("vocab encode", ("torch", "open_clip", "timm"), "export"),
    Need(
        "export",
        ("torch", "open_clip", "timm", "onnx", "onnxscript", "onnxruntime", "cv2"),
        "export",
    ),
    Need("calibrate", ("onnx", "onnxruntime", "cv2"), "export"),
    Need("eval, bench, data, report", ("cv2", "onnxruntime"), "onnxruntime"),
    Need("tune of bundles", ("cv2", "onnxruntime"), "onnxruntime"),
    Need("parity", ("torch", "open_clip", "timm", "onnx", "onnxruntime", "cv2"), "export"),
)


def find_problems(packages: Mapping[str, str | None]) -> dict[str, Problem]:
    """Import the installed modules that verbs need; return the problems by module."""
    needed = dict.fromkeys(module for need in NEEDS for module in need.modules)
    found = import_check.import_problems([module for module in needed if packages.get(module)])
    return {name: Problem(error, remedy(name, error)) for name, error in found.items()}


def check_verbs(
    packages: Mapping[str, str | None], problems: Mapping[str, Problem], engines: EngineFacts
) -> list[VerbFinding]:
    """Return which verbs can run with these packages and these TensorRTs."""
    return [*(_check(need, packages, problems) for need in NEEDS), _check_build(engines)]


def _check(
    need: Need, packages: Mapping[str, str | None], problems: Mapping[str, Problem]
) -> VerbFinding:
    missing = tuple(module for module in need.modules if packages.get(module) is None)
    broken = tuple(module for module in need.modules if module in problems)
    install = f'pip install "edge-ovss[{need.extra}]"' if missing else None
    ready = not missing and not broken
    return VerbFinding(need.verb, ready=ready, missing=missing, install=install, broken=broken)


def _check_build(engines: EngineFacts) -> VerbFinding:
    """Check that any TensorRT can build; `missing` and `install` name all if none can."""
    if any(facts.builds for facts in engines.flavors.values()):
        return VerbFinding("build", ready=True, missing=(), install=None)
    advice = [f"{name}: {facts.advice}" for name, facts in engines.flavors.items()]
    missing = f"one of {' and '.join(engines.flavors)}"
    return VerbFinding("build", ready=False, missing=(missing,), install="; or ".join(advice))
