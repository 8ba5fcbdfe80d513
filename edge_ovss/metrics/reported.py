"""The names of what is reported: mIoU protocols, and the numbers that `--gate` takes per verb."""

from __future__ import annotations

VSPW = "vspw"
PROTOCOLS = {
    "d2-main": "mean over the categories that are in the ground truth",
    "d2-0.6+mmseg": "mean over the categories in the ground truth or in a prediction",
    VSPW: "as d2-0.6+mmseg; VC of videos as VSPW's script counts it",
}
DEFAULT_PROTOCOL = "d2-main"

EVALUATION = (
    "miou",
    "miou_d2_main",
    "miou_d2_06_mmseg",
    "pixel_accuracy",
    "mean_accuracy",
    "fw_iou",
    "pictures",
    "overflow_share",
    "coverage",
    "risk",
    "known_miou",
    "unknown_precision",
    "unknown_recall",
    "unknown_iou",
    "aurc",
    "p50_ms",
    "p90_ms",
    "p99_ms",
    "max_ms",
)

VIDEO = (
    "vc8",
    "vc16",
    "vc8_right",
    "vc16_right",
    "vc8_area",
    "vc16_area",
    "tc",
    "tc_truth",
    "flicker",
    "change",
    "flashes",
    "age_ms",
    "held",
    "inferences",
    "miou_drop",
    "flicker_ratio",
    "key_p50_ms",
    "key_p99_ms",
    "other_p50_ms",
    "other_p99_ms",
)
"""What `eval` measures of videos besides `EVALUATION`."""

TUNED = {
    "miou": "mean IoU of the words and of 'unknown', which is right where the truth is no word",
    "pixel_accuracy": "share of right pixels, which hardly counts what is small or rare",
}
"""Figures that thresholds of "unknown" can be tuned for; the first is the default."""

BENCHMARK = (
    "mean_ms",
    "p50_ms",
    "p90_ms",
    "p99_ms",
    "max_ms",
    "infer_p50_ms",
    "device_p50_ms",
    "throughput_fps",
    "peak_mib",
    "cold_start_s",
    "speedup_p50",
)

TUNING = (
    "mean_ms",
    "p50_ms",
    "p90_ms",
    "p99_ms",
    "throughput_fps",
    "speedup_p50",
    "peak_mib",
    "bundle_mib",
    "miou",
    "miou_drop",
    "miou_drop_high",
    "overflow_share",
)
"""What `tune` measures of a candidate; the drop is in points, against the default export."""

PARITY = (
    "frames",
    "label_agreement",
    "label_agreement_min",
    "undecided",
    "score_error",
    "score_max_error",
    "score_cosine",
    "miou",
    "miou_torch",
    "miou_drop",
    "miou_drop_high",
    "worst_category_drop",
)
