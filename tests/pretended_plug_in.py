"""ONNX Runtime with NVIDIA's plug-in, pretended: sessions run on the CPU, buffers are fake."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import onnx
import onnxruntime

EP = "NvTensorRTRTXExecutionProvider"
CPU = "CPUExecutionProvider"
OPTIONS = {
    "has_user_compute_stream",
    "user_compute_stream",
    "enable_cuda_graph",
    "nv_runtime_cache_path",
}


class PretendedPackage(ModuleType):
    """The package of the plug-in."""

    __version__ = "0.5.0"

    def __init__(self) -> None:
        super().__init__("onnxruntime_ep_nv_tensorrt_rtx")
        print("the plug-in talks when it is imported")

    @staticmethod
    def get_ep_name() -> str:
        return EP

    @staticmethod
    def get_library_path() -> str:
        return "/pretended/libonnxruntime_providers_nv_tensorrt_rtx.so"


class PretendedOptions:
    """`SessionOptions` that also keep what the plug-in is asked for."""

    def __init__(self) -> None:
        object.__setattr__(self, "real", onnxruntime.SessionOptions())
        object.__setattr__(self, "asked", None)
        object.__setattr__(self, "sizes", {})

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self.real, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self.real, name, value)

    def add_free_dimension_override_by_name(self, name: str, value: int) -> None:
        self.sizes[name] = value
        self.real.add_free_dimension_override_by_name(name, value)

    def add_provider_for_devices(self, devices: list[Any], settings: dict[str, str]) -> None:
        assert [device.ep_name for device in devices] == [EP]
        unknown = set(settings) - OPTIONS
        if unknown:
            message = f'Unknown provider option: "{unknown.pop()}"'
            raise RuntimeError(message)
        object.__setattr__(self, "asked", settings)


class PretendedRuntime:
    """The module onnxruntime, with what the plug-in needs."""

    def __init__(self, version: str = "1.31.1", lists: int = 1) -> None:
        self.__version__ = version
        self.driver = importlib.import_module("fake_cuda").FakeCuda("8.9", "RTX 4090 (pretended)")
        self.lists = lists
        self.registered: list[str] = []
        self.compiled: list[Path] = []
        self.sessions: list[PretendedSession] = []
        self.loads = True
        self.captures = True
        self.SessionOptions = PretendedOptions

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(onnxruntime, name)

    def register_execution_provider_library(self, name: str, path: str) -> None:
        if not self.loads:
            message = "Failed to load library: libnvidia-ml.so.1: cannot open shared object file"
            raise RuntimeError(message)
        assert name not in self.registered, "ONNX Runtime refuses to register a library twice"
        self.registered.append(name)

    def get_ep_devices(self) -> list[Any]:
        found = [SimpleNamespace(ep_name=CPU)]
        return found + [SimpleNamespace(ep_name=name) for name in self.registered * self.lists]

    def ModelCompiler(self, options: PretendedOptions, path: str, **given: Any) -> Any:  # noqa: ANN401
        assert given == {"embed_compiled_data_into_model": True}
        assert options.asked == {}, "an engine depends on no stream"

        def compile_to_file(place: str) -> None:
            model = onnx.load(path)  # with its weights: what is compiled stands alone
            for side in (d for i in model.graph.input for d in i.type.tensor_type.shape.dim):
                if side.dim_param in options.sizes:
                    side.dim_value = options.sizes[side.dim_param]
            onnx.save(model, place)
            self.compiled.append(Path(place))

        return SimpleNamespace(compile_to_file=compile_to_file)

    def InferenceSession(self, path: str, *, sess_options: PretendedOptions) -> Any:  # noqa: ANN401
        if "enable_cuda_graph" in sess_options.asked and not self.captures:
            message = "CUDA graph capture is unavailable"
            raise RuntimeError(message)
        real = onnxruntime.InferenceSession(path, sess_options=sess_options.real, providers=[CPU])
        self.sessions.append(PretendedSession(real, self, Path(path), dict(sess_options.asked)))
        return self.sessions[-1]


class PretendedSession:
    """A session on the pretended GPU, which leaves a kernel behind where it is told to."""

    def __init__(
        self,
        real: Any,  # noqa: ANN401
        runtime: PretendedRuntime,
        path: Path,
        settings: dict[str, str],
    ) -> None:
        self.real, self.runtime, self.path, self.settings = real, runtime, path, settings
        self.found = sorted(each.name for each in self._kernels())

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self.real, name)

    def get_providers(self) -> list[str]:
        return [EP, CPU]

    def io_binding(self) -> PretendedBinding:
        return PretendedBinding(self.real.io_binding(), self.runtime.driver)

    def run_with_iobinding(self, binding: PretendedBinding) -> None:
        assert self.settings["has_user_compute_stream"] == "1"
        self.runtime.driver.cuStreamSynchronize(int(self.settings["user_compute_stream"]))
        self.real.run_with_iobinding(binding.real)
        if "nv_runtime_cache_path" in self.settings:
            (Path(self.settings["nv_runtime_cache_path"]) / "kernels.bin").write_bytes(b"native")

    def _kernels(self) -> list[Path]:
        place = self.settings.get("nv_runtime_cache_path")
        return [] if place is None else list(Path(place).iterdir())


class PretendedBinding:
    """A binding whose device is memory of the pretended driver."""

    def __init__(self, real: Any, driver: Any) -> None:  # noqa: ANN401
        self.real, self.driver = real, driver

    def bind_input(self, name: str, device: str, *rest: Any) -> None:  # noqa: ANN401
        assert (device, rest[-1] in self.driver.blocks) == ("cuda", True)
        self.real.bind_input(name, "cpu", *rest)

    def bind_output(self, name: str, device: str = "cpu", *rest: Any) -> None:  # noqa: ANN401
        assert device == "cpu" or rest[-1] in self.driver.blocks
        self.real.bind_output(name, "cpu", *rest)

    def get_outputs(self) -> Any:  # noqa: ANN401
        return self.real.get_outputs()
