// SPDX-License-Identifier: Apache-2.0
// What a bundle says about itself: the part of manifest.json that a program needs.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace edge_ovss::internal {

constexpr std::int64_t kStages = 3;  // rejections, and so `counts` and slots

// Up to so many outputs, labels may be uint8. 255, like 65535 in uint16, numbers none of them: it
// is reserved for "unknown" or "ignore". The same rule as edge_ovss/bundle/contract.py.
constexpr std::int64_t kNarrowOutputs = 255;

struct FileEntry {
    std::string sha256;
    std::uint64_t bytes = 0;
};

// An ONNX file that differs from the first in its slots only.
struct OtherGraph {
    std::string file;
    std::vector<std::int32_t> slots;
};

struct Manifest {
    std::string tool;   // "edge-ovss 0.1.0"
    std::string model;  // "sed-tiny"
    std::string precision;
    std::string vocabulary_file;
    std::string vocabulary_name;
    std::string vocabulary_sha256;  // of the words, not of the file
    std::int64_t categories = 0;    // T
    std::int64_t outputs = 0;       // K
    std::int64_t templates = 0;     // prompts of a word
    std::string templates_sha256;
    std::string text_tower_sha256;  // "": older bundles do not say
    std::int32_t network_height = 0;
    std::int32_t network_width = 0;
    std::string labels_dtype;          // "uint8" or "uint16"
    std::vector<std::string> answers;  // outputs of the graph, by name
    std::int64_t scores_height = 0;    // 0 where the scores have the size of the frame
    std::int64_t scores_width = 0;
    std::string rejection;            // "slots", "dynamic" or "none"
    std::vector<std::int32_t> slots;  // empty unless `rejection` is "slots"
    bool takes_thresholds = false;    // of "unknown"; what follows is of no meaning where not
    std::string measure;              // what is compared with them, such as "score"
    double lowest = 0.0;              // of the measure
    double highest = 1.0;
    std::vector<float> thresholds;    // K, the default
    bool by_output = false;           // they were given for every output, not one for all
    std::optional<double> automatic;  // the threshold that was measured for the model
    std::int64_t places = 0;          // N, room for words that are inputs; 0: they are frozen
    std::int64_t least = 0;           // the fewest rows that an open graph takes
    std::int64_t prompts = 0;         // P, vectors of a word
    std::int64_t width = 0;           // D, numbers in a vector
    std::string words_file;           // float32 [T, P, D], little-endian
    std::string graph_file;
    std::int64_t frame_bytes = 0;  // of memory, that one pixel takes; 0: older bundles do not say
    std::vector<std::string> external_data;
    std::int64_t opset = 0;
    std::optional<OtherGraph> spare;  // with more slots, for frames that overflow the first
    std::optional<OtherGraph> small;  // with fewer, for no more words than its fewest slots
    std::string reference_frame;
    std::string reference_labels;
    std::string reference_alive;
    std::string reference_counts;
    std::optional<std::string> reference_lead;     // older bundles have none
    std::optional<std::string> reference_measure;  // only where the graph takes thresholds
    double min_label_agreement = 0.0;
    std::map<std::string, FileEntry> files;
    std::shared_ptr<const nlohmann::json> document;  // all of it, while the bundle is opened

    // Whether the graph answers with `output`.
    bool answers_with(const char* output) const;

    // How many rows of words an open graph is given: as few as it takes.
    std::int64_t rows() const { return least > categories ? least : categories; }

    // Whether there is a small graph, and every word has a slot in it at every rejection.
    bool fits_small() const;

    // The same with another graph of the bundle as its graph.
    Manifest with_graph(const OtherGraph& other) const;

    // How many thresholds the graph takes.
    std::int64_t limits() const { return places > 0 ? places : outputs; }
};

// Read the bytes of manifest.json. Throws an artifact error where the schema is newer than this
// library knows, or a field is missing or of the wrong type.
Manifest read_manifest(const std::string& bytes);

}  // namespace edge_ovss::internal
