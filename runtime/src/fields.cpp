// SPDX-License-Identifier: Apache-2.0
#include "fields.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "error.h"

namespace edge_ovss::internal {

using nlohmann::json;

namespace {

constexpr std::size_t kShown = 60;
constexpr int kDeepest = 64;  // what prints a value for a message goes as deep as the value
constexpr const char* kCopyAgain = "Copy or export the bundle again.";

std::string shown(const json& value) {
    std::string dumped = value.dump(-1, ' ', true, json::error_handler_t::replace);
    return dumped.size() <= kShown ? dumped : dumped.substr(0, kShown) + "...";
}

bool is_whole(const json& value, std::int64_t minimum) {
    if (value.is_number_unsigned()) {
        const auto given = value.get<std::uint64_t>();
        constexpr auto most = std::numeric_limits<std::int64_t>::max();
        return given <= static_cast<std::uint64_t>(most) &&
               static_cast<std::int64_t>(given) >= minimum;
    }
    return value.is_number_integer() && value.get<std::int64_t>() >= minimum;
}

}  // namespace

Fields::Fields(const json& object, std::string where)
    : object_(object), where_(std::move(where)) {}

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
    throw artifact_error(text("'", name(key), "' in manifest.json is ", shown(*value),
                              "; expected ", expected, "."),
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

std::int64_t Fields::integer(const std::string& key, std::int64_t minimum) const {
    const json* value = find(key);
    if (value == nullptr || !is_whole(*value, minimum)) {
        refuse(key, text("an integer of at least ", minimum));
    }
    return value->get<std::int64_t>();
}

std::optional<std::int64_t> Fields::optional_integer(const std::string& key) const {
    return has(key) ? std::optional(integer(key)) : std::nullopt;
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

void Fields::numbers(const std::string& key, std::size_t count) const {
    const json* value = find(key);
    const auto is_number = [](const json& item) { return item.is_number(); };
    if (value == nullptr || !value->is_array() || value->size() != count ||
        !std::all_of(value->begin(), value->end(), is_number)) {
        refuse(key, text("a list of ", count, " numbers"));
    }
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
        return json::parse(bytes, [](int depth, json::parse_event_t, json&) {
            if (depth > kDeepest) {
                throw artifact_error("it is nested too deeply");
            }
            return true;
        });
    } catch (const Error& err) {
        throw artifact_error(text(file, " is not JSON: ", err.what(), "."), kCopyAgain);
    } catch (const json::exception& err) {
        throw artifact_error(text(file, " is not JSON: ", err.what(), "."), kCopyAgain);
    }
}

}  // namespace edge_ovss::internal
