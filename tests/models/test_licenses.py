"""The licenses of a model follow from its checkpoint, whatever name the model has."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_ovss.bundle.sections import WeightsInfo
from edge_ovss.metrics.license_terms import NON_COMMERCIAL, use_of
from edge_ovss.models import load_model
from edge_ovss.models.licenses import FamilyTerms, checkpoint_terms

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

NONE = "unknown: the checkpoint states none"


def save_tiny(path: Path, metadata: dict[str, str] | None = None) -> Path:
    tensors = load_model("sed-tiny", weights="random").state_dict()
    tensors = {name: value.contiguous().clone() for name, value in tensors.items()}
    safetensors.save_file(tensors, path, metadata=metadata)
    return path


def test_random_numbers_need_no_license() -> None:
    found = load_model("san-tiny", weights="random").licenses
    assert found["weights"].startswith("none")
    assert use_of(found).status == "commercial"


def test_the_embedded_weights_were_trained_on_research_data() -> None:
    found = load_model("sed-tiny").licenses
    assert found["weights"].startswith("Apache-2.0")
    use = use_of(found)
    assert use.status == NON_COMMERCIAL
    assert list(use.barred) == ["training_data"]


def test_another_checkpoint_of_the_same_model_is_unknown(tmp_path: Path) -> None:
    found = load_model("sed-tiny", checkpoint=save_tiny(tmp_path / "a.safetensors")).licenses
    assert found == {
        "code": "Apache-2.0",
        **dict.fromkeys(("weights", "text_encoder", "training_data"), NONE),
    }


def test_the_embedded_file_under_another_name_is_known(tmp_path: Path) -> None:
    from edge_ovss.models.registry import EMBEDDED

    copy = tmp_path / "mine.safetensors"
    copy.write_bytes((EMBEDDED / "sed_tiny.safetensors").read_bytes())
    found = load_model("sed-tiny", checkpoint=copy).licenses
    assert found == load_model("sed-tiny").licenses


def test_what_a_safetensors_file_states_is_taken_over(tmp_path: Path) -> None:
    metadata = {"license": "MIT", "license_training_data": "CC-BY-NC-4.0, own images"}
    path = save_tiny(tmp_path / "b.safetensors", metadata)
    found = load_model("sed-tiny", checkpoint=path).licenses
    assert found["weights"] == found["text_encoder"] == "MIT (stated by the checkpoint)"
    assert list(use_of(found).barred) == ["training_data"]


@pytest.mark.parametrize("text", ["", " ", "none", "None", "none: see the page"])
def test_no_license_is_not_nothing_to_license(tmp_path: Path, text: str) -> None:
    metadata = {"license": text, "license_training_data": "CC0-1.0"}
    path = tmp_path / "e.safetensors"
    safetensors.save_file({"x": torch.zeros(1)}, path, metadata=metadata)
    origin = WeightsInfo("checkpoint", file=path.name, sha256="0" * 64)
    found = checkpoint_terms(FamilyTerms(), origin, path, added_tower=False)
    assert list(use_of(found).unknown) == ["weights", "text_encoder"]


def test_a_torch_file_states_nothing(tmp_path: Path) -> None:
    torch.save(load_model("sed-tiny").state_dict(), tmp_path / "c.pth")
    found = load_model("sed-tiny", checkpoint=tmp_path / "c.pth").licenses
    assert found["weights"] == found["training_data"] == NONE


def test_parts_of_other_origin_keep_their_licenses(tmp_path: Path) -> None:
    path = save_tiny(tmp_path / "d.safetensors", {"license": "Apache-2.0"})
    terms = FamilyTerms(parts={"mask_proposals": "CC-BY-NC-4.0"})
    origin = WeightsInfo("checkpoint", file=path.name, sha256="0" * 64)
    found = checkpoint_terms(terms, origin, path, added_tower=True)
    assert found["text_encoder"].startswith("MIT (OpenAI's CLIP")
    assert found["weights"].startswith("Apache-2.0")
    assert list(use_of(found).barred) == ["mask_proposals"]
