// SPDX-License-Identifier: Apache-2.0
#include "wire.h"

#include <stdexcept>

namespace edge_ovss::internal {

namespace {

enum Wire : unsigned { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

[[noreturn]] void refuse(const char* message) {
    throw std::runtime_error(message);
}

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

// As Python's decoder: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(Piece piece) {
    while (piece.at != piece.end) {
        const unsigned first = *piece.at++;
        const unsigned more = first < 0x80   ? 0
                              : first < 0xC2 ? 9
                              : first < 0xE0 ? 1
                              : first < 0xF0 ? 2
                              : first < 0xF5 ? 3
                                             : 9;
        if (more > piece.size()) {
            return false;
        }
        for (unsigned i = 0; i < more; ++i) {
            const unsigned byte = *piece.at++;
            const unsigned low = i > 0 ? 0x80 : first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
            const unsigned high = i > 0 ? 0xBF : first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
            if (byte < low || byte > high) {
                return false;
            }
        }
    }
    return true;
}

}  // namespace

bool next(Piece& piece, Field& field) {
    if (piece.at == piece.end) {
        return false;
    }
    const std::uint64_t key = varint(piece);
    const auto wire = static_cast<unsigned>(key & 7U);
    field.number = key >> 3U;
    field.is_bytes = wire != kVarint;
    if (wire == kVarint) {
        field.value = varint(piece);
        return true;
    }
    std::uint64_t size = wire == kFixed64 ? 8 : 4;
    if (wire == kBytes) {
        size = varint(piece);
    } else if (wire != kFixed64 && wire != kFixed32) {
        refuse("a field is of a kind that ONNX does not have");
    }
    if (size > piece.size()) {
        refuse("a field does not fit");
    }
    field.bytes = Piece{piece.at, piece.at + size};
    piece.at += size;
    return true;
}

Piece message_of(const Field& field) {
    if (!field.is_bytes) {
        refuse("a number stands where a message is expected");
    }
    return field.bytes;
}

std::string text_of(const Field& field) {
    const Piece piece = message_of(field);
    if (!is_utf8(piece)) {
        refuse("a text is not UTF-8");
    }
    return std::string(piece.at, piece.end);
}

std::pair<std::string, std::string> text_pair(Piece piece) {
    std::pair<std::string, std::string> pair;
    for (Field field; next(piece, field);) {
        if (field.number == 1) {
            pair.first = text_of(field);
        } else if (field.number == 2) {
            pair.second = text_of(field);
        }
    }
    return pair;
}

void add_numbers(const Field& field, std::vector<std::int64_t>& numbers) {
    if (!field.is_bytes) {
        numbers.push_back(static_cast<std::int64_t>(field.value));
        return;
    }
    for (Piece piece = field.bytes; piece.at != piece.end;) {
        numbers.push_back(static_cast<std::int64_t>(varint(piece)));
    }
}

}  // namespace edge_ovss::internal
