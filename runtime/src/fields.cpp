// SPDX-License-Identifier: Apache-2.0
#include "fields.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "error.h"

namespace edge_ovss::internal {

using nlohmann::json;

namespace {

constexpr std::size_t kShown = 60;
constexpr std::size_t kDeepest = 64;  // what prints a value goes as deep as the value
constexpr std::size_t kLongestNumber = 128;
constexpr const char* kCopyAgain = "Copy or export the bundle again.";

std::string shown(const json& value) {
    std::string dumped = value.dump(-1, ' ', true, json::error_handler_t::replace);
    return dumped.size() <= kShown ? dumped : dumped.substr(0, kShown) + "...";
}

bool is_whole(const json& value, std::int64_t minimum, std::int64_t maximum = kLargest) {
    if (value.is_number_unsigned() &&
        value.get<std::uint64_t>() > static_cast<std::uint64_t>(kLargest)) {
        return false;
    }
    return value.is_number_integer() && value.get<std::int64_t>() >= minimum &&
           value.get<std::int64_t>() <= maximum;
}

// Looks at a document before it is built in memory; false, with the reason, ends the reading.
class Strict {
public:
    using number_integer_t = json::number_integer_t;
    using number_unsigned_t = json::number_unsigned_t;
    using number_float_t = json::number_float_t;
    using string_t = json::string_t;

    std::string reason;

    bool null() { return true; }
    bool boolean(bool) { return true; }
    bool number_integer(number_integer_t) { return true; }
    bool number_unsigned(number_unsigned_t) { return true; }
    bool string(string_t&) { return true; }
    template <class Bytes>
    bool binary(Bytes&) {
        return true;
    }

    bool number_float(number_float_t, const string_t& digits) {
        if (digits.find_first_of(".eE") == std::string::npos) {
            return refuse("an integer does not fit 64 bits");
        }
        return digits.size() <= kLongestNumber || refuse("a number has more than 128 digits");
    }

    bool start_object(std::size_t) { return start(); }
    bool start_array(std::size_t) { return start(); }
    bool end_object() { return end(); }
    bool end_array() { return end(); }

    bool key(string_t& word) {
        return keys_.back().insert(word).second ||
               refuse("the key '" + word + "' occurs twice in one object");
    }

    bool parse_error(std::size_t, const std::string&, const json::exception& err) {
        return refuse(err.what());
    }

private:
    bool start() {
        keys_.emplace_back();
        return keys_.size() <= kDeepest || refuse("it is nested too deeply");
    }

    bool end() {
        keys_.pop_back();
        return true;
    }

    bool refuse(std::string why) {
        reason = std::move(why);
        return false;
    }

    std::vector<std::set<std::string>> keys_;
};

}  // namespace

Fields::Fields(const json& object, std::string where) : object_(object), where_(std::move(where)) {}

const json* Fields::find(const std::string& key) const {
    const auto at = object_.find(key);
    return at == object_.end() ? nullptr : &*at;
}

std::string Fields::name(const std::string& key) const {
    return where_.empty() ? key : where_ + "." + key;
}

bool Fields::has(const std::string& key) const {
    const json* value = find(key);
    return value != nullptr && !value->is_null();
}

void Fields::refuse(const std::string& key, const std::string& expected) const {
    const char* hint = "The bundle is damaged or was not written by edge-ovss; export it again.";
    const json* value = find(key);
    if (value == nullptr) {
        throw artifact_error(
            text("manifest.json has no '", name(key), "'; expected ", expected, "."), hint);
    }
    throw artifact_error(
        text("'", name(key), "' in manifest.json is ", shown(*value), "; expected ", expected, "."),
        hint);
}

std::string Fields::string(const std::string& key) const {
    const json* value = find(key);
    if (value == nullptr || !value->is_string()) {
        refuse(key, "a string");
    }
    return value->get<std::string>();
}

std::optional<std::string> Fields::optional_string(const std::string& key) const {
    return has(key) ? std::optional(string(key)) : std::nullopt;
}

std::int64_t Fields::integer(const std::string& key, std::int64_t minimum,
                             std::int64_t maximum) const {
    const json* value = find(key);
    if (value == nullptr || !is_whole(*value, minimum, maximum)) {
        const std::string most = maximum == kLargest ? "" : text(" and at most ", maximum);
        refuse(key, text("an integer of at least ", minimum, most));
    }
    return value->get<std::int64_t>();
}

std::optional<std::int64_t> Fields::optional_integer(const std::string& key, std::int64_t minimum,
                                                     std::int64_t maximum) const {
    return has(key) ? std::optional(integer(key, minimum, maximum)) : std::nullopt;
}

double Fields::number(const std::string& key) const {
    const json* value = find(key);
    if (value == nullptr || !value->is_number()) {
        refuse(key, "a number");
    }
    const auto given = value->get<double>();
    if (!std::isfinite(given)) {
        refuse(key, "a finite number");
    }
    return given;
}

bool Fields::flag(const std::string& key) const {
    const json* value = find(key);
    if (value == nullptr || !value->is_boolean()) {
        refuse(key, "true or false");
    }
    return value->get<bool>();
}

std::string Fields::choice(const std::string& key,
                           std::initializer_list<const char*> choices) const {
    const json* value = find(key);
    const std::string given =
        value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
    std::string listed;
    for (const char* choice : choices) {
        if (given == choice) {
            return given;
        }
        listed += text(listed.empty() ? "'" : ", '", choice, "'");
    }
    refuse(key, "one of " + listed);
}

std::vector<std::string> Fields::strings(const std::string& key) const {
    const json* value = find(key);
    const auto is_string = [](const json& item) { return item.is_string(); };
    if (value == nullptr || !value->is_array() ||
        !std::all_of(value->begin(), value->end(), is_string)) {
        refuse(key, "a list of strings");
    }
    return value->get<std::vector<std::string>>();
}

std::vector<std::int64_t> Fields::integers(const std::string& key) const {
    const json* value = find(key);
    const auto is_right = [](const json& item) { return is_whole(item, 0); };
    if (value == nullptr || !value->is_array() ||
        !std::all_of(value->begin(), value->end(), is_right)) {
        refuse(key, "a list of integers of at least 0");
    }
    return value->get<std::vector<std::int64_t>>();
}

std::vector<double> Fields::numbers(const std::string& key, std::size_t count) const {
    const json* value = find(key);
    const auto is_number = [](const json& item) { return item.is_number(); };
    if (value == nullptr || !value->is_array() || value->size() != count ||
        !std::all_of(value->begin(), value->end(), is_number)) {
        refuse(key, text("a list of ", count, " finite numbers"));
    }
    return value->get<std::vector<double>>();
}

void Fields::optional_object(const std::string& key) const {
    const json* value = find(key);
    if (value != nullptr && !value->is_object()) {
        refuse(key, "an object");
    }
}

Fields Fields::section(const std::string& key) const {
    const json* value = find(key);
    if (value == nullptr || !value->is_object()) {
        refuse(key, "an object");
    }
    return Fields(*value, name(key));
}

json parse_json(const std::string& bytes, const std::string& file) {
    try {
        Strict strict;
        // The parser takes a zero byte for the end, whatever stands behind it.
        if (bytes.find('\0') != std::string::npos) {
            throw artifact_error(text(file, " is not JSON: it holds a zero byte."), kCopyAgain);
        }
        if (!json::sax_parse(bytes, &strict)) {
            throw artifact_error(text(file, " is not JSON: ", strict.reason, "."), kCopyAgain);
        }
        return json::parse(bytes);
    } catch (const json::exception& err) {
        throw artifact_error(text(file, " is not JSON: ", err.what(), "."), kCopyAgain);
    }
}

}  // namespace edge_ovss::internal
