"""The key of an engine: everything that decides whether it may be loaded, checked beforehand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from edge_ovss.bundle.json_fields import Fields
from edge_ovss.runtime.trt.frame_sizes import FrameRange
from edge_ovss.runtime.trt.gpu import Gpu, platform_name
from edge_ovss.runtime.trt.variants import Flavor

# Increased when the way in which a graph becomes an engine changes.
RECIPE = 1


HARDWARE, VERSION = "hardware", "version"
COMPATIBLE = (HARDWARE, VERSION)
"""What an engine for desktops can be made compatible with, at some cost in speed."""

_AMPERE = 8.0
_OF_THE_GPU = ("GPU", "driver or L4T")


@dataclass(frozen=True)
class Flags:
    """Options of the builder; None leaves the choice to it.

    Attributes:
        optimization_level: 0 to 5.
        workspace_mib: Limit of the scratch memory.
        tf32: Whether FP32 may be computed in TF32.
        compatible: What else runs the engine: "hardware" (other GPUs), "version" (later TensorRT).
    """

    optimization_level: int | None = None
    workspace_mib: int | None = None
    tf32: bool = False
    compatible: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return them as a JSON object; what older versions do not know is left out if unused."""
        found = asdict(self)
        found["compatible"] = list(self.compatible)
        return found if self.compatible else {k: v for k, v in found.items() if k != "compatible"}

    def options(self) -> list[str]:
        """Return the options that are set, as arguments of `edge-ovss build`."""
        words = ["--tf32"] if self.tf32 else []
        if self.optimization_level is not None:
            words += ["--optimization-level", str(self.optimization_level)]
        if self.workspace_mib is not None:
            words += ["--workspace", str(self.workspace_mib)]
        if self.compatible:
            words += ["--compatible", ",".join(self.compatible)]
        return words


@dataclass(frozen=True)
class Surroundings:
    """The environment that an engine is bound to.

    Attributes:
        backend: "tensorrt" or "tensorrt-rtx".
        library: Full version of TensorRT.
        platform: Platform such as "linux-aarch64"; for TensorRT for RTX only the processor.
        capabilities: Compute capabilities that the engine is built for.
        device: Name of the GPU; None if the engine fits every GPU of its capabilities.
        system: L4T release or driver version; None likewise.
        recipe: Version of the build procedure, `RECIPE`.
    """

    backend: str
    library: str
    platform: str
    capabilities: tuple[str, ...]
    device: str | None
    system: str | None
    recipe: int = RECIPE


@dataclass(frozen=True)
class EngineKey:
    """The whole key; `graph` is the hash of the ONNX file and its external data."""

    graph: str
    surroundings: Surroundings
    frames: FrameRange
    flags: Flags

    @property
    def digest(self) -> str:
        """The sha256 of the key in canonical JSON."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def name(self) -> str:
        """The name of the engine's folder."""
        return f"{self.surroundings.backend}-{self.digest[:16]}"

    def to_json(self) -> dict[str, object]:
        """Return the key as a JSON object."""
        sizes = (self.frames.smallest, self.frames.best, self.frames.largest)
        frames = {name: list(size) for name, size in zip(("min", "opt", "max"), sizes, strict=True)}
        surroundings = asdict(self.surroundings)
        surroundings["capabilities"] = list(self.surroundings.capabilities)
        return {
            "graph": self.graph,
            **surroundings,
            "frames": frames,
            "flags": self.flags.to_json(),
        }

    @classmethod
    def from_json(cls, fields: Fields) -> EngineKey:
        """Read what `to_json` wrote.

        Raises:
            BundleError: A field is missing or has the wrong type.
        """
        flags, frames = fields.section("flags"), fields.section("frames")
        return cls(
            graph=fields.text("graph"),
            surroundings=Surroundings(
                backend=fields.text("backend"),
                library=fields.text("library"),
                platform=fields.text("platform"),
                capabilities=fields.texts("capabilities"),
                device=fields.optional_text("device"),
                system=fields.optional_text("system"),
                recipe=fields.integer("recipe"),
            ),
            frames=FrameRange(*(_size(frames, name) for name in ("min", "opt", "max"))),
            flags=Flags(
                optimization_level=flags.optional_integer("optimization_level"),
                workspace_mib=flags.optional_integer("workspace_mib"),
                tf32=flags.flag("tf32"),
                compatible=flags.texts("compatible") if "compatible" in flags.values else (),
            ),
        )


def _size(fields: Fields, key: str) -> tuple[int, int]:
    values = fields.integers(key)
    if len(values) != 2:
        fields.refuse(key, "height and width")
    return values[0], values[1]


def surroundings_here(
    flavor: Flavor, *, version: str, capabilities: tuple[str, ...], gpu: Gpu | None
) -> Surroundings:
    """Return the environment that an engine built here is bound to."""
    bound = flavor.needs_gpu and gpu is not None
    return Surroundings(
        backend=flavor.backend,
        library=version,
        platform=platform_name() if flavor.needs_gpu else platform_name().split("-")[1],
        capabilities=capabilities,
        device=gpu.name if bound and gpu is not None else None,
        system=gpu.system if bound and gpu is not None else None,
    )


@dataclass(frozen=True)
class Difference:
    """One difference between an engine and this machine."""

    what: str
    engine: str
    here: str

    def __str__(self) -> str:
        return f"{self.what}: the engine is for {self.engine}, here is {self.here}"


def differences(
    key: EngineKey, *, graph: str, here: Surroundings, gpu: Gpu | None
) -> list[Difference]:
    """Return the reasons why an engine does not fit; [] if it may be loaded.

    Args:
        key: Key of the engine.
        graph: `graph_hash` of the bundle.
        here: The environment of this machine.
        gpu: The local GPU.
    """
    theirs = key.surroundings
    bound = _bound(theirs, here)
    if HARDWARE in key.flags.compatible and gpu is not None and not gpu.jetson:
        bound = {what: pair for what, pair in bound.items() if what not in _OF_THE_GPU}
    if VERSION in key.flags.compatible and is_later(here.library, than=theirs.library):
        del bound["TensorRT version"]
    found = _unequal({"graph": (key.graph, graph), **bound})
    capability = None if gpu is None else gpu.capability
    if HARDWARE in key.flags.compatible and gpu is not None and is_ampere(gpu):
        return found
    if capability not in theirs.capabilities:
        built = ", ".join(theirs.capabilities) or "none"
        found.append(Difference("compute capability", built, capability or "no GPU"))
    return found


def key_differences(theirs: EngineKey, wanted: EngineKey) -> list[Difference]:
    """Return the differences between the key of an engine and the wanted one; [] if equal."""
    one, other = theirs.surroundings, wanted.surroundings
    return _unequal(
        {
            "graph": (theirs.graph, wanted.graph),
            **_bound(one, other),
            "compute capability": (", ".join(one.capabilities), ", ".join(other.capabilities)),
            "frames": (str(theirs.frames), str(wanted.frames)),
            "flags": (_flags_text(theirs.flags), _flags_text(wanted.flags)),
        }
    )


def is_ampere(gpu: Gpu) -> bool:
    """Return whether a GPU runs hardware-compatible engines: Ampere or later, no Jetson."""
    return not gpu.jetson and float(gpu.capability) >= _AMPERE


def is_later(here: str, *, than: str) -> bool:
    """Return whether a version is of the same major version and not earlier."""
    try:
        ours, theirs = ([int(part) for part in text.split(".")] for text in (here, than))
    except ValueError:
        return False
    return ours[0] == theirs[0] and ours >= theirs


def _bound(theirs: Surroundings, here: Surroundings) -> dict[str, tuple[object, object]]:
    return {
        "backend": (theirs.backend, here.backend),
        "TensorRT version": (theirs.library, here.library),
        "platform": (theirs.platform, here.platform),
        "GPU": (theirs.device, here.device),
        "driver or L4T": (theirs.system, here.system),
        "build recipe": (theirs.recipe, here.recipe),
    }


def _unequal(pairs: Mapping[str, tuple[object, object]]) -> list[Difference]:
    cut = 12  # shorten a sha256; other values are shown in full
    return [
        Difference(what, *(str(value)[:cut] if what == "graph" else str(value) for value in pair))
        for what, pair in pairs.items()
        if pair[0] != pair[1]
    ]


def _flags_text(flags: Flags) -> str:
    return " ".join(flags.options()) or "none"
