"""Describe the scope of an evaluation: which data, which part of it, what was left out."""

from __future__ import annotations

from edge_ovss.report.data import Document


def title_of(evaluation: Document) -> str:
    """Return the data set, or the folder, and the subset that was scored."""
    named = evaluation["dataset"] == "folder" and evaluation.get("source")
    source = evaluation["source"] if named else ""
    parts = (evaluation["dataset"], source, evaluation["subset"])
    return " ".join(str(part) for part in parts if part)


def scope_of(evaluation: Document) -> str:
    """Return the qualifier of every mIoU: "2 of 11 categories", or "" if all are scored."""
    left_out = evaluation.get("categories_left_out") or []
    if not left_out:
        return ""
    labels = _labels(evaluation)
    if not labels:
        return f"{len(left_out)} categories left out"
    return f"{labels['categories_scored']} of {labels['categories']} categories"


def _labels(evaluation: Document) -> Document:
    """Return the coverage of the pixels; {} in a measurement of an older version."""
    labels = evaluation.get("labels")
    kinds = {
        "categories": int,
        "categories_scored": int,
        "left_out_share": float,
        "ignored_share": float,
        "ignored": dict,
        "never_occur": list,
    }
    if not isinstance(labels, dict):
        return {}
    return labels if all(isinstance(labels.get(k), kind) for k, kind in kinds.items()) else {}


def remarks_of(evaluation: Document) -> list[str]:
    """Return the limits of an evaluation's numbers, one sentence each."""
    left_out = [str(name).strip() for name in evaluation.get("categories_left_out") or []]
    known = _labels(evaluation)
    remarks = []
    if left_out:
        share = f" ({known['left_out_share']:.1f} % of the pixels)" if known else ""
        remarks.append(
            f"left out of every number, not in the vocabulary: {', '.join(left_out)}{share}"
        )
    unnamed = [str(name).strip() for name in evaluation.get("categories_unknown") or []]
    if unnamed:
        remarks.append(
            f"no word of the vocabulary, so that 'unknown' is right: {', '.join(unnamed)}"
        )
    if known.get("ignored"):
        numbers = ", ".join(known["ignored"])
        remarks.append(f"{known['ignored_share']:.1f} % of the pixels are ignored, as {numbers}")
    if known.get("never_occur"):
        remarks.append(f"never occur: {', '.join(str(n).strip() for n in known['never_occur'])}")
    said = "left out of every number"
    return remarks + [w for w in map(str, evaluation.get("warnings") or []) if said not in w]
