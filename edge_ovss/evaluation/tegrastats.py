"""Record power, clocks and temperatures of a Jetson with its `tegrastats`."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_MEMORY = re.compile(r"\bRAM (\d+)/(\d+)MB")
_GPU = re.compile(r"\bGR3D_FREQ (\d+)%(?:@\[?([\d,]+)\]?)?")
_CORES = re.compile(r"\bCPU \[([^\]]*)\]")
_CORE = re.compile(r"(\d+)%@(\d+)")
_TEMPERATURE = re.compile(r"\b([A-Za-z][\w-]*)@(-?\d+(?:\.\d+)?)C\b")
_RAIL = re.compile(r"\b([A-Z][A-Z0-9_]+) (\d+)mW/\d+mW")
_WHOLE_BOARD = ("VDD_IN", "POM_5V_IN")
_DEVFREQ = Path("/sys/class/devfreq")
# Reading of a sensor that is switched off.
_NO_TEMPERATURE = -200.0


@dataclass(frozen=True)
class BoardSample:
    """One line of tegrastats.

    Attributes:
        ram_mib: Memory in use, shared by CPU and GPU.
        gpu_percent: Load of the GPU.
        gpu_mhz: Clocks of the GPU's clusters.
        cpu_percent: Load of each core that is on.
        cpu_mhz: Clock of each core that is on.
        celsius: Temperature by sensor.
        milliwatts: Current power by rail.
    """

    ram_mib: int | None = None
    gpu_percent: int | None = None
    gpu_mhz: tuple[int, ...] = ()
    cpu_percent: tuple[int, ...] = ()
    cpu_mhz: tuple[int, ...] = ()
    celsius: dict[str, float] = field(default_factory=dict)
    milliwatts: dict[str, int] = field(default_factory=dict)

    @property
    def board_milliwatts(self) -> int | None:
        """Power of the whole board if a rail reports it, else the sum of the rails."""
        if not self.milliwatts:
            return None
        whole = [self.milliwatts[rail] for rail in _WHOLE_BOARD if rail in self.milliwatts]
        return whole[0] if whole else sum(self.milliwatts.values())


def parse_line(line: str) -> BoardSample:
    """Parse one line; missing and unknown fields are omitted."""
    memory, gpu, cores = _MEMORY.search(line), _GPU.search(line), _CORES.search(line)
    loads = _CORE.findall(cores[1]) if cores else []
    heat = {name: float(value) for name, value in _TEMPERATURE.findall(line)}
    return BoardSample(
        ram_mib=int(memory[1]) if memory else None,
        gpu_percent=int(gpu[1]) if gpu else None,
        gpu_mhz=tuple(int(c) for c in gpu[2].split(",") if c) if gpu and gpu[2] else (),
        cpu_percent=tuple(int(load) for load, _ in loads),
        cpu_mhz=tuple(int(clock) for _, clock in loads),
        celsius={name: value for name, value in heat.items() if value > _NO_TEMPERATURE},
        milliwatts={name: int(value) for name, value in _RAIL.findall(line)},
    )


def summarize_samples(samples: Sequence[BoardSample]) -> dict[str, object]:
    """Return means, maxima and the range of clocks over the samples as a JSON object."""
    power = [p for s in samples if (p := s.board_milliwatts) is not None]
    rails = sorted({rail for sample in samples for rail in sample.milliwatts})
    sensors = sorted({sensor for sample in samples for sensor in sample.celsius})
    return {
        "samples": len(samples),
        "power_mw_mean": _mean(power),
        "power_mw_max": max(power, default=None),
        "rails_mw_mean": {
            rail: _mean(s.milliwatts[rail] for s in samples if rail in s.milliwatts)
            for rail in rails
        },
        "celsius_max": {
            sensor: max(s.celsius[sensor] for s in samples if sensor in s.celsius)
            for sensor in sensors
        },
        "gpu_percent_mean": _mean(s.gpu_percent for s in samples if s.gpu_percent is not None),
        "gpu_mhz": _range(clock for s in samples for clock in s.gpu_mhz),
        "cpu_mhz": _range(clock for s in samples for clock in s.cpu_mhz),
        "ram_mib_max": max((s.ram_mib for s in samples if s.ram_mib is not None), default=None),
    }


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return sum(listed) / len(listed) if listed else None


def _range(values: Iterable[int]) -> list[int] | None:
    listed = list(values)
    return [min(listed), max(listed)] if listed else None


def parse_power_mode(text: str) -> str | None:
    """Return the power mode in the output of `nvpmodel -q`, such as "MAXN"."""
    found = re.search(r"NV Power Mode\s*:\s*(.+)", text)
    return found[1].strip() if found else None


def power_mode() -> str | None:
    """Return the power mode of this Jetson, or None elsewhere."""
    program = shutil.which("nvpmodel")
    if program is None:
        return None
    try:
        command = [program, "-q"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_power_mode(done.stdout)


def gpu_clock_locked(devfreq: Path = _DEVFREQ) -> bool | None:
    """Return whether the GPU clock is locked, as after `jetson_clocks`; None if unknown."""
    for folder in sorted(devfreq.glob("*gpu*")):
        try:
            limits = [int((folder / name).read_text()) for name in ("min_freq", "max_freq")]
        except (OSError, ValueError):
            continue
        return limits[0] == limits[1]
    return None


class Watch:
    """Collects tegrastats while a `with` block runs; does nothing on other machines.

    Args:
        interval_ms: Interval between two samples.
    """

    def __init__(self, interval_ms: int = 200) -> None:
        self.samples: list[BoardSample] = []
        self._interval_ms = interval_ms
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Watch:
        program = shutil.which("tegrastats")
        if program is not None:
            command = [program, "--interval", str(self._interval_ms)]
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()
        return self

    def _read(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self.samples.extend(parse_line(line) for line in self._process.stdout)

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._reader is not None:
            self._process.terminate()
            self._process.wait(timeout=10)
            self._reader.join(timeout=10)

    def summary(self) -> dict[str, object] | None:
        """Return a summary of the samples, or None where there is no tegrastats."""
        if not self.samples:
            return None
        board = {"power_mode": power_mode(), "gpu_clock_locked": gpu_clock_locked()}
        return {**board, **summarize_samples(self.samples)}
