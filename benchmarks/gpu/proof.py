r"""Everything that a GPU has to prove, in one go and within a time: races, selftests, figures.

    benchmarks/gpu_proof.sh OUT            # at most 9 minutes
    benchmarks/gpu_proof.sh OUT --minutes 5 --models sed-tiny,sed-base
    benchmarks/gpu_proof.sh OUT --work BUNDLES --prepare      # the bundles only; needs no GPU
    benchmarks/gpu_proof.sh OUT --work BUNDLES                # all the time is for the GPU
    python -m benchmarks.gpu.proof OUT --rehearse     # on a CPU, small: shows that it works

For each model it makes bundles in FP32 and FP16 (sed-tiny with its own weights, the others with
seeded random ones), races them (`benchmarks.gpu.against_torch`), and runs `edge-ovss selftest` and
`bench` on every backend that is here. Nothing is downloaded. What does not fit in the time is a row
that says so; so give the bundles their own time where the GPU's is short. A JSON file and a
Markdown file, both named "proof", are written to OUT after every step, so that what is there stays
if the run is cut off; OUT/logs has all that was printed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gpu.report import out_of_time
from benchmarks.gpu.report import table as race_table
from benchmarks.shared.race import TIME_WAS_UP

MODELS: dict[str, tuple[str, ...]] = {
    "sed-tiny": ("--weights", "embedded", "--slots", "64,56,56"),
    "sed-base": (),
    "san-base": (),
    "deop": (),
}
_FEW = ("--calibration", "synthetic://street?count=2&seed=2000000&size=480x640")
_SMALL = (
    *("--device", "cpu", "--frame", "90", "120", "--repeats", "2", "--warmups", "1"),
    *("--only", "cuda-fp32,plugin-fp16,cpu-fp32,cpu-fp16", "--threads", "1"),
    *("--calibration", "synthetic://street?count=1&seed=2000000&size=90x120"),
)
REHEARSED: dict[str, tuple[str, ...]] = {
    "sed-tiny": ("--size", "96", "128", "--survivors", "9", "--slots", "10,10,10"),
    "deop-tiny": (),
}
BACKENDS = ("onnxruntime-cuda", "tensorrt", "tensorrt-rtx", "onnxruntime")
# The share of the time in which bundles are made, where they are not there.
_PREPARING = 0.45
_LAST = 5.0  # seconds for the tables
_PATIENCE = 120.0


@dataclass
class Proof:
    """What was found so far, and where it is written.

    Attributes:
        out: The folder.
        end: Time of `time.monotonic` at which all must be over.
        rehearse: Small and on a CPU.
        found: The report.
    """

    out: Path
    end: float
    rehearse: bool
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def left(self) -> float:
        """Seconds that are left for work."""
        return self.end - time.monotonic() - _LAST

    def write(self) -> None:
        """Write what is there."""
        (self.out / "proof.json").write_text(json.dumps(self.found, indent=1))
        (self.out / "proof.md").write_text(table(self.found))

    def run(self, name: str, words: list[str], seconds: float) -> tuple[int | None, str]:
        """Run a module of this repository.

        Args:
            name: Of its log.
            words: After `python -m`.
            seconds: After which it is stopped.

        Returns:
            Its status, None if it was stopped; what it printed on stdout.
        """
        process = self.start(name, words)
        return self.wait(name, process, seconds)

    def start(self, name: str, words: list[str]) -> subprocess.Popen[bytes]:
        """Start a module; stdout and stderr go to its log."""
        with (self.log(name)).open("wb") as log, self.log(f"{name}.err").open("wb") as err:
            command = [sys.executable, "-m", *words]
            return subprocess.Popen(command, stdout=log, stderr=err, start_new_session=True)

    def wait(
        self, name: str, process: subprocess.Popen[bytes], seconds: float
    ) -> tuple[int | None, str]:
        """Wait for it; stop it and its children when the time is up."""
        status: int | None
        try:
            status = process.wait(timeout=max(0.1, seconds))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
            status = None
        return status, self.log(name).read_text(errors="replace")

    def log(self, name: str) -> Path:
        """Where a step's output is."""
        return self.out / "logs" / f"{name}.txt"

    def last_words(self, name: str) -> str:
        """The last line that a step printed on stderr."""
        lines = self.log(f"{name}.err").read_text(errors="replace").strip().splitlines()
        wanted = [line for line in lines if line.startswith("error: ")] or lines[-1:]
        return wanted[0].removeprefix("error: ") if wanted else ""


def main() -> None:
    """Prepare all bundles, then take one model after the other."""
    args = _arguments()
    out = Path(args.out).resolve()
    (out / "logs").mkdir(parents=True, exist_ok=True)
    proof = Proof(out, time.monotonic() + 60 * args.minutes, args.rehearse)
    models = dict(REHEARSED if args.rehearse else MODELS)
    if args.models:
        models = {name: models.get(name, ()) for name in args.models.split(",")}
    proof.found = {"minutes": args.minutes, "rehearsal": args.rehearse, "models": {}}
    _facts(proof)
    share = 1.0 if args.prepare else _PREPARING
    ready = _prepare(proof, models, args.work or str(out / "work"), share)
    if args.prepare:
        raise SystemExit(int(len(ready) < len(models)))
    for position, (model, folder) in enumerate(ready.items()):
        _one(proof, model, models[model], folder, of=len(ready) - position)
        proof.write()
    proof.found["seconds"] = round(60 * args.minutes - (proof.end - time.monotonic()), 1)
    proof.write()
    print(table(proof.found))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", help="folder for proof.json, proof.md and logs")
    parser.add_argument("--work", help="folder for the bundles (default OUT/work)")
    parser.add_argument("--minutes", type=float, default=9.0, help="in all (default 9)")
    parser.add_argument("--prepare", action="store_true", help="only write what is missing in work")
    parser.add_argument("--models", help=f"some of {','.join(MODELS)}")
    parser.add_argument("--rehearse", action="store_true", help="small, and on the CPU")
    return parser.parse_args()


def _facts(proof: Proof) -> None:
    """What this machine has, by the command line's own doctor and NVIDIA's."""
    status, said = proof.run("doctor", ["edge_ovss", "doctor", "--json"], min(60, proof.left))
    proof.found["doctor"] = json.loads(said) if status == 0 else {"status": status, "said": said}
    program = shutil.which("nvidia-smi")
    if program is not None:
        done = subprocess.run([program], capture_output=True, text=True, check=False)
        proof.log("nvidia-smi").write_text(done.stdout + done.stderr)
    proof.write()


def _prepare(
    proof: Proof, models: dict[str, tuple[str, ...]], work: str, share: float
) -> dict[str, Path]:
    """Write all bundles side by side in a share of the time; returns those that are there then."""
    folders = {model: Path(work) / model for model in models}
    names = {model: f"prepare-{model}" for model in models}
    started = {
        model: proof.start(
            names[model], [*_race(proof, models[model], model, folder), "--prepare-only"]
        )
        for model, folder in folders.items()
    }
    last = time.monotonic() + share * proof.left
    ready = {}
    for model, process in started.items():
        since = time.monotonic()
        status, _ = proof.wait(names[model], process, last - time.monotonic())
        if status == 0:
            ready[model] = folders[model]
        else:
            why = "the time for it was up" if status is None else proof.last_words(names[model])
            proof.found["models"][model] = {"not_run": f"no bundles: {why}"}
        print(f"{model}: bundles, {time.monotonic() - since:.0f} s more", flush=True)
    proof.write()
    return ready


def _race(proof: Proof, options: tuple[str, ...], model: str, folder: Path) -> list[str]:
    words = ["benchmarks.gpu.against_torch", "--model", model, "--out", str(folder)]
    return [*words, *(_SMALL if proof.rehearse else _FEW), *options]


def _one(proof: Proof, model: str, options: tuple[str, ...], folder: Path, *, of: int) -> None:
    """Race one model, and let every backend prove its bundles; `of` models share the time."""
    entry: dict[str, Any] = {}
    proof.found["models"][model] = entry
    if proof.left < 1:
        entry["not_run"] = TIME_WAS_UP
        return
    share = proof.left / of
    words = [*_race(proof, options, model, folder), "--limit", f"{0.7 * share:.0f}"]
    patience = min(_PATIENCE, 0.45 * share)
    words += ["--patience", f"{patience:.0f}"]
    name = f"race-{model}"
    began = time.monotonic()
    status, _ = proof.run(name, words, 0.85 * share)
    if status == 0:
        entry["race"] = json.loads((folder / "results.json").read_text())
    else:
        entry["not_run"] = "stopped: the time was up" if status is None else proof.last_words(name)
    proof.write()
    ends = began + share
    entry["checks"] = [
        _check(proof, folder, model, precision, backend, ends - time.monotonic())
        for precision in ("fp32", "fp16")
        for backend in (BACKENDS[-1:] if proof.rehearse else BACKENDS)
    ]


def _check(
    proof: Proof, folder: Path, model: str, precision: str, backend: str, seconds: float
) -> dict[str, Any]:
    """Run selftest and bench of one bundle on one backend."""
    row: dict[str, Any] = {"bundle": precision, "backend": backend}
    path = str(folder / f"{precision}.ovss")
    for verb, more in (("selftest", []), ("bench", ["--count", "50", "--cold-starts", "1"])):
        if proof.rehearse and verb == "bench":
            more = ["--count", "2", "--cold-starts", "0", "--threads", "1"]
        if seconds < 1 or proof.left < 1:
            row[verb] = {"not_run": TIME_WAS_UP}
            continue
        name = f"{verb}-{model}-{precision}-{backend}"
        began = time.monotonic()
        words = ["edge_ovss", verb, path, "--backend", backend, "--json", *more]
        status, said = proof.run(name, words, min(seconds, proof.left, 60))
        seconds -= time.monotonic() - began
        try:
            row[verb] = json.loads(said)
        except ValueError:
            why = "the time was up" if status is None else proof.last_words(name)
            row[verb] = {"not_run": why}
        if "not_run" in row[verb] and verb == "selftest":
            break  # the same words again
    return row


def table(found: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    lines: list[str] = []
    for model, entry in found["models"].items():
        lines += [f"### {model}\n"]
        if "not_run" in entry:
            lines += [f"Not run: {entry['not_run']}.\n"]
        if "race" in entry:
            lines += [race_table(entry["race"]), ""]
        if entry.get("checks"):
            lines += [_checks(entry["checks"]), ""]
    return "\n".join(lines)


def _checks(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| bundle, backend | selftest | labels equal to the CPU's | bench p50 ms | p99 ms | "
        "on the GPU's clock, p50 ms |",
        "|" + "---|" * 6,
    ]
    late = []
    for row in rows:
        title = f"{row['bundle'].upper()}, `{row['backend']}`"
        if row["selftest"].get("not_run") == TIME_WAS_UP:
            late.append(title)
            continue
        test, bench = row["selftest"], row.get("bench", {})
        if "not_run" in test:
            lines.append(f"| {title} | not run: {test['not_run']} | | | | |")
            continue
        verdict = "passed" if test.get("passed") else "FAILED"
        stages = bench["subjects"][0]["stages_ms"] if "subjects" in bench else {}
        times, device = stages.get("total", {}), stages.get("device", {}).get("p50")
        cells = [title, verdict, _percent(test.get("agreement"))]
        cells += [_number(times.get("p50")), _number(times.get("p99")), _number(device)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, *out_of_time(late)])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.3f} %"


if __name__ == "__main__":
    main()
