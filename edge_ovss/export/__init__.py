"""torch → ONNX: frozen-vocabulary graphs, rejection, graph passes, compare before writing."""

from edge_ovss.export.bundle_export import export_bundle
from edge_ovss.export.options import ExportOptions
from edge_ovss.export.rejection import Rejection

__all__ = ["ExportOptions", "Rejection", "export_bundle"]
