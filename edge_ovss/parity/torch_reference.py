"""The torch model behind a bundle, rebuilt from its manifest.

Only this file of the package imports `export`, and only inside functions, because only comparing
with torch needs torch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss.bundle.reader import Bundle
from edge_ovss.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from edge_ovss.export.family import LoadedModel

_OUTPUTS = ("labels", "alive", "counts", "scores")

Array = NDArray[Any]


@dataclass(frozen=True)
class TorchAnswer:
    """The outputs of torch for one frame.

    Attributes:
        labels: uint8 or uint16 [H, W].
        alive: int32 [n], ids of the surviving categories, without empty slots.
        counts: int32 [3].
        scores: float32 [T, h, w].
        timings: Milliseconds of "infer" and "total".
    """

    labels: Array
    alive: Array
    counts: Array
    scores: Array
    timings: Mapping[str, float]


class TorchReference:
    """The graph of a bundle in torch, always in FP32.

    Args:
        graph: A frozen module of `edge_ovss.export` with the outputs `_OUTPUTS`.
    """

    name = "torch"

    def __init__(self, graph: Any) -> None:  # noqa: ANN401 (a torch module)
        self.graph = graph

    @classmethod
    def open(
        cls,
        bundle: Bundle,
        *,
        checkpoint: str | Path | None = None,
        embeddings: str | Path | None = None,
        threads: int | None = None,
    ) -> TorchReference:
        """Rebuild the model with the weights, vocabulary, size and rejection of a bundle.

        Args:
            bundle: The bundle.
            checkpoint: The checkpoint of the export; not needed for random or embedded weights.
            embeddings: The embedding pack of the export, instead of the text tower.
            threads: CPU threads of torch; None for torch's default.

        Raises:
            UsageError: A checkpoint is missing, or given although none was used.
            CheckpointError: The weights are not those of the bundle.
            MissingDependencyError: torch is not installed.
        """
        loaded = load_torch(bundle, checkpoint=checkpoint, embeddings=embeddings, threads=threads)
        rejection = bundle.manifest.rejection
        if rejection.mode != "slots":
            rejection = rejection.fit(len(bundle.vocabulary))
        elif bundle.manifest.open is not None:  # it has more places than words, torch has not
            rejection = rejection.cut(len(bundle.vocabulary))
        return cls(loaded.freeze(rejection, _OUTPUTS))

    def segment(self, frame: NDArray[np.uint8]) -> TorchAnswer:
        """Segment one frame, uint8 [H, W, 3] RGB."""
        torch = require("torch", extra="export")
        start = time.perf_counter()
        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(frame))[None]
            answers = self.graph(batch)
        found = {k: v.numpy() for k, v in zip(_OUTPUTS, answers, strict=True)}
        total = 1e3 * (time.perf_counter() - start)
        alive = found["alive"]
        return TorchAnswer(
            labels=found["labels"][0],
            alive=alive[alive >= 0],
            counts=found["counts"],
            scores=found["scores"][0],
            timings={"infer": total, "total": total},
        )

    def block_paths(self) -> tuple[str, ...]:
        """Return the paths of the modules whose outputs `blocks` can return."""
        return tuple(path for path in self._modules() if path)

    def _modules(self) -> dict[str, Any]:
        # List a module with two paths under both: the graph has only one of them.
        return dict(self.graph.named_modules(remove_duplicate=False))

    def prepared(self, frame: NDArray[np.uint8]) -> Array | None:
        """Return the resized image before the first module; None if the model has none."""
        if not hasattr(self.graph, "prepare"):
            return None
        torch = require("torch", extra="export")
        with torch.inference_mode():
            found = self.graph.prepare(torch.from_numpy(np.ascontiguousarray(frame))[None])
            picture: Array = found.numpy()
        return picture

    def blocks(self, frame: NDArray[np.uint8], paths: Sequence[str]) -> dict[str, Array]:
        """Return the outputs of modules for one frame, except of those with several outputs.

        For a module that runs several times, the last output is returned.
        """
        torch = require("torch", extra="export")
        seen: dict[str, Array] = {}

        def keep(path: str) -> Callable[[object, object, object], None]:
            def hook(_module: object, _inputs: object, output: object) -> None:
                if isinstance(output, torch.Tensor):
                    seen[path] = output.detach().numpy().copy()

            return hook

        modules = self._modules()
        hooks = [modules[path].register_forward_hook(keep(path)) for path in paths]
        try:
            self.segment(frame)
        finally:
            for hook in hooks:
                hook.remove()
        return seen


def load_torch(
    bundle: Bundle,
    *,
    checkpoint: str | Path | None = None,
    embeddings: str | Path | None = None,
    threads: int | None = None,
) -> LoadedModel:
    """Rebuild the torch model of a bundle with its weights, vocabulary and size.

    Args:
        bundle: The bundle.
        checkpoint: As for `TorchReference.open`.
        embeddings: As for `TorchReference.open`.
        threads: As for `TorchReference.open`.

    Raises:
        UsageError, CheckpointError, MissingDependencyError: As for `TorchReference.open`.
    """
    torch = require("torch", extra="export")
    if threads is not None:
        torch.set_num_threads(threads)
    from edge_ovss.export.loading import load_for_export
    from edge_ovss.export.options import ExportOptions

    manifest = bundle.manifest
    options = ExportOptions(
        model=manifest.model.name,
        **_weights(bundle, checkpoint),
        embeddings=None if embeddings is None else str(embeddings),
        size=(manifest.picture.height, manifest.picture.width),
        answer=manifest.output.answer,
    )
    loaded = load_for_export(bundle.vocabulary, options)
    _check_weights(bundle, loaded.model.origin.sha256)
    return loaded


def _weights(bundle: Bundle, checkpoint: str | Path | None) -> dict[str, Any]:
    """Return the export options that select the weights of a bundle."""
    weights = bundle.manifest.model.weights
    if weights.source == "checkpoint":
        if checkpoint is None:
            message = f"The bundle was exported from the checkpoint '{weights.file}'."
            raise UsageError(message, hint="Give that file with --checkpoint.")
        return {"checkpoint": str(checkpoint)}
    if checkpoint is not None:
        message = f"A checkpoint is given, but the bundle has {weights.source} weights."
        raise UsageError(message, hint="Drop --checkpoint.")
    if weights.source == "random":
        return {"weights": "random", "seed": weights.seed or 0}
    return {"weights": "embedded"}


def _check_weights(bundle: Bundle, sha256: str | None) -> None:
    expected = bundle.manifest.model.weights.sha256
    if expected is not None and sha256 != expected:
        message = (
            f"The weights have the sha256 {(sha256 or 'none')[:12]}…; "
            f"the bundle was exported from {expected[:12]}…."
        )
        raise CheckpointError(message, hint="Give the checkpoint that the manifest names.")
