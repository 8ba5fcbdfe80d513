// SPDX-License-Identifier: Apache-2.0
// What an ONNX file says about itself, read without a protobuf library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace edge_ovss::internal {

// An input or output. `shape` has nothing for a size that is free; `dtype` is a number of
// onnx.proto3.
struct GraphEnd {
    std::string name;
    std::int64_t dtype = 0;
    std::vector<std::optional<std::int64_t>> shape;
};

// Where a tensor stands outside of the ONNX file.
struct TensorPlace {
    std::string location;
    std::uint64_t offset = 0;
    std::optional<std::uint64_t> length;
};

// A tensor that the ONNX file holds or names.
struct GraphConstant {
    std::string name;
    std::int64_t dtype = 0;
    std::vector<std::uint64_t> shape;
    std::uint64_t stored = 0;  // bytes of its values in the file
    bool raw = false;          // whether those are the values as they are in memory
    std::optional<TensorPlace> place;
    std::optional<std::vector<double>> values;  // if they are few, of 32 or 64 bits

    std::uint64_t elements() const;    // the largest number where they are more than that
    std::uint64_t item_bytes() const;  // 0 for a type that is not known here
};

struct GraphNode {
    std::string op;  // "domain::Name" outside of the default domain
    std::vector<std::string> inputs;
    std::vector<std::string> outputs;
    std::map<std::string, std::vector<std::int64_t>> numbers;  // integer attributes
    std::optional<GraphConstant> constant;
    std::vector<std::string> parts;  // attributes that no graph of ours has
};

struct OnnxFile {
    std::int64_t opset = 0;
    std::map<std::string, std::string> metadata;
    std::vector<GraphEnd> inputs;  // without those that are weights
    std::vector<GraphEnd> outputs;
    std::vector<GraphNode> nodes;
    std::vector<GraphConstant> constants;
    std::vector<std::string> foreign;  // parts that no graph of ours has
    std::set<std::string> locations;   // files that hold tensors, as they are written
};

// Walk an ONNX file of `size` bytes; weights are stepped over. Throws an artifact error that names
// `file` where it is no ONNX file or a truncated one.
OnnxFile read_onnx(const std::uint8_t* bytes, std::size_t size, const std::string& file);

// a * b, or the largest number where that is more.
std::uint64_t product(std::uint64_t a, std::uint64_t b);

// Such as "float32".
std::string dtype_name(std::int64_t dtype);

}  // namespace edge_ovss::internal
