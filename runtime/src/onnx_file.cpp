// SPDX-License-Identifier: Apache-2.0
// Field numbers are those of onnx.proto3; the walk is the one of edge_ovss/runtime/graph_file.py.
#include "onnx_file.h"

#include <stdexcept>

#include "error.h"

namespace edge_ovss::internal {

namespace {

constexpr int kDeepest = 32;

enum Wire : unsigned { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Piece {
    const std::uint8_t* at;
    const std::uint8_t* end;
};

struct Field {
    std::uint64_t number = 0;
    bool is_bytes = false;
    Piece bytes{nullptr, nullptr};
};

[[noreturn]] void refuse(const char* message) { throw std::runtime_error(message); }

std::uint64_t varint(Piece& piece) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (piece.at == piece.end) {
            refuse("a number has no end");
        }
        const std::uint8_t byte = *piece.at++;
        value |= shift < 64 ? static_cast<std::uint64_t>(byte & 0x7FU) << shift : 0;
        if (byte < 0x80U) {
            return value;
        }
    }
    refuse("a number has no end");
}

// Take the next field off `piece`; false at its end.
bool next(Piece& piece, Field& field) {
    if (piece.at == piece.end) {
        return false;
    }
    const std::uint64_t key = varint(piece);
    const auto wire = static_cast<unsigned>(key & 7U);
    field.number = key >> 3U;
    field.is_bytes = wire == kBytes;
    if (wire == kVarint) {
        varint(piece);
        return true;
    }
    std::uint64_t size = wire == kFixed64 ? 8 : 4;
    if (wire == kBytes) {
        size = varint(piece);
    } else if (wire != kFixed64 && wire != kFixed32) {
        refuse("a field is of a kind that ONNX does not have");
    }
    if (size > static_cast<std::uint64_t>(piece.end - piece.at)) {
        refuse("a field does not fit");
    }
    field.bytes = Piece{piece.at, piece.at + size};
    piece.at += size;
    return true;
}

Piece message(const Field& field) {
    if (!field.is_bytes) {
        refuse("a number stands where a message is expected");
    }
    return field.bytes;
}

std::string string_of(const Field& field) {
    const Piece piece = message(field);
    return std::string(piece.at, piece.end);
}

class Walk {
public:
    std::set<std::string> locations;

    void model(Piece piece) {
        bool found = false;
        for (Field field; next(piece, field);) {
            if (field.number == 7) {
                graph(message(field), 0);
                found = true;
            } else if (field.number == 25) {
                function(message(field));
            }
        }
        if (!found) {
            refuse("it holds no graph");
        }
    }

private:
    void graph(Piece piece, int depth) {
        if (depth > kDeepest) {
            refuse("graphs are nested too deeply");
        }
        for (Field field; next(piece, field);) {
            if (field.number == 1) {
                node(message(field), depth);
            } else if (field.number == 5) {
                tensor(message(field));
            } else if (field.number == 15) {
                sparse(message(field));
            }
        }
    }

    void function(Piece piece) {
        for (Field field; next(piece, field);) {
            if (field.number == 7) {
                node(message(field), 0);
            }
        }
    }

    void node(Piece piece, int depth) {
        for (Field field; next(piece, field);) {
            if (field.number == 5) {
                attribute(message(field), depth);
            }
        }
    }

    void attribute(Piece piece, int depth) {
        for (Field field; next(piece, field);) {
            if (field.number == 5 || field.number == 10) {
                tensor(message(field));
            } else if (field.number == 6 || field.number == 11) {
                graph(message(field), depth + 1);
            } else if (field.number == 22 || field.number == 23) {
                sparse(message(field));
            }
        }
    }

    void sparse(Piece piece) {
        for (Field field; next(piece, field);) {
            if (field.number == 1 || field.number == 2) {
                tensor(message(field));
            }
        }
    }

    void tensor(Piece piece) {
        for (Field field; next(piece, field);) {
            if (field.number == 13) {
                external(message(field));
            }
        }
    }

    void external(Piece piece) {
        std::string key;
        std::string value;
        for (Field field; next(piece, field);) {
            if (field.number == 1) {
                key = string_of(field);
            } else if (field.number == 2) {
                value = string_of(field);
            }
        }
        if (key == "location") {
            locations.insert(value);
        }
    }
};

}  // namespace

std::set<std::string> external_locations(const std::uint8_t* bytes, std::size_t size,
                                         const std::string& file) {
    try {
        Walk walk;
        walk.model(Piece{bytes, bytes + size});
        return walk.locations;
    } catch (const std::bad_alloc&) {
        throw;
    } catch (const std::exception& err) {
        throw artifact_error(
            text("'", file, "' is not an ONNX file, or only a part of one: ", err.what(), "."),
            "Copy or export it again.");
    }
}

}  // namespace edge_ovss::internal
