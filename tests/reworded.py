"""A golden case by way of an open bundle: exported with another word, then given the case's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ovss.bundle.rejection import Rejection
from edge_ovss.export import ExportOptions, bundle_export
from edge_ovss.export.family import LoadedModel
from edge_ovss.runtime.result import Result
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.vocabulary import Vocabulary

PLACES = 32


def answer_with_other_words(
    wanted: LoadedModel,
    frame: NDArray[np.uint8],
    folder: Path,
    patch: pytest.MonkeyPatch,
    rejection: Rejection,
) -> Result:
    """Return the answer of an open bundle whose words are changed to those wanted.

    Args:
        wanted: A model with the words of a case and their embeddings.
        frame: uint8 [H, W, 3].
        folder: An empty one.
        patch: Puts the model in the place of a checkpoint's.
        rejection: Of the bundle.
    """
    before = Vocabulary.from_names(["something else"])
    embeddings = wanted.model.encode_text(before)
    loaded = replace(wanted, vocabulary=before, embeddings=embeddings, places=PLACES)

    def load(*_: Any, **__: Any) -> LoadedModel:  # noqa: ANN401
        return loaded

    patch.setattr(bundle_export, "load_for_export", load)
    options = ExportOptions(
        model=wanted.model.spec.name,
        weights="random",
        size=wanted.size,
        rejection=rejection,
        open_places=PLACES,
        outputs=("labels", "scores"),
        unknown="off",
    )
    bundle = bundle_export.export_bundle(before, folder / "open.ovss", options)
    pack = folder / "words.npz"
    wanted.embeddings.save(pack)
    with Segmenter.open(bundle, threads=1) as segmenter:
        segmenter.set_words(wanted.vocabulary, embeddings=pack)
        return segmenter.segment(frame)
