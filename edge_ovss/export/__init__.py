"""Export a model with a frozen vocabulary from torch to ONNX, and compare before writing."""

from edge_ovss.bundle.rejection import Rejection
from edge_ovss.export.bundle_export import export_bundle
from edge_ovss.export.options import ExportOptions

__all__ = ["ExportOptions", "Rejection", "export_bundle"]
