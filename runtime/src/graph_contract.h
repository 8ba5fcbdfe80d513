// SPDX-License-Identifier: Apache-2.0
// Is the ONNX file of a bundle one that edge-ovss writes, and the one that its manifest describes?
// Asked before any library reads the file; edge_ovss/bundle/graph_check.py, contract.py
// and operators.py have the same rules.
#pragma once

#include "manifest.h"
#include "onnx_file.h"
#include "vocabulary.h"

namespace edge_ovss::internal {

// Compare operators, inputs, outputs, precision and sizes of a graph with the manifest, whose
// graph_file and slots are those of this graph. Throws an artifact error that names both values.
void check_graph(const Manifest& manifest, const OnnxFile& graph);

// Compare the metadata of the ONNX file with the manifest and the vocabulary; a key that is
// missing there is no contradiction. Throws an artifact error that names both values.
void check_metadata(const Manifest& manifest, const OnnxFile& graph, const Vocabulary& vocabulary);

}  // namespace edge_ovss::internal
