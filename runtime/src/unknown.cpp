// SPDX-License-Identifier: Apache-2.0
#include "unknown.h"

#include <algorithm>
#include <locale>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "error.h"
#include "fields.h"

namespace edge_ovss::internal {

namespace {

using nlohmann::json;

constexpr std::uintmax_t kLimit = std::uintmax_t{16} << 20;
constexpr std::int64_t kSchema = 1;
constexpr const char* kOthers = "*";
constexpr const char* kForms = "Give 'off', 'auto', a number, or a file of eval --tune-unknown.";

// The whole of `words` as a number; nothing where they are none.
std::optional<double> number_of(const std::string& words) {
    std::istringstream stream(words);
    stream.imbue(std::locale::classic());
    double number = 0.0;
    if (!(stream >> number)) {
        return std::nullopt;
    }
    stream >> std::ws;
    return stream.eof() ? std::optional<double>(number) : std::nullopt;
}

std::string trimmed_lower(std::string words) {
    const auto first = words.find_first_not_of(" \t");
    const auto last = words.find_last_not_of(" \t");
    words = first == std::string::npos ? "" : words.substr(first, last - first + 1);
    std::transform(words.begin(), words.end(), words.begin(), [](unsigned char letter) {
        return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + 32)
                                              : static_cast<char>(letter);
    });
    return words;
}

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
    throw frame_error(text("The thresholds in '", path, "' cannot be used: ", why, "."),
                      "Tune them for this bundle: edge-ovss eval --tune-unknown.");
}

void require_thresholds(const Manifest& manifest) {
    if (!manifest.takes_thresholds) {
        throw usage_error("The bundle was exported before labels could be unknown.",
                          "Export it again.");
    }
}

json read_document(const std::string& path) {
    std::string bytes;
    try {
        bytes = read_bytes(std::filesystem::u8path(path), path, kLimit);
    } catch (const Error& err) {
        throw frame_error(text("The thresholds '", path, "' cannot be read: ", err.what()), kForms);
    }
    try {
        return parse_json(bytes, "'" + path + "'");
    } catch (const Error& err) {
        throw frame_error(err.what(), kForms);
    }
}

// Compare what the file is for with the bundle.
void check_purpose(const Bundle& bundle, const json& document, const std::string& path) {
    const std::pair<const char*, std::string> expected[] = {
        {"measure", bundle.manifest.measure},
        {"vocabulary_sha256", bundle.manifest.vocabulary_sha256},
        {"model", bundle.manifest.model},
    };
    for (const auto& [key, wanted] : expected) {
        const auto at = document.find(key);
        if (at == document.end() || *at != json(wanted)) {
            refuse(path, text("its '", key, "' is not '", wanted, "'"));
        }
    }
}

std::vector<double> by_name(const Bundle& bundle, const json& named, const std::string& path) {
    const auto& names = bundle.vocabulary.names;
    for (const auto& item : named.items()) {
        const bool known = item.key() == kOthers ||
                           std::find(names.begin(), names.end(), item.key()) != names.end();
        if (!known) {
            refuse(path, text("'", item.key(), "' is no output of the vocabulary"));
        }
        if (!item.value().is_number()) {
            refuse(path, text("'", item.key(), "' has a threshold that is no number"));
        }
    }
    std::vector<double> thresholds;
    for (const auto& name : names) {
        const auto own = named.find(name);
        const auto at = own == named.end() ? named.find(kOthers) : own;
        if (own == named.end() && thresholds.size() == bundle.vocabulary.background) {
            thresholds.push_back(bundle.manifest.highest);
            continue;
        }
        if (at == named.end()) {
            refuse(path, text("'", name, "' has no threshold"));
        }
        thresholds.push_back(at->get<double>());
    }
    return thresholds;
}

std::vector<float> from_file(const Bundle& bundle, const std::string& path) {
    const json document = read_document(path);
    if (!document.is_object() || document.value("schema", json()) != json(kSchema)) {
        refuse(path, text("it is no JSON object with the 'schema' ", kSchema));
    }
    check_purpose(bundle, document, path);
    const auto named = document.find("thresholds");
    if (named == document.end() || !named->is_object() || named->empty()) {
        refuse(path, "it has no 'thresholds', an object of numbers by name");
    }
    try {
        return checked_thresholds(bundle, by_name(bundle, *named, path));
    } catch (const Error& err) {
        throw frame_error(err.what(), err.hint);
    }
}

// One threshold for all words. What the background wins is unknown whatever its score is.
std::vector<double> for_words(const Bundle& bundle, double threshold) {
    const auto background = bundle.vocabulary.background;
    if (!background) {
        return {threshold};
    }
    std::vector<double> thresholds(bundle.vocabulary.names.size(), threshold);
    thresholds[*background] = bundle.manifest.highest;
    return thresholds;
}

}  // namespace

std::size_t unknown_label(const Manifest& manifest) {
    return manifest.labels_dtype == "uint8" ? 255 : 65535;
}

std::vector<float> checked_thresholds(const Bundle& bundle, const std::vector<double>& given) {
    const Manifest& manifest = bundle.manifest;
    require_thresholds(manifest);
    const std::size_t outputs = bundle.vocabulary.names.size();
    if (given.size() != 1 && given.size() != outputs) {
        throw usage_error(text("There are ", given.size(), " thresholds; expected 1, or ", outputs,
                               ", one for each output."));
    }
    for (std::size_t i = 0; i < given.size(); ++i) {
        // A number that is none is not within either.
        if (!(given[i] >= manifest.lowest && given[i] <= manifest.highest)) {
            throw usage_error(
                text("The threshold of unknown ",
                     given.size() == 1 ? "" : "for '" + bundle.vocabulary.names[i] + "' ", "is ",
                     given[i], "; expected a number from ", manifest.lowest, " to ",
                     manifest.highest, "."),
                text(manifest.lowest, " switches it off."));
        }
    }
    std::vector<float> thresholds(outputs, static_cast<float>(given[0]));
    if (given.size() == outputs) {
        std::transform(given.begin(), given.end(), thresholds.begin(),
                       [](double number) { return static_cast<float>(number); });
    }
    return thresholds;
}

std::vector<float> thresholds_of(const Bundle& bundle, const std::string& words, bool* by_output) {
    const Manifest& manifest = bundle.manifest;
    const std::string word = trimmed_lower(words);
    if (word == "off" && !manifest.takes_thresholds) {
        return {};
    }
    require_thresholds(manifest);
    if (word == "off") {
        return checked_thresholds(bundle, {manifest.lowest});
    }
    if (word == "auto") {
        if (!manifest.automatic) {
            throw usage_error(text("'auto' is asked for, but no threshold was measured for '",
                                   manifest.model, "'."),
                              "Give a number, or a file of eval --tune-unknown.");
        }
        return checked_thresholds(bundle, for_words(bundle, *manifest.automatic));
    }
    if (const auto number = number_of(words)) {
        const bool off = *number == manifest.lowest;  // the lowest switches everything off
        return checked_thresholds(bundle,
                                  off ? std::vector<double>{*number} : for_words(bundle, *number));
    }
    if (by_output != nullptr) {
        *by_output = true;
    }
    return from_file(bundle, words);
}

}  // namespace edge_ovss::internal
