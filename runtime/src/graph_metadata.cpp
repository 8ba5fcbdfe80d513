// SPDX-License-Identifier: Apache-2.0
// The facts stand twice in a bundle, in the manifest and in the ONNX file; they must be the same.
#include <nlohmann/json.hpp>
#include <set>

#include "error.h"
#include "fields.h"
#include "graph_contract.h"

namespace edge_ovss::internal {

namespace {

using nlohmann::json;

constexpr std::size_t kShown = 80;
const std::string kPrefix = "edge_ovss.";

std::string shown(const json& value) {
    const std::string dumped = value.dump(-1, ' ', true, json::error_handler_t::replace);
    return dumped.size() <= kShown ? dumped : dumped.substr(0, kShown) + "...";
}

// Sections to which the manifest adds what was measured or chosen later.
bool grows(const std::string& name) {
    return name == "templates" || name == "rejection" || name == "unknown" || name == "precision";
}

// Written by the program that made the graph; calibration makes a new manifest around it.
bool is_of_the_export(const std::string& name) {
    static const std::set<std::string> names{"tool",     "created", "version",   "parity",
                                             "versions", "files",   "reference", "graph"};
    return names.count(name) > 0;
}

// Compare two JSON values: 1 and 1.0 are equal, 1 and true are not.
void compare(const std::string& key, const std::string& name, const json& given,
             const json& expected) {
    if (!given.is_object() || !expected.is_object()) {
        if (given != expected) {
            throw artifact_error(text("The metadata '", key, "' of the graph says ", shown(given),
                                      " for '", name, "'; the bundle says ", shown(expected), "."),
                                 "One of them was changed; export it again.");
        }
        return;
    }
    const json nothing;
    const auto part = [&](const json& object, const std::string& word) -> const json& {
        const auto at = object.find(word);
        return at == object.end() ? nothing : *at;
    };
    for (const auto& item : given.items()) {
        compare(key, name + "." + item.key(), item.value(), part(expected, item.key()));
    }
    for (const auto& item : expected.items()) {
        if (!grows(name)) {
            compare(key, name + "." + item.key(), part(given, item.key()), item.value());
        }
    }
}

json facts_of(const Manifest& manifest, const Vocabulary& vocabulary) {
    json facts = *manifest.document;
    facts["names"] = vocabulary.names;
    facts["output_map"] = vocabulary.output_map;
    if (!manifest.slots.empty()) {
        facts["rejection"]["slots"] = manifest.slots;
    }
    if (manifest.places > 0) {  // the graph says nothing of the words themselves
        facts["open"] = {{"places", manifest.places},
                         {"least", manifest.least},
                         {"prompts", manifest.prompts},
                         {"width", manifest.width}};
    }
    return facts;
}

json decode(const std::string& key, const std::string& words) {
    return parse_json(words, text("The metadata '", key, "' of the graph"));
}

}  // namespace

void check_metadata(const Manifest& manifest, const OnnxFile& graph, const Vocabulary& vocabulary) {
    const json facts = facts_of(manifest, vocabulary);
    json names = json::object();
    for (std::size_t i = 0; i < vocabulary.names.size(); ++i) {
        names[std::to_string(i)] = vocabulary.names[i];
    }
    const json size = {manifest.network_height, manifest.network_width};
    for (const auto& [key, words] : graph.metadata) {
        if (key == "names" || key == "imgsz") {
            compare(key, key, decode(key, words), key == "names" ? names : size);
        } else if (key.compare(0, kPrefix.size(), kPrefix) == 0) {
            const std::string name = key.substr(kPrefix.size());
            const auto at = facts.find(name);
            if (!is_of_the_export(name) && at != facts.end()) {
                compare(key, name, decode(key, words), *at);
            }
        }
    }
}

}  // namespace edge_ovss::internal
