// SPDX-License-Identifier: Apache-2.0
#include "graph_contract.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "error.h"
#include "graph_sizes.h"
#include "operators.h"

namespace edge_ovss::internal {

namespace {

constexpr std::int64_t kFloat = 1;
constexpr std::int64_t kUint8 = 2;
constexpr std::int64_t kUint16 = 4;
constexpr std::int64_t kInt32 = 6;
constexpr std::int64_t kFloat16 = 10;
constexpr std::int64_t kBfloat16 = 16;
constexpr std::int64_t kFree = -1;  // in a shape that is expected
constexpr std::size_t kShown = 5;

using Shape = std::vector<std::int64_t>;

[[noreturn]] void refuse(const std::string& given, const std::string& expected) {
    throw artifact_error(text(given, "; the manifest says ", expected, "."),
                         "It is no graph of edge-ovss export; export it again.");
}

template <class Value>
void compare(const Manifest& manifest, const std::string& what, const Value& given,
             const Value& expected) {
    if (given != expected) {
        refuse(text("'", manifest.graph_file, "' has ", what, " ", given), text(expected));
    }
}

std::string join(const std::vector<std::string>& words) {
    std::string joined;
    for (const auto& word : words) {
        joined += joined.empty() ? word : ", " + word;
    }
    return "[" + joined + "]";
}

std::string shown(const Shape& shape) {
    std::vector<std::string> words;
    for (const auto size : shape) {
        words.push_back(size == kFree ? "any" : std::to_string(size));
    }
    return join(words);
}

void check_shape(const Manifest& manifest, const GraphEnd& end, Shape expected) {
    if (end.name == "scores" && end.shape.size() + 1 == expected.size()) {
        expected.erase(expected.begin());
    }
    Shape given;
    bool fits = end.shape.size() == expected.size();
    for (std::size_t i = 0; i < end.shape.size(); ++i) {
        given.push_back(end.shape[i].value_or(kFree));
        fits = fits && end.shape[i].has_value() == (expected[i] != kFree) &&
               (expected[i] == kFree || *end.shape[i] == expected[i]);
    }
    if (!fits) {
        refuse(text("'", manifest.graph_file, "' has '", end.name, "' of the shape ", shown(given)),
               shown(expected));
    }
}

// How many rows there are for words: any number where an open graph leaves it free.
std::int64_t rows(const Manifest& manifest) {
    if (manifest.places == 0) {
        return manifest.categories;
    }
    return manifest.least == manifest.places ? manifest.places : kFree;
}

// How many places there are after the last rejection.
std::int64_t places(const Manifest& manifest) {
    if (manifest.rejection == "none") {
        return rows(manifest);
    }
    return manifest.slots.empty() ? kFree : manifest.slots.back();
}

void check_output(const Manifest& manifest, const GraphEnd& end) {
    std::int64_t dtype = kFloat;
    Shape shape{1, kFree, kFree};
    if (end.name == "labels") {
        dtype = manifest.labels_dtype == "uint8" ? kUint8 : kUint16;
    } else if (end.name == "counts" || end.name == "alive") {
        dtype = kInt32;
        shape = {end.name == "counts" ? kStages : places(manifest)};
    } else if (end.name == "scores") {
        const auto size = [](std::int64_t pixels) { return pixels == 0 ? kFree : pixels; };
        shape = {1, rows(manifest), size(manifest.scores_height), size(manifest.scores_width)};
    }
    compare(manifest, "the output '" + end.name + "' of dtype", dtype_name(end.dtype),
            dtype_name(dtype));
    check_shape(manifest, end, shape);
}

std::vector<std::pair<std::string, Shape>> inputs_of(const Manifest& manifest) {
    std::vector<std::pair<std::string, Shape>> inputs{{"frame", {1, kFree, kFree, 3}}};
    if (manifest.takes_thresholds) {
        inputs.push_back({"thresholds", {manifest.limits()}});
    }
    if (manifest.places > 0) {
        inputs.push_back({"text", {rows(manifest), manifest.prompts, manifest.width}});
        inputs.push_back({"places", {rows(manifest)}});
    }
    return inputs;
}

void check_ends(const Manifest& manifest, const OnnxFile& graph) {
    const auto expected_inputs = inputs_of(manifest);
    bool right = graph.inputs.size() == expected_inputs.size();
    std::string listed;
    for (std::size_t i = 0; i < expected_inputs.size(); ++i) {
        const auto& [name, shape] = expected_inputs[i];
        const std::int64_t dtype = i == 0 ? kUint8 : kFloat;
        right = right && graph.inputs[i].name == name && graph.inputs[i].dtype == dtype;
        listed += text(i == 0 ? "" : ", ", "'", name, "' of ", dtype_name(dtype));
    }
    if (!right) {
        throw artifact_error(
            text("'", manifest.graph_file, "' has other inputs than ", listed, "."),
            "It is no graph of edge-ovss export; export it again.");
    }
    for (std::size_t i = 0; i < expected_inputs.size(); ++i) {
        check_shape(manifest, graph.inputs[i], expected_inputs[i].second);
    }
    std::vector<std::string> given;
    std::vector<std::string> expected = manifest.answers;
    for (const auto& end : graph.outputs) {
        given.push_back(end.name);
    }
    std::sort(given.begin(), given.end());
    std::sort(expected.begin(), expected.end());
    compare(manifest, "the outputs", join(given), join(expected));
    for (const auto& end : graph.outputs) {
        check_output(manifest, end);
    }
}

void check_operators(const Manifest& manifest, const OnnxFile& graph) {
    std::set<std::string> found;
    std::vector<std::string> foreign = graph.foreign;
    for (const auto& node : graph.nodes) {
        if (!may_have(node.op, manifest.rejection == "dynamic")) {
            found.insert(node.op);
        }
        foreign.insert(foreign.end(), node.parts.begin(), node.parts.end());
    }
    std::string listed;
    std::size_t count = 0;
    for (const auto& op : found) {
        if (count++ < kShown) {
            listed += listed.empty() ? op : ", " + op;
        }
    }
    if (!found.empty()) {
        refuse(text("'", manifest.graph_file, "' has the operators ", listed),
               "rejection '" + manifest.rejection + "', which has none of them");
    }
    if (!foreign.empty()) {
        refuse(text("'", manifest.graph_file, "' has a ", foreign[0]), "a plain graph");
    }
}

// What can be seen of the precision; it decides how strictly answers are judged.
std::string seen_precision(const OnnxFile& graph) {
    std::set<std::int64_t> dtypes;
    for (const auto& node : graph.nodes) {
        if (node.op == "QuantizeLinear" || node.op == "DequantizeLinear" ||
            node.op == "DynamicQuantizeLinear") {
            return "int8";
        }
        const auto to = node.numbers.find("to");
        if (node.op == "Cast" && to != node.numbers.end()) {
            dtypes.insert(to->second.begin(), to->second.end());
        }
    }
    for (const auto& constant : graph.constants) {
        dtypes.insert(constant.dtype);
    }
    if (dtypes.count(kFloat16) > 0) {
        return "fp16";
    }
    return dtypes.count(kBfloat16) > 0 ? "bf16" : "fp32";
}

// Bytes of the files with tensors, by their names as the ONNX file writes them.
std::map<std::string, std::uint64_t> sizes_of(const Manifest& manifest) {
    const auto slash = manifest.graph_file.rfind('/');
    const std::size_t start = slash == std::string::npos ? 0 : slash + 1;
    std::map<std::string, std::uint64_t> sizes;
    for (const auto& name : manifest.external_data) {
        sizes[name.substr(std::min(start, name.size()))] = manifest.files.at(name).bytes;
    }
    return sizes;
}

}  // namespace

void check_graph(const Manifest& manifest, const OnnxFile& graph) {
    compare(manifest, "the opset", graph.opset, manifest.opset);
    check_ends(manifest, graph);
    check_operators(manifest, graph);
    compare(manifest, "the precision", seen_precision(graph), manifest.precision);
    check_sizes(graph, manifest.graph_file, sizes_of(manifest));
}

}  // namespace edge_ovss::internal
