// SPDX-License-Identifier: Apache-2.0
#include "vocabulary.h"

#include <set>

#include "error.h"
#include "fields.h"
#include "sha256.h"

namespace edge_ovss::internal {

using nlohmann::json;

namespace {

constexpr int kSchema = 1;
constexpr std::size_t kMostOutputs = 65535;
constexpr std::size_t kMostCategories = std::size_t{1} << 17;

// Throws a plain message; read_vocabulary says which file it is about.
[[noreturn]] void refuse(const std::string& message) {
    throw std::runtime_error(message);
}

const json& item(const json& object, const char* key) {
    if (!object.is_object()) {
        refuse(
            text("found ", object.type_name(), " where an object with '", key, "' was expected."));
    }
    const auto at = object.find(key);
    if (at == object.end()) {
        refuse(text("the key '", key, "' is missing."));
    }
    return *at;
}

const json& list(const json& object, const char* key) {
    const json& value = item(object, key);
    if (!value.is_array()) {
        refuse(text("'", key, "' is ", value.type_name(), "; expected a list."));
    }
    return value;
}

std::string words(const json& value, const char* key) {
    if (!value.is_string() || value.get_ref<const std::string&>().empty()) {
        refuse(text("'", key, "' is ", value.type_name(), "; expected a string."));
    }
    return value.get<std::string>();
}

void check_keys(const json& object, const std::set<std::string>& known) {
    for (const auto& entry : object.items()) {
        if (known.count(entry.key()) == 0) {
            refuse(text("the key '", entry.key(), "' is not known."));
        }
    }
}

std::array<std::uint8_t, 3> color(const json& output) {
    const json& value = list(output, "color");
    std::array<std::uint8_t, 3> answer{};
    if (value.size() != answer.size()) {
        refuse("'color' must be three integers from 0 to 255.");
    }
    for (std::size_t i = 0; i < answer.size(); ++i) {
        if (!value[i].is_number_unsigned() || value[i].get<std::uint64_t>() > 255) {
            refuse("'color' must be three integers from 0 to 255.");
        }
        answer[i] = static_cast<std::uint8_t>(value[i].get<unsigned>());
    }
    return answer;
}

void check_category(const json& category, std::size_t outputs) {
    words(item(category, "text"), "text");
    for (const json& synonym : list(category, "synonyms")) {
        words(synonym, "synonyms");
    }
    const json& output = item(category, "output");
    if (!output.is_number_unsigned() || output.get<std::uint64_t>() >= outputs) {
        refuse(text("the output of '", category["text"].get<std::string>(),
                    "' is not an integer from 0 to ", outputs - 1, "."));
    }
    check_keys(category, {"text", "synonyms", "output"});
}

// The same canonical JSON as Vocabulary.sha256 in Python: keys sorted, no white space, ASCII.
std::string hash_of_words(const json& document, const Vocabulary& vocabulary) {
    json rows = json::array();
    for (const json& category : document["categories"]) {
        rows.push_back({category["text"], category["synonyms"], category["output"]});
    }
    const auto background = document.find("background");
    json canonical = json::object();
    canonical["background"] = background == document.end() ? json() : *background;
    canonical["categories"] = std::move(rows);
    canonical["outputs"] = vocabulary.names;
    return sha256_of_bytes(canonical.dump(-1, ' ', true));
}

std::optional<std::size_t> read_background(const json& document, std::size_t outputs) {
    const auto at = document.find("background");
    if (at == document.end() || at->is_null()) {
        return std::nullopt;
    }
    if (!at->is_number_integer() || at->get<std::int64_t>() < 0 ||
        at->get<std::uint64_t>() >= outputs) {
        refuse(text("its background is ", at->dump(), ", which is no output."));
    }
    return at->get<std::size_t>();
}

Vocabulary read(const json& document) {
    const json& schema = item(document, "schema");
    if (!schema.is_number_integer() || schema.get<std::int64_t>() != kSchema) {
        refuse(text("its schema is ", schema.dump(), "; this version reads schema ", kSchema, "."));
    }
    check_keys(document, {"schema", "name", "sha256", "background", "outputs", "categories"});
    Vocabulary vocabulary;
    vocabulary.name = words(item(document, "name"), "name");
    if (list(document, "outputs").size() > kMostOutputs ||
        list(document, "categories").size() > kMostCategories) {
        refuse(text("it has more than ", kMostOutputs, " outputs or ", kMostCategories,
                    " categories."));
    }
    for (const json& output : list(document, "outputs")) {
        vocabulary.names.push_back(words(item(output, "name"), "name"));
        vocabulary.palette.push_back(color(output));
        check_keys(output, {"name", "color"});
    }
    for (const json& category : list(document, "categories")) {
        check_category(category, vocabulary.names.size());
        vocabulary.texts.push_back(category["text"].get<std::string>());
        vocabulary.output_map.push_back(category["output"].get<std::int64_t>());
        ++vocabulary.categories;
    }
    vocabulary.background = read_background(document, vocabulary.names.size());
    vocabulary.sha256 = hash_of_words(document, vocabulary);
    const auto stated = document.find("sha256");
    if (stated != document.end() && !stated->is_null() && *stated != vocabulary.sha256) {
        refuse("its words were changed after it was written.");
    }
    return vocabulary;
}

}  // namespace

Vocabulary read_vocabulary(const std::string& bytes, const std::string& file) {
    const json document = parse_json(bytes, "'" + file + "'");
    try {
        return read(document);
    } catch (const Error&) {
        throw;
    } catch (const std::bad_alloc&) {
        throw;
    } catch (const std::exception& err) {
        throw artifact_error(text("'", file, "' is not a vocabulary: ", err.what()),
                             "Copy or export the bundle again.");
    }
}

}  // namespace edge_ovss::internal
