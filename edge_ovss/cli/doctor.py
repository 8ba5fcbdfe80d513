"""Say what this machine has, what each verb needs, and what to install for it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from edge_ovss._version import VERSION
from edge_ovss.cli.shared.console import Console

if TYPE_CHECKING:
    from edge_ovss._import_faults import Problem
    from edge_ovss.doctor.backends import BackendFacts
    from edge_ovss.doctor.engines import EngineFacts

SUMMARY = "say what is installed and what each verb needs"


@dataclass(frozen=True)
class Need:
    """Modules that a verb needs, and the extra that brings them."""

    verb: str
    modules: tuple[str, ...]
    extra: str


@dataclass(frozen=True)
class Finding:
    """Whether a verb can run here, and what to do if not.

    Attributes:
        verb: The verb, or several.
        ready: Whether all that it needs is there and can be imported.
        missing: Modules that are not installed.
        install: What to install for those; None if none is missing.
        broken: Modules that are installed and cannot be imported.
    """

    verb: str
    ready: bool
    missing: tuple[str, ...]
    install: str | None
    broken: tuple[str, ...] = ()


NEEDS = (
    Need("vocab, inspect", (), "onnxruntime"),
    Need("run, selftest", ("cv2", "onnxruntime"), "onnxruntime"),
    Need("vocab encode", ("torch", "open_clip", "timm"), "export"),
    Need(
        "export",
        ("torch", "open_clip", "timm", "onnx", "onnxscript", "onnxruntime", "cv2"),
        "export",
    ),
    Need("calibrate", ("onnx", "onnxruntime", "cv2"), "export"),
    Need("eval, bench, data, report", ("cv2", "onnxruntime"), "onnxruntime"),
    Need("parity", ("torch", "open_clip", "timm", "onnx", "onnxruntime", "cv2"), "export"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add no options: this verb has none of its own."""
    del parser


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the facts."""
    from edge_ovss._machine import (
        machine_facts,
        onnxruntime_providers,
        package_versions,
    )
    from edge_ovss.doctor.backends import survey_backends
    from edge_ovss.doctor.engines import survey

    del args
    machine, packages = machine_facts(), package_versions()
    problems = find_problems(packages)
    usable = packages["onnxruntime"] and "onnxruntime" not in problems
    providers = onnxruntime_providers() if usable else []
    engines = survey()
    backends = survey_backends(engines, providers, problems.get("onnxruntime"))
    verbs = [*(check(need, packages, problems) for need in NEEDS), check_build(engines)]
    document = {
        "edge_ovss": VERSION,
        "machine": machine,
        "packages": packages,
        "package_problems": {name: asdict(problem) for name, problem in problems.items()},
        "onnxruntime_providers": providers,
        "backends": {name: facts.usable for name, facts in backends.items()},
        "backend_advice": {name: facts.advice for name, facts in backends.items() if facts.advice},
        "native_advice": backends["native"].advice,
        "engines": engines.to_json(),
        "verbs": [asdict(verb) for verb in verbs],
    }
    parts = [
        _machine(machine),
        _packages(packages, problems, providers),
        _backends(backends, engines),
        _engines(engines),
        _verbs(verbs),
    ]
    console.result(f"edge-ovss {VERSION}\n\n" + "\n\n".join(parts), document)
    return 0


def find_problems(packages: Mapping[str, str | None]) -> dict[str, Problem]:
    """Import what is installed and verbs need; return what is wrong with it by module."""
    from edge_ovss._import_faults import Problem, remedy
    from edge_ovss.doctor.import_check import import_problems

    needed = dict.fromkeys(module for need in NEEDS for module in need.modules)
    found = import_problems([module for module in needed if packages.get(module)])
    return {name: Problem(error, remedy(name, error)) for name, error in found.items()}


def check(
    need: Need, packages: Mapping[str, str | None], problems: Mapping[str, Problem]
) -> Finding:
    """Compare what a verb needs with what is installed and can be imported."""
    missing = tuple(module for module in need.modules if packages.get(module) is None)
    broken = tuple(module for module in need.modules if module in problems)
    install = f'pip install "edge-ovss[{need.extra}]"' if missing else None
    ready = not missing and not broken
    return Finding(need.verb, ready=ready, missing=missing, install=install, broken=broken)


def check_build(engines: EngineFacts) -> Finding:
    """Return whether any TensorRT can build here; `missing` and `install` name all if none can."""
    if any(facts.builds for facts in engines.flavours.values()):
        return Finding("build", ready=True, missing=(), install=None)
    advice = [f"{name}: {facts.advice}" for name, facts in engines.flavours.items()]
    missing = f"one of {' and '.join(engines.flavours)}"
    return Finding("build", ready=False, missing=(missing,), install="; or ".join(advice))


def _machine(machine: Mapping[str, object]) -> str:
    gpus = machine["gpus"]
    rows = {
        "python": f"{machine['python']} ({machine['executable']})",
        "system": str(machine["system"]),
        "cores": f"{machine['usable_cores']} usable of {machine['cores']}",
        "memory": f"{machine['memory_mib']} MiB",
        "gpu": "; ".join(gpus) if isinstance(gpus, list) and gpus else "none that nvidia-smi shows",
        "jetson": str(machine["jetson"] or "no"),
        "cache": str(machine["cache"] or "switched off"),
    }
    return "\n".join(f"  {name:<22} {value}" for name, value in rows.items())


def _packages(
    packages: Mapping[str, str | None], problems: Mapping[str, Problem], providers: list[str]
) -> str:
    lines = []
    for name, version in packages.items():
        problem = problems.get(name)
        state = "" if problem is None else f", but it cannot be imported: {problem.error}"
        lines.append(f"  {name:<22} {version or 'not installed'}{state}")
        lines += [] if problem is None else [f"  {'':<22} {problem.advice}"]
    if providers:
        lines.append(f"  {'onnxruntime providers':<22} {', '.join(providers)}")
    return "Packages\n" + "\n".join(lines)


def _backends(backends: Mapping[str, BackendFacts], engines: EngineFacts) -> str:
    lines = []
    for name, facts in backends.items():
        lines.append(f"  {name:<22} {'usable' if facts.usable else 'not usable'}")
        # What engines lack stands under "Engines".
        if facts.advice and name not in engines.flavours:
            lines.append(f"  {'':<22} {facts.advice}")
    return "Backends\n" + "\n".join(lines)


def _engines(engines: EngineFacts) -> str:
    gpu = engines.gpu
    device = "none" if gpu is None else f"{gpu.name}, {gpu.capability}, {gpu.system}"
    lines = [
        f"  {'cuda device':<22} {device}",
        f"  {'device memory by':<22} {', '.join(engines.device_memory) or 'nothing'}",
    ]
    lines += [
        f"  {'':<22} {name} is optional: {advice}" for name, advice in engines.memory_advice.items()
    ]
    for name, facts in engines.flavours.items():
        able = [verb for verb, ok in (("builds", facts.builds), ("runs", facts.runs)) if ok]
        state = f"{facts.version}, {' and '.join(able)}" if able else "not usable"
        lines.append(f"  {name:<22} {state}")
        lines += [f"  {'':<22} {facts.advice}"] if facts.advice else []
    return "Engines (edge-ovss build)\n" + "\n".join(lines)


def _verbs(verbs: list[Finding]) -> str:
    return "Verbs\n" + "\n".join(f"  {verb.verb:<22} {_state(verb)}" for verb in verbs)


def _state(verb: Finding) -> str:
    if verb.ready:
        return "ready"
    parts = [f"needs {', '.join(verb.missing)}: {verb.install}"] if verb.missing else []
    if verb.broken:
        parts.append(f"cannot import {', '.join(verb.broken)} (see Packages)")
    return "; ".join(parts)
