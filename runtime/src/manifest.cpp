// SPDX-License-Identifier: Apache-2.0
// Every field that the Python reader checks is checked here, needed or not: a bundle that one
// runtime refuses must not run on the other.
#include "manifest.h"

#include <algorithm>
#include <limits>
#include <set>

#include "error.h"
#include "fields.h"

namespace edge_ovss::internal {

namespace {

constexpr std::int64_t kSchema = 1;

void check_schema(const Fields& fields) {
    const auto schema = fields.integer("schema", 1);
    if (schema > kSchema) {
        throw artifact_error(text("The bundle has schema ", schema,
                                  "; this version of edge-ovss reads up to ", kSchema, "."),
                             "Upgrade the edge_ovss library.");
    }
}

std::int32_t int32(const Fields& fields, const std::string& key, std::int64_t minimum) {
    const auto value = fields.integer(key, minimum);
    if (value > std::numeric_limits<std::int32_t>::max()) {
        fields.refuse(key, "an integer below 2147483648");
    }
    return static_cast<std::int32_t>(value);
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
    manifest.categories = int32(fields, "categories", 1);
    manifest.outputs = int32(fields, "outputs", 1);
}

void read_templates(const Fields& fields) {
    fields.string("name");
    fields.integer("count");
    fields.string("sha256");
}

void read_picture(const Fields& fields, Manifest& manifest) {
    fields.choice("input", {"frame"});
    fields.choice("dtype", {"uint8"});
    fields.choice("layout", {"HWC"});
    fields.choice("channels", {"RGB"});
    manifest.network_height = int32(fields, "height", 1);
    manifest.network_width = int32(fields, "width", 1);
    fields.flag("keep_aspect");
    fields.string("interpolation");
    fields.string("coordinates");
    fields.flag("antialias");
    fields.numbers("mean", 3);
    fields.numbers("std", 3);
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
    if (fields.has("scores")) {
        const Fields scores = fields.section("scores");
        scores.integer("height");
        scores.integer("width");
    }
    manifest.labels_dtype = fields.choice("labels_dtype", {"uint8", "uint16"});
}

void read_rejection(const Fields& fields, Manifest& manifest) {
    manifest.rejection = fields.choice("mode", {"slots", "dynamic", "none"});
    fields.optional_integer("topk");
    const auto slots =
        fields.has("slots") ? fields.integers("slots") : std::vector<std::int64_t>();
    if (manifest.rejection != "slots") {
        return;
    }
    if (slots.empty()) {
        fields.refuse("slots", "a list of integers, for mode 'slots'");
    }
    if (slots.size() > EDGE_OVSS_MAX_REJECTIONS) {
        fields.refuse("slots", text("at most ", EDGE_OVSS_MAX_REJECTIONS, " integers"));
    }
    for (const auto slot : slots) {
        constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
        manifest.slots.push_back(static_cast<std::int32_t>(std::min(slot, most)));
    }
}

void read_graph(const Fields& fields, Manifest& manifest) {
    manifest.graph_file = fields.string("file");
    manifest.external_data = fields.strings("external_data");
    fields.integer("opset", 1);
}

void read_reference(const Fields& fields, Manifest& manifest) {
    manifest.reference_frame = fields.string("frame");
    manifest.reference_labels = fields.string("labels");
    manifest.reference_alive = fields.string("alive");
    manifest.reference_counts = fields.string("counts");
    manifest.reference_lead = fields.optional_string("lead");
    manifest.min_label_agreement = fields.number("min_label_agreement");
    if (!(manifest.min_label_agreement > 0.0 && manifest.min_label_agreement <= 1.0)) {
        fields.refuse("min_label_agreement", "a number above 0 and at most 1");
    }
}

void read_files(const Fields& fields, Manifest& manifest) {
    for (const auto& item : fields.object().items()) {
        const Fields entry = fields.section(item.key());
        const auto bytes = static_cast<std::uint64_t>(entry.integer("bytes"));
        manifest.files[item.key()] = FileEntry{entry.string("sha256"), bytes};
    }
}

}  // namespace

bool Manifest::answers_with(const char* output) const {
    return std::find(answers.begin(), answers.end(), output) != answers.end();
}

Manifest read_manifest(const std::string& bytes) {
    const auto document = parse_json(bytes, "manifest.json");
    if (!document.is_object()) {
        throw artifact_error("manifest.json is not a JSON object.", "Export it again.");
    }
    const Fields fields(document);
    check_schema(fields);
    Manifest manifest;
    const Fields tool = fields.section("tool");
    manifest.tool = tool.string("name") + " " + tool.string("version");
    fields.string("created");
    read_model(fields.section("model"), manifest);
    fields.optional_object("licenses");
    read_vocabulary(fields.section("vocabulary"), manifest);
    read_templates(fields.section("templates"));
    read_picture(fields.section("picture"), manifest);
    read_output(fields.section("output"), manifest);
    read_rejection(fields.section("rejection"), manifest);
    manifest.precision = fields.section("precision").string("name");
    read_graph(fields.section("graph"), manifest);
    read_reference(fields.section("reference"), manifest);
    fields.optional_object("parity");
    fields.optional_object("versions");
    read_files(fields.section("files"), manifest);
    return manifest;
}

}  // namespace edge_ovss::internal
