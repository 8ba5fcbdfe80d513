// SPDX-License-Identifier: Apache-2.0
// The fields of a protobuf message, read from bytes that nobody has checked.
// The encoding: https://protobuf.dev/programming-guides/encoding
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace edge_ovss::internal {

struct Piece {
    const std::uint8_t* at = nullptr;
    const std::uint8_t* end = nullptr;

    std::size_t size() const { return static_cast<std::size_t>(end - at); }
};

struct Field {
    std::uint64_t number = 0;
    bool is_bytes = false;    // also of the kinds of four and eight bytes
    std::uint64_t value = 0;  // where it is a number
    Piece bytes;
};

// Every function throws std::runtime_error with a plain message where the bytes are no message.

// Take the next field off `piece`; false at its end.
bool next(Piece& piece, Field& field);
Piece message_of(const Field& field);
std::string text_of(const Field& field);
std::pair<std::string, std::string> text_pair(Piece piece);

// Add the numbers of a repeated field, of which this is one value or many.
void add_numbers(const Field& field, std::vector<std::int64_t>& numbers);

}  // namespace edge_ovss::internal
