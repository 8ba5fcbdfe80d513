// SPDX-License-Identifier: Apache-2.0
#include "graph_sizes.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <optional>
#include <vector>

#include "error.h"

namespace edge_ovss::internal {

namespace {

constexpr std::uint64_t kMostElements = std::uint64_t{1} << 26;
constexpr std::uint64_t kMostWeights = std::uint64_t{4} << 30;
constexpr std::uint64_t kMostInside = std::uint64_t{16} << 20;  // of an ONNX file
constexpr std::size_t kMostValues = 64;    // of a tensor whose values are followed: shapes
constexpr std::int64_t kMostReach = 4096;  // pads, strides and kernels, in pixels

using Values = std::vector<double>;

[[noreturn]] void refuse(const std::string& message) {
    throw artifact_error(message, "It is no graph of edge-ovss export; export it again.");
}

bool is_one_of(const std::string& op, std::initializer_list<const char*> names) {
    return std::any_of(names.begin(), names.end(), [&](const char* each) { return op == each; });
}

bool keeps_values(const std::string& op) {
    return is_one_of(op, {"Identity", "Cast", "Unsqueeze", "Squeeze", "Reshape", "Flatten"});
}

bool keeps_size(const std::string& op) {
    return keeps_values(op) ||
           is_one_of(op, {"DequantizeLinear", "QuantizeLinear", "Slice", "Transpose"});
}

// Which inputs decide how large the answer of a node is.
std::vector<std::size_t> size_places(const std::string& op) {
    if (op == "ConstantOfShape") {
        return {0};
    }
    if (op == "Range") {
        return {0, 1, 2};
    }
    if (op == "Resize") {
        return {2, 3};
    }
    return is_one_of(op, {"Expand", "OneHot", "Pad", "Tile", "Upsample"})
               ? std::vector<std::size_t>{1}
               : std::vector<std::size_t>{};
}

double asked_size(const std::string& op, const std::vector<Values>& given) {
    if (op == "Range") {
        if (given.size() != 3 || given[2].at(0) == 0.0) {
            return std::numeric_limits<double>::infinity();
        }
        return std::max(0.0, (given[1].at(0) - given[0].at(0)) / given[2].at(0));
    }
    double size = 1.0;
    for (const double value : given[0]) {
        size *= std::max(1.0, std::fabs(value) + (op == "Pad" ? 1.0 : 0.0));
    }
    return size;
}

std::optional<Values> arithmetic(const std::string& op, const Values& first, const Values& second) {
    const std::size_t longest = std::max(first.size(), second.size());
    const auto fits = [&](const Values& each) {
        return each.size() == 1 || each.size() == longest;
    };
    if (!is_one_of(op, {"Add", "Sub", "Mul", "Max", "Min"}) || !fits(first) || !fits(second)) {
        return std::nullopt;
    }
    Values made;
    for (std::size_t i = 0; i < longest; ++i) {
        const double a = first[first.size() == 1 ? 0 : i];
        const double b = second[second.size() == 1 ? 0 : i];
        made.push_back(op == "Add"   ? a + b
                       : op == "Sub" ? a - b
                       : op == "Mul" ? a * b
                       : op == "Max" ? std::max(a, b)
                                     : std::min(a, b));
    }
    return made;
}

class Sizes {
public:
    Sizes(const OnnxFile& graph, const std::string& name) : name_(name) {
        for (const auto& constant : graph.constants) {
            known_[constant.name] = constant.elements();
            if (constant.values && !constant.values->empty()) {
                values_[constant.name] = *constant.values;
            }
        }
    }

    void check(const GraphNode& node) {
        const std::uint64_t made = made_by(node);
        made_ = made_ > kMostElements ? made_ : made_ + std::min(made, 2 * kMostElements);
        if (made_ > kMostElements) {
            refuse(text("'", name_, "' makes ", made_,
                        " elements of constants before it sees a frame, the last with ", node.op,
                        "; expected at most ", kMostElements, "."));
        }
    }

private:
    // Note what a node gives, and return how many elements it makes of constants alone.
    std::uint64_t made_by(const GraphNode& node) {
        auto size = declared(node);
        std::vector<std::uint64_t> sizes;
        std::vector<const Values*> given;
        for (const auto& input : node.inputs) {
            if (input.empty()) {
                continue;
            }
            const auto at = known_.find(input);
            if (at == known_.end()) {
                return 0;
            }
            sizes.push_back(at->second);
            const auto value = values_.find(input);
            given.push_back(value == values_.end() ? nullptr : &value->second);
        }
        std::optional<Values> folded;
        if (node.constant) {
            folded = node.constant->values;
            size = node.constant->elements();
        } else {
            folded = fold(node.op, given);
        }
        const std::uint64_t whole = size ? *size : grown(node.op, sizes);
        for (const auto& output : node.outputs) {
            known_[output] = whole;
        }
        if (folded && !folded->empty() && folded->size() <= kMostValues && !node.outputs.empty()) {
            values_[node.outputs[0]] = *folded;
        }
        const std::uint64_t most =
            sizes.empty() ? 0 : *std::max_element(sizes.begin(), sizes.end());
        return whole > most ? whole - most : 0;
    }

    // The size that constants ask a node for; nothing where no constant decides it.
    std::optional<std::uint64_t> declared(const GraphNode& node) const {
        const auto places = size_places(node.op);
        std::vector<Values> given;
        bool computed = false;
        for (const auto place : places) {
            if (place >= node.inputs.size() || node.inputs[place].empty()) {
                continue;
            }
            const auto at = known_.find(node.inputs[place]);
            if (at == known_.end()) {
                return std::nullopt;
            }
            if (at->second == 0) {
                continue;
            }
            const auto value = values_.find(node.inputs[place]);
            computed = computed || value == values_.end();
            given.push_back(value == values_.end() ? Values{} : value->second);
        }
        if (given.empty()) {
            return std::nullopt;
        }
        if (computed) {
            refuse(
                text("'", name_, "' has ", node.op, " with a size that is computed of constants."));
        }
        const auto data = known_.find(node.inputs[0]);
        const std::uint64_t times = places[0] > 0 && data != known_.end() ? data->second : 1;
        const double size = asked_size(node.op, given) * static_cast<double>(times);
        if (!(size <= static_cast<double>(kMostElements))) {
            refuse(text("'", name_, "' asks ", node.op, " for more elements than may be: ", size,
                        ", expected at most ", kMostElements, "."));
        }
        return static_cast<std::uint64_t>(size);
    }

    static std::uint64_t grown(const std::string& op, const std::vector<std::uint64_t>& sizes) {
        if (keeps_size(op)) {
            return sizes.empty() ? 0 : sizes[0];
        }
        std::uint64_t sum = 0;
        std::uint64_t whole = 1;
        for (const auto size : sizes) {
            sum = std::min(sum, kMostElements * 2) + std::min(size, kMostElements * 2);
            whole = product(whole, size);
        }
        return op == "Concat" ? sum : std::max<std::uint64_t>(whole, 1);
    }

    // The values that an operator gives of a few known ones.
    static std::optional<Values> fold(const std::string& op,
                                      const std::vector<const Values*>& given) {
        if (given.empty() || std::count(given.begin(), given.end(), nullptr) > 0) {
            return std::nullopt;
        }
        if (keeps_values(op)) {
            return *given[0];
        }
        if (op == "Concat") {
            Values made;
            for (const Values* each : given) {
                made.insert(made.end(), each->begin(), each->end());
            }
            return made;
        }
        return given.size() == 2 ? arithmetic(op, *given[0], *given[1]) : std::nullopt;
    }

    const std::string& name_;
    std::map<std::string, std::uint64_t> known_;  // elements of what depends on constants alone
    std::map<std::string, Values> values_;        // where they are few and can be told
    std::uint64_t made_ = 0;
};

void check_stored(const GraphConstant& constant, std::uint64_t size, const std::string& name,
                  const std::map<std::string, std::uint64_t>& files) {
    if (constant.place) {
        const auto& place = *constant.place;
        const auto at = files.find(place.location);
        const std::uint64_t room = at == files.end() ? 0 : at->second;
        if (place.length.value_or(size) != size || size > room || place.offset > room - size) {
            refuse(text("Tensor '", constant.name, "' of '", name, "' has ", size, " bytes at ",
                        place.offset, " of '", place.location, "', which has ", room,
                        " bytes; the length is said to be ", place.length.value_or(size), "."));
        }
        return;
    }
    const bool fits =
        constant.raw ? constant.stored == size : constant.stored >= constant.elements();
    if (!fits) {
        refuse(text("Tensor '", constant.name, "' of '", name, "' has ", constant.elements(),
                    " elements of ", dtype_name(constant.dtype), "; the file holds ",
                    constant.stored, " bytes of it."));
    }
}

std::uint64_t check_constant(const GraphConstant& constant, const std::string& name,
                             const std::map<std::string, std::uint64_t>& files) {
    if (constant.item_bytes() == 0) {
        refuse(text("Tensor '", constant.name, "' of '", name, "' is of ",
                    dtype_name(constant.dtype), "."));
    }
    const std::uint64_t size = product(constant.elements(), constant.item_bytes());
    check_stored(constant, size, name, files);
    return size;
}

void check_constants(const OnnxFile& graph, const std::string& name,
                     const std::map<std::string, std::uint64_t>& files) {
    std::uint64_t room = kMostInside;
    for (const auto& [location, bytes] : files) {
        room += std::min(bytes, kMostWeights);
    }
    room = std::min(kMostWeights, 2 * room);
    std::uint64_t total = 0;
    const auto add = [&](const GraphConstant& constant) {
        total += std::min(check_constant(constant, name, files), kMostWeights + 1);
        if (total > room) {
            refuse(text("The tensors of '", name, "' have ", total,
                        " bytes or more; their files hold at most ", room, "."));
        }
    };
    std::for_each(graph.constants.begin(), graph.constants.end(), add);
    for (const auto& node : graph.nodes) {
        if (node.constant) {
            add(*node.constant);
        }
    }
}

void check_reach(const GraphNode& node, const std::string& name) {
    if (!is_one_of(node.op, {"Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "AveragePool",
                             "MaxPool"})) {
        return;
    }
    for (const char* key :
         {"pads", "strides", "dilations", "kernel_shape", "output_padding", "output_shape"}) {
        const auto at = node.numbers.find(key);
        for (const auto value :
             at == node.numbers.end() ? std::vector<std::int64_t>() : at->second) {
            if (value > kMostReach || value < -kMostReach) {
                refuse(text("'", name, "' has a ", node.op, " with ", key, " of ", value, "."));
            }
        }
    }
}

}  // namespace

void check_sizes(const OnnxFile& graph, const std::string& name,
                 const std::map<std::string, std::uint64_t>& files) {
    check_constants(graph, name, files);
    Sizes sizes(graph, name);
    for (const auto& node : graph.nodes) {
        check_reach(node, name);
        sizes.check(node);
    }
}

}  // namespace edge_ovss::internal
