"""Say what this machine has, what each verb needs, and what to install for it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from edge_ovss._version import VERSION
from edge_ovss.cli._console import Console

if TYPE_CHECKING:
    from edge_ovss.runtime.backends.survey import BackendFacts
    from edge_ovss.runtime.engines.survey import EngineFacts

SUMMARY = "say what is installed and what each verb needs"


@dataclass(frozen=True)
class Need:
    """Modules that a verb needs, and the extra that brings them."""

    verb: str
    modules: tuple[str, ...]
    extra: str


@dataclass(frozen=True)
class Finding:
    """Whether a verb can run here, and what to do if not."""

    verb: str
    ready: bool
    missing: tuple[str, ...]
    install: str | None


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
    from edge_ovss.runtime.backends.survey import survey_backends
    from edge_ovss.runtime.engines.survey import survey
    from edge_ovss.runtime.environment import (
        machine_facts,
        onnxruntime_providers,
        package_versions,
    )

    del args
    machine, packages = machine_facts(), package_versions()
    providers = onnxruntime_providers() if packages["onnxruntime"] else []
    engines = survey()
    backends = survey_backends(engines, providers)
    verbs = [*(check(need, packages) for need in NEEDS), check_build(engines)]
    document = {
        "edge_ovss": VERSION,
        "machine": machine,
        "packages": packages,
        "onnxruntime_providers": providers,
        "backends": {name: facts.usable for name, facts in backends.items()},
        "backend_advice": {name: facts.advice for name, facts in backends.items() if facts.advice},
        "native_advice": backends["native"].advice,
        "engines": engines.to_json(),
        "verbs": [asdict(verb) for verb in verbs],
    }
    parts = [
        _machine(machine),
        _packages(packages, providers),
        _backends(backends, engines),
        _engines(engines),
        _verbs(verbs),
    ]
    console.result(f"edge-ovss {VERSION}\n\n" + "\n\n".join(parts), document)
    return 0


def check(need: Need, packages: Mapping[str, str | None]) -> Finding:
    """Compare what a verb needs with what is installed."""
    missing = tuple(module for module in need.modules if packages.get(module) is None)
    install = f'pip install "edge-ovss[{need.extra}]"' if missing else None
    return Finding(need.verb, ready=not missing, missing=missing, install=install)


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


def _packages(packages: Mapping[str, str | None], providers: list[str]) -> str:
    lines = [f"  {name:<22} {version or 'not installed'}" for name, version in packages.items()]
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
    lines = []
    for verb in verbs:
        state = "ready" if verb.ready else f"needs {', '.join(verb.missing)}: {verb.install}"
        lines.append(f"  {verb.verb:<22} {state}")
    return "Verbs\n" + "\n".join(lines)
