"""Run `edge-ovss doctor`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict

from edge_ovss import _machine
from edge_ovss._import_faults import Problem
from edge_ovss._version import VERSION
from edge_ovss.cli.shared.console import Console
from edge_ovss.doctor.backends import BackendFacts, survey_backends
from edge_ovss.doctor.engines import EngineFacts, survey
from edge_ovss.doctor.memory import MemoryFacts, survey_memory
from edge_ovss.doctor.needs import VerbFinding, check_verbs, find_problems


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the facts."""
    del args
    machine, packages = _machine.machine_facts(), _machine.package_versions()
    memory = survey_memory()
    problems = find_problems(packages)
    usable = packages["onnxruntime"] and "onnxruntime" not in problems
    providers = _machine.onnxruntime_providers() if usable else []
    engines = survey()
    backends = survey_backends(engines, providers, problems.get("onnxruntime"))
    verbs = check_verbs(packages, problems, engines)
    document = {
        "edge_ovss": VERSION,
        "machine": machine,
        "memory": memory.to_json(),
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
        _system(machine, memory),
        _packages(packages, problems, providers),
        _backends(backends, engines),
        _engines(engines, memory),
        _verbs(verbs),
    ]
    console.result(f"edge-ovss {VERSION}\n\n" + "\n\n".join(parts), document)
    return 0


def _system(machine: Mapping[str, object], memory: MemoryFacts) -> str:
    gpus = machine["gpus"]
    rows = {
        "python": f"{machine['python']} ({machine['executable']})",
        "system": str(machine["system"]),
        "cores": f"{machine['usable_cores']} usable of {machine['cores']}",
        "memory": f"{machine['memory_mib']} MiB, {_mib(memory.free_mib)} free with swap",
        "swap": f"{_mib(memory.swap_total_mib)}, {_mib(memory.swap_free_mib)} free",
        "gpu": "; ".join(gpus) if isinstance(gpus, list) and gpus else "none found by nvidia-smi",
        "jetson": str(machine["jetson"] or "no"),
        "cache": str(machine["cache"] or "switched off"),
    }
    return "\n".join(f"  {name:<22} {value}" for name, value in rows.items())


def _mib(number: int | None) -> str:
    return "unknown" if number is None else f"{number} MiB"


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
        # Advice about TensorRT is under "Engines".
        if facts.advice and name not in engines.flavors:
            lines.append(f"  {'':<22} {facts.advice}")
    return "Backends\n" + "\n".join(lines)


def _engines(engines: EngineFacts, memory: MemoryFacts) -> str:
    gpu = engines.gpu
    device = "none" if gpu is None else f"{gpu.name}, {gpu.capability}, {gpu.system}"
    lines = [
        f"  {'cuda device':<22} {device}",
        f"  {'device memory by':<22} {', '.join(engines.device_memory) or 'nothing'}",
        f"  {'memory for a build':<22} {memory.advice()}",
    ]
    lines += [
        f"  {'':<22} {name} is optional: {advice}" for name, advice in engines.memory_advice.items()
    ]
    for name, facts in engines.flavors.items():
        able = [verb for verb, ok in (("builds", facts.builds), ("runs", facts.runs)) if ok]
        state = f"{facts.version}, {' and '.join(able)}" if able else "not usable"
        lines.append(f"  {name:<22} {state}")
        lines += [f"  {'':<22} {facts.advice}"] if facts.advice else []
    return "Engines (edge-ovss build)\n" + "\n".join(lines)


def _verbs(verbs: list[VerbFinding]) -> str:
    return "Verbs\n" + "\n".join(f"  {verb.verb:<22} {_state(verb)}" for verb in verbs)


def _state(verb: VerbFinding) -> str:
    if verb.ready:
        return "ready"
    parts = [f"needs {', '.join(verb.missing)}: {verb.install}"] if verb.missing else []
    if verb.broken:
        parts.append(f"cannot import {', '.join(verb.broken)} (see Packages)")
    return "; ".join(parts)
