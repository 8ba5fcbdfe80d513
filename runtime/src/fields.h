// SPDX-License-Identifier: Apache-2.0
// Reads the fields of a JSON document, with errors that name the field.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace edge_ovss::internal {

constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();

// An object of a JSON document and the dotted name under which it stands there. Every function
// throws an artifact error where the field is missing or of another type; an `optional_` function
// takes null, and a field that is not there, for nothing.
class Fields {
public:
    explicit Fields(const nlohmann::json& object, std::string where = "");

    [[noreturn]] void refuse(const std::string& key, const std::string& expected) const;
    std::string string(const std::string& key) const;
    std::optional<std::string> optional_string(const std::string& key) const;
    std::int64_t integer(const std::string& key, std::int64_t minimum = 0,
                         std::int64_t maximum = kLargest) const;
    std::optional<std::int64_t> optional_integer(const std::string& key, std::int64_t minimum = 0,
                                                 std::int64_t maximum = kLargest) const;
    double number(const std::string& key) const;
    bool flag(const std::string& key) const;
    std::string choice(const std::string& key, std::initializer_list<const char*> choices) const;
    std::vector<std::string> strings(const std::string& key) const;
    std::vector<std::int64_t> integers(const std::string& key) const;
    std::vector<double> numbers(const std::string& key, std::size_t count) const;
    void optional_object(const std::string& key) const;  // {} where it is not there
    Fields section(const std::string& key) const;
    bool has(const std::string& key) const;  // there, and not null
    const nlohmann::json& object() const { return object_; }

private:
    const nlohmann::json* find(const std::string& key) const;
    std::string name(const std::string& key) const;

    const nlohmann::json& object_;
    std::string where_;
};

// Parse a document as strictly as edge_ovss/_strict_parsing.py. Throws an artifact error that names
// `file` where it is no JSON, or holds an integer beyond 64 bits, a number of more than 128 digits,
// a key that occurs twice in one object, or more than 64 levels.
nlohmann::json parse_json(const std::string& bytes, const std::string& file);

}  // namespace edge_ovss::internal
