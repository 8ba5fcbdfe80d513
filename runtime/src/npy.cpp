// SPDX-License-Identifier: Apache-2.0
// The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#include "npy.h"

#include <cstdint>
#include <limits>

#include "error.h"

namespace edge_ovss::internal {

namespace {

constexpr const char* kExportAgain = "Export the bundle again.";
constexpr std::size_t kMagic = 6;

[[noreturn]] void refuse(const std::string& name, const std::string& reason) {
    throw artifact_error(text("'", name, "' is not a numpy array: ", reason, "."),
                         kExportAgain);
}

std::size_t byte(const std::string& file, std::size_t at) {
    return static_cast<std::uint8_t>(file[at]);
}

// Cut the header (a Python dictionary) off `file`; `start` is then where the elements begin.
std::string header(const std::string& file, const std::string& name, std::size_t& start) {
    const bool known = file.size() >= 12 && file.compare(0, kMagic, "\x93NUMPY") == 0;
    const std::size_t major = known ? byte(file, kMagic) : 0;
    if (major < 1 || major > 3) {
        refuse(name, "it does not begin like one");
    }
    std::size_t length = byte(file, 8) | byte(file, 9) << 8U;
    start = 10;
    if (major > 1) {
        length |= byte(file, 10) << 16U | byte(file, 11) << 24U;
        start = 12;
    }
    if (length > file.size() - start) {
        refuse(name, "it is cut short");
    }
    std::string text_of_header = file.substr(start, length);
    start += length;
    return text_of_header;
}

// What stands after `'key':`, without the blanks before it.
std::string value_of(const std::string& header, const std::string& key, const std::string& name) {
    const auto at = header.find("'" + key + "':");
    const auto begin =
        at == std::string::npos ? at : header.find_first_not_of(' ', at + key.size() + 3);
    if (begin == std::string::npos) {
        refuse(name, "its header has no '" + key + "'");
    }
    return header.substr(begin);
}

std::vector<std::size_t> shape_of(const std::string& value, const std::string& name) {
    const auto end = value.find(')');
    if (value.empty() || value[0] != '(' || end == std::string::npos) {
        refuse(name, "its shape cannot be read");
    }
    std::vector<std::size_t> shape;
    for (std::size_t at = 1; at < end;) {
        if (value[at] == ' ' || value[at] == ',') {
            ++at;
            continue;
        }
        std::size_t size = 0;
        const std::size_t first = at;
        for (; at < end && value[at] >= '0' && value[at] <= '9' && at - first < 10; ++at) {
            size = 10 * size + static_cast<std::size_t>(value[at] - '0');
        }
        if (at == first) {
            refuse(name, "its shape cannot be read");
        }
        shape.push_back(size);
    }
    return shape;
}

std::size_t bytes_of(const Array& array, const std::string& name) {
    std::size_t count = static_cast<std::size_t>(array.dtype.back() - '0');
    for (const std::size_t size : array.shape) {
        if (size != 0 && count > std::numeric_limits<std::size_t>::max() / size) {
            refuse(name, "its shape is too large");
        }
        count *= size;
    }
    return count;
}

}  // namespace

Array read_npy(const std::string& file, const std::string& name, const std::string& dtype,
               std::size_t rank) {
    std::size_t start = 0;
    const std::string facts = header(file, name, start);
    if (value_of(facts, "fortran_order", name).compare(0, 5, "False") != 0) {
        refuse(name, "it is in Fortran order");
    }
    if (value_of(facts, "descr", name).compare(0, dtype.size() + 2, "'" + dtype + "'") != 0) {
        refuse(name, "it is not of dtype '" + dtype + "'");
    }
    Array array{dtype, shape_of(value_of(facts, "shape", name), name), ""};
    if (bytes_of(array, name) != file.size() - start) {
        refuse(name, "its size does not fit its shape");
    }
    if (array.shape.size() == rank + 1 && array.shape[0] == 1) {
        array.shape.erase(array.shape.begin());
    }
    if (array.shape.size() != rank) {
        refuse(name, text("it has ", array.shape.size(), " axes, expected ", rank));
    }
    array.bytes = file.substr(start);
    return array;
}

}  // namespace edge_ovss::internal
