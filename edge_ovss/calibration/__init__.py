"""Precision, written into the ONNX file: FP16 with FP32 islands, and measured INT8.

Needs onnx, ONNX Runtime and OpenCV (extra `export`), not torch.
"""

from edge_ovss.calibration.calibrate import Calibrated, calibrate_bundle
from edge_ovss.calibration.images import CalibrationPictures, collect_pictures
from edge_ovss.calibration.options import CalibrateOptions, Validation
from edge_ovss.calibration.ranges import RangeMethod
from edge_ovss.calibration.recipe import Recipe

__all__ = [
    "CalibrateOptions",
    "Calibrated",
    "CalibrationPictures",
    "RangeMethod",
    "Recipe",
    "Validation",
    "calibrate_bundle",
    "collect_pictures",
]
