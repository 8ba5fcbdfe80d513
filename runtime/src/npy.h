// SPDX-License-Identifier: Apache-2.0
// Reads the arrays of a bundle's reference answer (numpy's .npy, C order).
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace edge_ovss::internal {

struct Array {
    std::string dtype;               // as numpy writes it: "|u1", "<u2", "<i4"
    std::vector<std::size_t> shape;  // without a leading 1 that exceeds the wanted rank
    std::string bytes;               // the elements, in C order
};

// Read the bytes of a file. Throws an artifact error that names `name` where it is no array of
// this dtype and rank (a leading axis of 1 is dropped).
Array read_npy(const std::string& file, const std::string& name, const std::string& dtype,
               std::size_t rank);

}  // namespace edge_ovss::internal
