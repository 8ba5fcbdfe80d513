// SPDX-License-Identifier: Apache-2.0
// Every field that the Python reader checks is checked here, needed or not: a bundle that one
// runtime refuses must not run on the other.
#include "manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "error.h"
#include "fields.h"

namespace edge_ovss::internal {

namespace {

constexpr std::int64_t kSchema = 1;
constexpr std::int64_t kMostFrameBytes = 1 << 20;
constexpr std::int64_t kMostOutputs = 65535;
constexpr std::int64_t kMostCategories = std::int64_t{1} << 17;
constexpr std::int64_t kMostPixels = 65535;
constexpr std::size_t kMostFiles = 4096;

void check_schema(const Fields& fields) {
    const auto schema = fields.integer("schema", 1);
    if (schema > kSchema) {
        throw artifact_error(text("The bundle has schema ", schema,
                                  "; this version of edge-ovss reads up to ", kSchema, "."),
                             "Upgrade the edge_ovss library.");
    }
}

void read_model(const Fields& fields, Manifest& manifest) {
    fields.string("family");
    manifest.model = fields.string("name");
    const Fields weights = fields.section("weights");
    weights.string("source");
    weights.optional_string("file");
    weights.optional_string("sha256");
    weights.optional_integer("seed");
}

void read_vocabulary(const Fields& fields, Manifest& manifest) {
    manifest.vocabulary_file = fields.string("file");
    manifest.vocabulary_name = fields.string("name");
    manifest.vocabulary_sha256 = fields.string("sha256");
    manifest.categories = fields.integer("categories", 1, kMostCategories);
    manifest.outputs = fields.integer("outputs", 1, kMostOutputs);
}

void read_templates(const Fields& fields, Manifest& manifest) {
    fields.string("name");
    manifest.templates = fields.integer("count");
    manifest.templates_sha256 = fields.string("sha256");
}

// Nothing else depends on it: a section of another form is as none.
void read_text_tower(const nlohmann::json& document, Manifest& manifest) {
    const auto tower = document.find("text_tower");
    if (tower != document.end() && tower->is_object()) {
        const auto digest = tower->find("sha256");
        const auto name = tower->find("name");
        if (digest != tower->end() && digest->is_string() && name != tower->end() &&
            name->is_string()) {
            manifest.text_tower_sha256 = digest->get<std::string>();
        }
    }
}

void read_picture(const Fields& fields, Manifest& manifest) {
    fields.choice("input", {"frame"});
    fields.choice("dtype", {"uint8"});
    fields.choice("layout", {"HWC"});
    fields.choice("channels", {"RGB"});
    const auto side = [&](const char* key) {
        return static_cast<std::int32_t>(fields.integer(key, 1, kMostPixels));
    };
    manifest.network_height = side("height");
    manifest.network_width = side("width");
    fields.flag("keep_aspect");
    fields.string("interpolation");
    fields.string("coordinates");
    fields.flag("antialias");
    fields.numbers("mean", 3);
    const auto std = fields.numbers("std", 3);
    if (*std::min_element(std.begin(), std.end()) <= 0.0) {
        fields.refuse("std", "three numbers above 0");
    }
    fields.flag("in_graph");
}

void read_output(const Fields& fields, Manifest& manifest) {
    manifest.answers = fields.strings("outputs");
    const std::set<std::string> given(manifest.answers.begin(), manifest.answers.end());
    const std::set<std::string> known{"labels", "alive", "counts", "confidence", "scores"};
    const bool fits = std::includes(known.begin(), known.end(), given.begin(), given.end()) &&
                      given.size() == manifest.answers.size() && given.count("labels") == 1 &&
                      given.count("alive") == 1 && given.count("counts") == 1;
    if (!fits) {
        fields.refuse("outputs",
                      "labels, alive, counts and, if exported, confidence and scores, each once");
    }
    fields.optional_string("answer");
    if (fields.has("scores") != manifest.answers_with("scores")) {
        fields.refuse("scores", "height and width if 'scores' is exported, else null");
    }
    if (fields.has("scores")) {
        const Fields scores = fields.section("scores");
        manifest.scores_height = scores.integer("height", 0, kMostPixels);
        manifest.scores_width = scores.integer("width", 0, kMostPixels);
    }
    manifest.labels_dtype = fields.choice("labels_dtype", {"uint8", "uint16"});
}

// The places after each rejection.
std::vector<std::int32_t> read_slots(const Fields& fields) {
    const auto slots = fields.integers("slots");
    const bool fits = slots.size() == static_cast<std::size_t>(kStages) &&
                      std::is_sorted(slots.rbegin(), slots.rend()) && slots.back() >= 1 &&
                      slots.front() <= kMostOutputs;
    if (!fits) {
        fields.refuse("slots",
                      text(kStages, " integers from 1 to ", kMostOutputs, " that do not grow"));
    }
    return {slots.begin(), slots.end()};
}

void read_rejection(const Fields& fields, Manifest& manifest) {
    manifest.rejection = fields.choice("mode", {"slots", "dynamic", "none"});
    fields.optional_integer("topk", 1, kMostOutputs);
    const bool wanted = manifest.rejection == "slots";
    if (fields.has("slots")) {
        manifest.slots = read_slots(fields);
    }
    if (fields.has("slots") != wanted) {
        fields.refuse("slots", wanted ? text("a list of ", kStages, " integers, for mode 'slots'")
                                      : "null, for mode '" + manifest.rejection + "'");
    }
}

bool is_within(const nlohmann::json& value, double low, double high) {
    return value.is_number() && value.get<double>() >= low && value.get<double>() <= high;
}

void read_unknown(const Fields& fields, Manifest& manifest) {
    manifest.takes_thresholds = true;
    const auto& object = fields.object();
    const auto range = object.find("range");
    const bool pair = range != object.end() && range->is_array() && range->size() == 2 &&
                      (*range)[0].is_number() && (*range)[1].is_number();
    if (!pair || !((*range)[0].get<double>() >= 0.0 &&
                   (*range)[0].get<double>() < (*range)[1].get<double>())) {
        fields.refuse("range", "a list of the lowest and the highest value, from 0 on");
    }
    manifest.lowest = (*range)[0].get<double>();
    manifest.highest = (*range)[1].get<double>();
    const auto outputs = static_cast<std::size_t>(manifest.outputs);
    const auto given = object.find("thresholds");
    bool fits = given != object.end() && given->is_array() &&
                (given->size() == 1 || given->size() == outputs);
    for (std::size_t i = 0; fits && i < given->size(); ++i) {
        fits = is_within((*given)[i], manifest.lowest, manifest.highest);
    }
    if (!fits) {
        fields.refuse("thresholds", text("a list of one number, or of ", outputs, ", from ",
                                         manifest.lowest, " to ", manifest.highest));
    }
    for (std::size_t i = 0; i < outputs; ++i) {
        const auto& number = (*given)[given->size() == 1 ? 0 : i];
        manifest.thresholds.push_back(static_cast<float>(number.get<double>()));
    }
    if (fields.has("auto")) {
        manifest.automatic = fields.number("auto");
        if (!(*manifest.automatic >= manifest.lowest && *manifest.automatic <= manifest.highest)) {
            fields.refuse("auto",
                          text("a number from ", manifest.lowest, " to ", manifest.highest));
        }
    }
    manifest.measure = fields.string("measure");
    const std::string source = fields.string("source");
    manifest.by_output = source == "file" || source == "each";
}

// Room for words that are inputs of the graph. The same limits as bundle/words/section.py.
void read_open(const Fields& fields, Manifest& manifest) {
    constexpr std::int64_t most_places = 4096;
    constexpr std::int64_t most_wide = 1 << 14;
    constexpr std::int64_t most_bytes = std::int64_t{4} << 30;
    manifest.places = fields.integer("places", 1, most_places);
    manifest.least = fields.integer("least", 1, manifest.places);
    manifest.prompts = fields.integer("prompts", 1, most_wide);
    manifest.width = fields.integer("width", 1, most_wide);
    manifest.words_file = fields.string("file");
    fields.choice("made_by", {"export", "words"});
    fields.optional_string("changed");
    const std::int64_t row = manifest.prompts * manifest.width * 4;
    if (manifest.places > most_bytes / row) {
        fields.refuse("width", text("at most ", most_bytes, " bytes for all places"));
    }
}

// There are places for all words, and labels can name as many outputs as there are places.
void check_room(const Fields& fields, const Manifest& manifest) {
    if (manifest.places == 0) {
        return;
    }
    if (std::max(manifest.categories, manifest.outputs) > manifest.places) {
        fields.section("vocabulary")
            .refuse("categories", text("at most ", manifest.places, ", as 'open.places' says"));
    }
    if (manifest.takes_thresholds && !manifest.answers_with("confidence")) {
        fields.section("output").refuse("outputs", "'confidence' too, for an open graph");
    }
    const std::string dtype = manifest.places <= kNarrowOutputs ? "uint8" : "uint16";
    if (manifest.labels_dtype != dtype) {
        fields.section("output").refuse("labels_dtype",
                                        text("'", dtype, "' for ", manifest.places, " places"));
    }
}

std::optional<OtherGraph> read_other(const Fields& fields, const char* name) {
    if (!fields.has(name)) {
        return std::nullopt;
    }
    const Fields other = fields.section(name);
    return OtherGraph{other.string("file"), read_slots(other)};
}

void read_graph(const Fields& fields, Manifest& manifest) {
    manifest.graph_file = fields.string("file");
    manifest.external_data = fields.strings("external_data");
    manifest.opset = fields.integer("opset", 1);
    manifest.frame_bytes = fields.optional_integer("frame_bytes", 1, kMostFrameBytes).value_or(0);
    manifest.spare = read_other(fields, "spare");
    manifest.small = read_other(fields, "small");
}

void read_reference(const Fields& fields, Manifest& manifest) {
    manifest.reference_frame = fields.string("frame");
    manifest.reference_labels = fields.string("labels");
    manifest.reference_alive = fields.string("alive");
    manifest.reference_counts = fields.string("counts");
    manifest.reference_lead = fields.optional_string("lead");
    manifest.reference_measure = fields.optional_string("measure");
    manifest.min_label_agreement = fields.number("min_label_agreement");
    if (!(manifest.min_label_agreement > 0.0 && manifest.min_label_agreement <= 1.0)) {
        fields.refuse("min_label_agreement", "a number above 0 and at most 1");
    }
}

void read_files(const Fields& fields, Manifest& manifest) {
    if (fields.object().size() > kMostFiles) {
        throw artifact_error(text("manifest.json lists ", fields.object().size(),
                                  " files; expected at most ", kMostFiles, "."),
                             "Do not use it unless you know who wrote it.");
    }
    for (const auto& item : fields.object().items()) {
        const Fields entry = fields.section(item.key());
        const auto bytes = static_cast<std::uint64_t>(entry.integer("bytes"));
        manifest.files[item.key()] = FileEntry{entry.string("sha256"), bytes};
    }
}

// Labels of eight bits cannot name more outputs than they have values; 255 is reserved.
void check_labels(const Fields& fields, const Manifest& manifest) {
    if (manifest.labels_dtype == "uint8" && manifest.outputs > kNarrowOutputs) {
        fields.section("output").refuse("labels_dtype", text("'uint16' for the ", manifest.outputs,
                                                             " outputs of the vocabulary"));
    }
}

}  // namespace

bool Manifest::answers_with(const char* output) const {
    return std::find(answers.begin(), answers.end(), output) != answers.end();
}

bool Manifest::fits_small() const {
    return small && categories <= small->slots.back();  // they do not grow
}

Manifest Manifest::with_graph(const OtherGraph& other) const {
    Manifest changed = *this;
    changed.graph_file = other.file;
    changed.slots = other.slots;
    changed.spare = changed.small = std::nullopt;
    // An open graph cannot choose more words than it is given.
    changed.least = std::min<std::int64_t>(places, other.slots.front());
    return changed;
}

Manifest read_manifest(const std::string& bytes) {
    const auto whole = std::make_shared<const nlohmann::json>(parse_json(bytes, "manifest.json"));
    const auto& document = *whole;
    if (!document.is_object()) {
        throw artifact_error("manifest.json is not a JSON object.", "Export it again.");
    }
    const Fields fields(document);
    check_schema(fields);
    Manifest manifest;
    manifest.document = whole;
    const Fields tool = fields.section("tool");
    manifest.tool = tool.string("name") + " " + tool.string("version");
    fields.string("created");
    read_model(fields.section("model"), manifest);
    fields.optional_object("licenses");
    read_vocabulary(fields.section("vocabulary"), manifest);
    read_templates(fields.section("templates"), manifest);
    read_text_tower(document, manifest);
    read_picture(fields.section("picture"), manifest);
    read_output(fields.section("output"), manifest);
    read_rejection(fields.section("rejection"), manifest);
    if (fields.has("unknown")) {
        read_unknown(fields.section("unknown"), manifest);
    }
    if (fields.has("open")) {
        read_open(fields.section("open"), manifest);
    }
    manifest.precision =
        fields.section("precision").choice("name", {"fp32", "fp16", "bf16", "int8"});
    read_graph(fields.section("graph"), manifest);
    read_reference(fields.section("reference"), manifest);
    fields.optional_object("parity");
    fields.optional_object("versions");
    read_files(fields.section("files"), manifest);
    check_labels(fields, manifest);
    check_room(fields, manifest);
    return manifest;
}

}  // namespace edge_ovss::internal
