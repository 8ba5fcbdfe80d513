// SPDX-License-Identifier: Apache-2.0
// Field numbers are those of onnx.proto3; the walk is the one of
// edge_ovss/bundle/onnx_reader/file.py and graph_nodes.py.
#include "onnx_file.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "error.h"
#include "wire.h"

namespace edge_ovss::internal {

namespace {

constexpr int kDeepest = 32;
constexpr std::size_t kMostNodes = 20000;
constexpr std::size_t kMostAxes = 16;
constexpr std::uint64_t kMostValues = 64;  // of a tensor whose values are read
constexpr std::size_t kMostDigits = 18;

[[noreturn]] void refuse(const std::string& message) {
    throw std::runtime_error(message);
}

bool is_default(const std::string& domain) {
    return domain.empty() || domain == "ai.onnx";
}

template <class Number>
void unpack(Piece piece, std::vector<double>& values) {
    for (; piece.size() >= sizeof(Number); piece.at += sizeof(Number)) {
        Number number;
        std::memcpy(&number, piece.at, sizeof(Number));
        values.push_back(static_cast<double>(number));
    }
}

// A TensorProto as far as it has been read.
class Tensor {
public:
    explicit Tensor(Piece piece) {
        for (Field field; next(piece, field);) {
            take(field);
        }
    }

    GraphConstant constant() const {
        GraphConstant found;
        found.name = name_;
        found.dtype = dtype_;
        if (shape_.size() > kMostAxes ||
            std::any_of(shape_.begin(), shape_.end(), [](auto size) { return size < 0; })) {
            refuse("the tensor '" + name_ + "' has a shape that cannot be");
        }
        found.shape.assign(shape_.begin(), shape_.end());
        found.raw = raw_.has_value();
        found.stored = raw_ ? raw_->size() : 0;
        for (const Field& field : typed_) {
            found.stored += field.is_bytes ? field.bytes.size() : 1;
        }
        const bool few = found.elements() <= kMostValues && found.stored <= kMostValues * 10;
        if (!outside_.empty()) {
            found.place = place();
        } else if (few) {
            found.values = values();
        }
        return found;
    }

private:
    void take(const Field& field) {
        switch (field.number) {
            case 1:
                add_numbers(field, shape_);
                break;
            case 2:
                dtype_ = field.is_bytes ? dtype_ : static_cast<std::int64_t>(field.value);
                break;
            case 8:
                name_ = text_of(field);
                break;
            case 9:
                raw_ = message_of(field);
                break;
            case 4:
            case 5:
            case 6:
            case 7:
            case 10:
            case 11:
                typed_.push_back(field);
                break;
            case 13: {
                const auto [key, value] = text_pair(message_of(field));
                outside_[key] = value;
                break;
            }
            default:
                break;
        }
    }

    std::optional<std::uint64_t> number(const char* key) const {
        const auto at = outside_.find(key);
        if (at == outside_.end() || at->second.empty()) {
            return std::nullopt;
        }
        const std::string& digits = at->second;
        if (digits.size() > kMostDigits ||
            digits.find_first_not_of("0123456789") != std::string::npos) {
            refuse("the tensor '" + name_ + "' names no part of a file");
        }
        return std::stoull(digits);
    }

    TensorPlace place() const {
        const auto at = outside_.find("location");
        return TensorPlace{at == outside_.end() ? "" : at->second, number("offset").value_or(0),
                           number("length")};
    }

    std::optional<std::vector<double>> values() const {
        std::vector<double> found;
        if (dtype_ != 1 && dtype_ != 6 && dtype_ != 7) {
            return std::nullopt;
        }
        if (raw_) {
            dtype_ == 1   ? unpack<float>(*raw_, found)
            : dtype_ == 6 ? unpack<std::int32_t>(*raw_, found)
                          : unpack<std::int64_t>(*raw_, found);
            return found;
        }
        std::vector<std::int64_t> whole;
        for (const Field& field : typed_) {
            if (dtype_ == 1 && field.number == 4 && field.is_bytes) {
                unpack<float>(field.bytes, found);
            } else if (dtype_ != 1 && (field.number == 5 || field.number == 7)) {
                add_numbers(field, whole);
            }
        }
        found.insert(found.end(), whole.begin(), whole.end());
        return found;
    }

    std::string name_;
    std::int64_t dtype_ = 0;
    std::vector<std::int64_t> shape_;
    std::optional<Piece> raw_;
    std::vector<Field> typed_;
    std::map<std::string, std::string> outside_;
};

class Walk {
public:
    OnnxFile found;

    void model(Piece piece) {
        bool whole = false;
        for (Field field; next(piece, field);) {
            if (field.number == 7) {
                refuse_second(whole, "graph");
                whole = true;
                graph(message_of(field), 0);
            } else if (field.number == 8) {
                opset(message_of(field));
            } else if (field.number == 14) {
                const auto [key, value] = text_pair(message_of(field));
                refuse_second(!found.metadata.emplace(key, value).second, "value of its metadata");
            } else if (field.number == 20) {
                found.foreign.emplace_back("training");
            } else if (field.number == 25) {
                found.foreign.emplace_back("function");
                function(message_of(field));
            }
        }
        if (!whole) {
            refuse("it holds no graph");
        }
        drop_weights();
    }

private:
    // Other readers join the two or take either: what is checked might not be what runs.
    static void refuse_second(bool present, const std::string& what) {
        if (present) {
            refuse("it holds a second " + what);
        }
    }

    void opset(Piece piece) {
        std::string domain;
        std::int64_t version = 0;
        for (Field field; next(piece, field);) {
            if (field.number == 1) {
                domain = text_of(field);
            } else if (field.number == 2 && !field.is_bytes) {
                version = static_cast<std::int64_t>(field.value);
            }
        }
        if (is_default(domain) && version != 0) {
            found.opset = version;
        }
    }

    void graph(Piece piece, int depth) {
        if (depth > kDeepest) {
            refuse("graphs are nested too deeply");
        }
        for (Field field; next(piece, field);) {
            if (field.number == 1) {
                GraphNode made = node(message_of(field), depth);
                if (depth == 0) {
                    add(std::move(made));
                }
            } else if (field.number == 5) {
                GraphConstant made = tensor(message_of(field));
                if (depth == 0) {
                    refuse_second(!names_.insert(made.name).second, "tensor '" + made.name + "'");
                    found.constants.push_back(std::move(made));
                }
            } else if (field.number == 15) {
                found.foreign.emplace_back("sparse tensor");
                sparse(message_of(field));
            } else if (depth == 0 && field.number == 11) {
                found.inputs.push_back(end(message_of(field)));
            } else if (depth == 0 && field.number == 12) {
                found.outputs.push_back(end(message_of(field)));
            }
        }
    }

    void add(GraphNode made) {
        found.nodes.push_back(std::move(made));
        if (found.nodes.size() > kMostNodes) {
            refuse(text("it has more than ", kMostNodes, " nodes"));
        }
    }

    void drop_weights() {
        auto& inputs = found.inputs;
        const auto is_weight = [&](const GraphEnd& each) { return names_.count(each.name) > 0; };
        inputs.erase(std::remove_if(inputs.begin(), inputs.end(), is_weight), inputs.end());
    }

    void function(Piece piece) {
        for (Field field; next(piece, field);) {
            if (field.number == 7) {
                node(message_of(field), 0);
            }
        }
    }

    GraphNode node(Piece piece, int depth) {
        GraphNode made;
        std::string domain;
        for (Field field; next(piece, field);) {
            if (field.number == 1) {
                made.inputs.push_back(text_of(field));
            } else if (field.number == 2) {
                made.outputs.push_back(text_of(field));
            } else if (field.number == 4) {
                made.op += text_of(field);
            } else if (field.number == 5) {
                attribute(message_of(field), made, depth);
            } else if (field.number == 7) {
                domain += text_of(field);
            }
        }
        if (!is_default(domain)) {
            made.op.insert(0, domain + "::");
        }
        return made;
    }

    void attribute(Piece piece, GraphNode& made, int depth) {
        std::string name;
        std::vector<std::int64_t> numbers;
        for (Field field; next(piece, field);) {
            if (field.number == 1) {
                name = text_of(field);
            } else if (field.number == 3 || field.number == 8) {
                add_numbers(field, numbers);
            } else if (field.number == 5) {
                made.constant = tensor(message_of(field));
            } else if (field.number == 6 || field.number == 11) {
                made.parts.emplace_back("graph in a node");
                graph(message_of(field), depth + 1);
            } else if (field.number == 10) {
                made.parts.emplace_back("list of tensors");
                tensor(message_of(field));
            } else if (field.number == 22 || field.number == 23) {
                made.parts.emplace_back("sparse tensor");
                sparse(message_of(field));
            }
        }
        made.numbers[name] = std::move(numbers);
    }

    void sparse(Piece piece) {
        for (Field field; next(piece, field);) {
            if (field.number == 1 || field.number == 2) {
                tensor(message_of(field));
            }
        }
    }

    GraphConstant tensor(Piece piece) {
        GraphConstant made = Tensor(piece).constant();
        if (made.place) {
            found.locations.insert(made.place->location);
        }
        return made;
    }

    static GraphEnd end(Piece piece) {
        GraphEnd made;
        for (Field field; next(piece, field);) {
            if (field.number == 1) {
                made.name = text_of(field);
            } else if (field.number == 2) {
                Piece type = message_of(field);
                for (Field part; next(type, part);) {
                    if (part.number == 1) {
                        tensor_type(message_of(part), made);
                    }
                }
            }
        }
        return made;
    }

    static void tensor_type(Piece piece, GraphEnd& made) {
        for (Field field; next(piece, field);) {
            if (field.number == 1 && !field.is_bytes) {
                made.dtype = static_cast<std::int64_t>(field.value);
            } else if (field.number == 2) {
                made.shape.clear();
                Piece shape = message_of(field);
                for (Field part; next(shape, part);) {
                    if (part.number == 1) {
                        made.shape.push_back(size_of(message_of(part)));
                    }
                }
            }
        }
    }

    static std::optional<std::int64_t> size_of(Piece piece) {
        for (Field field; next(piece, field);) {
            if (field.number == 1 && !field.is_bytes) {
                return static_cast<std::int64_t>(field.value);
            }
            if (field.number == 2) {
                text_of(field);
                return std::nullopt;
            }
        }
        return std::nullopt;
    }

    std::set<std::string> names_;  // of the initializers
};

}  // namespace

std::uint64_t product(std::uint64_t a, std::uint64_t b) {
    constexpr auto most = std::numeric_limits<std::uint64_t>::max();
    return b != 0 && a > most / b ? most : a * b;
}

std::uint64_t GraphConstant::elements() const {
    std::uint64_t count = 1;
    for (const auto size : shape) {
        if (size == 0) {
            return 0;
        }
        count = product(count, size);
    }
    return count;
}

std::uint64_t GraphConstant::item_bytes() const {
    constexpr std::uint64_t sizes[] = {0, 4, 1, 1, 2, 2, 4, 8, 0, 1, 2, 8, 4, 8, 0, 0, 2};
    return dtype >= 0 && dtype < static_cast<std::int64_t>(std::size(sizes)) ? sizes[dtype] : 0;
}

std::string dtype_name(std::int64_t dtype) {
    constexpr const char* names[] = {"",       "float32", "uint8", "int8", "uint16",  "int16",
                                     "int32",  "int64",   "",      "bool", "float16", "float64",
                                     "uint32", "uint64",  "",      "",     "bfloat16"};
    const bool known = dtype >= 0 && dtype < static_cast<std::int64_t>(std::size(names));
    return known && names[dtype][0] != '\0' ? names[dtype] : text("type ", dtype);
}

OnnxFile read_onnx(const std::uint8_t* bytes, std::size_t size, const std::string& file) {
    try {
        Walk walk;
        walk.model(Piece{bytes, bytes + size});
        return std::move(walk.found);
    } catch (const std::bad_alloc&) {
        throw;
    } catch (const std::exception& err) {
        throw artifact_error(
            text("'", file, "' is not an ONNX file, or only a part of one: ", err.what(), "."),
            "Copy or export it again.");
    }
}

}  // namespace edge_ovss::internal
