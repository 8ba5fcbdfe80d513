// SPDX-License-Identifier: Apache-2.0
// A bundle is opened whole or refused with the reason: damage of every kind, through the C
// interface.
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>

#include "acceptance.h"
#include "error.h"
#include "graph_sizes.h"
#include "manifest.h"
#include "scratch.h"
#include "sha256.h"

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string data;

// Damage a copy of `things` and expect an artifact error with these words.
void refused(const std::string& words, const std::function<void(const Scratch&)>& damage) {
    const Scratch scratch(data + "/things");
    damage(scratch);
    edge_ovss_session* session = nullptr;
    CHECK_FAILS(edge_ovss_open(scratch.path().c_str(), nullptr, &session), EDGE_OVSS_ERROR_ARTIFACT,
                words.c_str());
    CHECK(session == nullptr);
}

void edit(const Scratch& scratch, const std::function<void(json&)>& change) {
    json document = json::parse(scratch.read("manifest.json"));
    change(document);
    scratch.write("manifest.json", document.dump());
}

// Bring size and hash of a file up to date, as a forger would.
void relist(const Scratch& scratch, const std::string& name) {
    const std::string bytes = scratch.read(name);
    edit(scratch, [&](json& document) {
        document["files"][name] = {{"bytes", bytes.size()},
                                   {"sha256", edge_ovss::internal::sha256_of_bytes(bytes)}};
    });
}

void manifests_are_checked() {
    refused("is not JSON", [](auto& s) { s.write("manifest.json", "{"); });
    refused("is not JSON", [](auto& s) { s.write("manifest.json", ""); });
    refused("not a JSON object", [](auto& s) { s.write("manifest.json", "[]"); });
    refused("nested too deeply",
            [](auto& s) { s.write("manifest.json", std::string(100000, '[')); });
    refused("schema 2", [](auto& s) { edit(s, [](json& d) { d["schema"] = 2; }); });
    refused("no 'output.labels_dtype'",
            [](auto& s) { edit(s, [](json& d) { d["output"].erase("labels_dtype"); }); });
    refused("'picture.height' in manifest.json is \"64\"",
            [](auto& s) { edit(s, [](json& d) { d["picture"]["height"] = "64"; }); });
    refused("'vocabulary.outputs' in manifest.json is 18446744073709551615",
            [](auto& s) { edit(s, [](json& d) { d["vocabulary"]["outputs"] = UINT64_MAX; }); });
    refused("'rejection.slots'",
            [](auto& s) { edit(s, [](json& d) { d["rejection"]["slots"] = json::array(); }); });
    refused("'output.outputs'", [](auto& s) {
        edit(s, [](json& d) { d["output"]["outputs"] = {"labels", "labels", "alive", "counts"}; });
    });
    refused("it has no manifest.json", [](auto& s) { fs::remove(s.path() / "manifest.json"); });
    refused("expected at most", [](auto& s) {
        s.write("manifest.json", std::string((std::size_t{16} << 20) + 1, ' '));
    });
}

// Eight bits number 255 outputs: 0 to 254. 255 is reserved for "unknown".
void labels_are_wide_enough_for_the_outputs() {
    const std::pair<int, bool> cases[] = {{254, true}, {255, true}, {256, false}, {257, false}};
    for (const auto& [outputs, fits] : cases) {
        const Scratch scratch(data + "/things");
        edit(scratch, [outputs = outputs](json& d) { d["vocabulary"]["outputs"] = outputs; });
        const std::string bytes = scratch.read("manifest.json");
        std::string refusal;
        try {
            CHECK(edge_ovss::internal::read_manifest(bytes).outputs == outputs);
        } catch (const edge_ovss::internal::Error& err) {
            refusal = err.what();
        }
        CHECK(refusal.empty() == fits);
        CHECK(fits || refusal.find("expected 'uint16' for the") != std::string::npos);
    }
}

// What Python refuses is refused here: edge_ovss/_strict_parsing.py has the same rules.
void documents_are_read_strictly() {
    const std::string deep(65, '[');
    for (const std::string& text :
         {std::string("[18446744073709551616]"), "[-" + std::string(400, '9') + "]",
          "[0." + std::string(128, '1') + "]", std::string("[1e999]"), std::string("[NaN]"),
          std::string("[\"\\ud800\"]"), std::string("{\"a\": 1, \"a\": 2}"), std::string("{}\0", 3),
          deep + std::string(65, ']'), std::string("\xFF")}) {
        refused("is not JSON", [&](auto& s) { s.write("manifest.json", text); });
    }
    const std::string whole = deep.substr(1) + std::string(64, ']');
    refused("not a JSON object", [&](auto& s) { s.write("manifest.json", whole); });
}

void limits_come_before_the_work() {
    refused("lists 4104 files; expected at most 4096", [](auto& s) {
        edit(s, [](json& d) {
            for (int i = 0; d["files"].size() < 4104; ++i) {
                d["files"]["f" + std::to_string(i)] = {{"bytes", 0}, {"sha256", ""}};
            }
        });
    });
    for (const std::string& name : {std::string(256, 'x'), "d/" + std::string(4000, 'y')}) {
        refused("whose name is too long", [&](auto& s) {
            edit(s, [&](json& d) { d["files"][name] = {{"bytes", 0}, {"sha256", ""}}; });
        });
    }
    refused("expected at most 16777216", [](auto& s) {
        edit(s, [](json& d) { d["files"]["model.onnx"]["bytes"] = 16777217; });
    });
    refused("expected at most 67108864", [](auto& s) {
        edit(s, [](json& d) { d["files"]["reference/frame.npy"]["bytes"] = 67108865; });
    });
    refused("'manifest.json' is a link that leaves", [](auto& s) {
        fs::rename(s.path() / "manifest.json", s.path() / "../outside.json");
        fs::create_symlink("../outside.json", s.path() / "manifest.json");
    });
}

void set(const Scratch& scratch, const std::string& pointer, const json& value) {
    edit(scratch, [&](json& document) { document[json::json_pointer(pointer)] = value; });
}

// The hashes agree, the parts do not: both values are named.
void contradictions_are_refused() {
    const struct {
        const char* pointer;
        json value;
        const char* words;
    } cases[] = {
        {"/graph/opset", 19, "has the opset 18; the manifest says 19"},
        {"/rejection",
         {{"mode", "none"}, {"topk", nullptr}, {"slots", nullptr}},
         "'alive' of the shape [4]; the manifest says [3]"},
        {"/rejection",
         {{"mode", "dynamic"}, {"topk", 8}, {"slots", nullptr}},
         "'alive' of the shape [4]; the manifest says [any]"},
        {"/rejection/slots", {0, 0, 0}, "3 integers from 1 to 65535"},
        {"/rejection/slots", {100000, 4, 4}, "3 integers from 1 to 65535"},
        {"/rejection/slots", json::array({4}), "3 integers from 1 to 65535"},
        {"/rejection/slots", {4, 4, 3}, "has 4 places; the manifest says 3 slots"},
        {"/rejection/topk", 0, "at least 1"},
        {"/picture/std", {1, 0, 1}, "three numbers above 0"},
        {"/precision/name", "int8", "has the precision fp32; the manifest says int8"},
        {"/precision/name", "fp16", "has the precision fp32; the manifest says fp16"},
        {"/precision/name", "int4", "expected one of 'fp32', 'fp16', 'bf16', 'int8'"},
        {"/output/outputs", {"labels", "alive", "counts", "scores"}, "has the outputs"},
        {"/output/scores", nullptr, "height and width if 'scores' is exported"},
        {"/output/scores/height", 3, "'scores' of the shape [1, 3, 2, 3]"},
        {"/schema", 2, "schema 2"},
    };
    for (const auto& each : cases) {
        refused(each.words, [&](auto& s) { set(s, each.pointer, each.value); });
    }
    refused("The metadata 'edge_ovss.schema'", [](auto& s) {
        s.replace("model.onnx",
                  "edge_ovss.schema\x12\x01"
                  "1",
                  "edge_ovss.schema\x12\x01"
                  "2");
        relist(s, "model.onnx");
    });
    refused("has the operators Loop", [](auto& s) {
        s.replace("model.onnx", "Cast", "Loop");
        relist(s, "model.onnx");
    });
}

void references_are_compared() {
    refused("labels.npy' of the bundle holds 3; expected 0 to 2", [](auto& s) {
        std::string labels = s.read("reference/labels.npy");
        labels.back() = 3;
        s.write("reference/labels.npy", labels);
        relist(s, "reference/labels.npy");
    });
    for (const auto& [value, words] :
         {std::pair(3, "alive.npy' of the bundle holds 3; expected -1 to 2"),
          std::pair(0, "a category stands in it twice")}) {
        refused(words, [&](auto& s) {
            std::string alive = s.read("reference/alive.npy");
            alive[alive.size() - 16] = static_cast<char>(value);  // the first of four
            s.write("reference/alive.npy", alive);
            relist(s, "reference/alive.npy");
        });
    }
}

using edge_ovss::internal::GraphConstant;
using edge_ovss::internal::GraphNode;
using edge_ovss::internal::OnnxFile;

GraphConstant shape_of(const std::string& name, std::vector<double> sizes) {
    GraphConstant made;
    made.name = name;
    made.dtype = 7;
    made.shape = {sizes.size()};
    made.stored = 8 * sizes.size();
    made.raw = true;
    made.values = std::move(sizes);
    return made;
}

bool fits_in_memory(const std::vector<GraphNode>& nodes, std::vector<GraphConstant> constants) {
    OnnxFile graph;
    graph.nodes = nodes;
    graph.constants = std::move(constants);
    try {
        edge_ovss::internal::check_sizes(graph, "model.onnx", {});
        return true;
    } catch (const edge_ovss::internal::Error& err) {
        CHECK(err.status == EDGE_OVSS_ERROR_ARTIFACT);
        return false;
    }
}

GraphNode node(const std::string& op, std::vector<std::string> inputs, const std::string& output) {
    GraphNode made;
    made.op = op;
    made.inputs = std::move(inputs);
    made.outputs = {output};
    return made;
}

void graphs_do_not_declare_gigabytes() {
    constexpr double most = 1 << 26;
    const auto zeros = node("ConstantOfShape", {"shape"}, "x");
    CHECK(fits_in_memory({zeros}, {shape_of("shape", {most})}));
    CHECK(!fits_in_memory({zeros}, {shape_of("shape", {most + 1})}));
    CHECK(!fits_in_memory({zeros}, {shape_of("shape", {1e15, 1e15})}));
    CHECK(!fits_in_memory({zeros, node("ConstantOfShape", {"shape"}, "y")},
                          {shape_of("shape", {most})}));
    const auto expand = [](const char* what) { return node("Expand", {what, "shape"}, "x"); };
    CHECK(!fits_in_memory({expand("frame")}, {shape_of("shape", {1, most, 2})}));
    CHECK(!fits_in_memory({expand("two")}, {shape_of("two", {1, 1}), shape_of("shape", {most})}));
    CHECK(fits_in_memory({node("Shape", {"frame"}, "shape"), expand("frame")}, {}));
    CHECK(!fits_in_memory({node("Range", {"a", "b", "a"}, "x")},
                          {shape_of("a", {1}), shape_of("b", {1e12})}));
    CHECK(!fits_in_memory({node("Mul", {"a", "a"}, "shape"), zeros}, {shape_of("a", {1e5})}));
    CHECK(!fits_in_memory({node("ReduceProd", {"a"}, "shape"), zeros}, {shape_of("a", {2})}));
    GraphNode pool = node("MaxPool", {"frame"}, "x");
    pool.numbers["pads"] = {0, 4096};
    CHECK(fits_in_memory({pool}, {}));
    pool.numbers["pads"] = {0, -4097};
    CHECK(!fits_in_memory({pool}, {}));
    GraphConstant hollow = shape_of("w", {1});
    hollow.shape = {std::uint64_t{1} << 40};
    CHECK(!fits_in_memory({}, {hollow}));
}

void paths_stay_inside() {
    for (const char* name : {"../model.onnx", "/etc/passwd", "a//b", "./x", "a\\b", "c:x", ""}) {
        refused("relative path inside", [&](auto& s) {
            edit(s, [&](json& d) { d["files"][name] = d["files"]["model.onnx"]; });
        });
    }
    refused("is a link that leaves", [](auto& s) {
        fs::copy(s.path() / "model.onnx", s.path() / "../outside.onnx");
        fs::remove(s.path() / "model.onnx");
        fs::create_symlink("../outside.onnx", s.path() / "model.onnx");
    });
    refused("is not in its 'files'",
            [](auto& s) { edit(s, [](json& d) { d["graph"]["file"] = "other.onnx"; }); });
    refused("which the manifest does not list",
            [](auto& s) { edit(s, [](json& d) { d["graph"]["external_data"] = json::array(); }); });
    refused("relative path inside", [](auto& s) {  // inside the ONNX file, same length
        s.replace("model.onnx", "model.onnx.data", "../../../../etc");
        relist(s, "model.onnx");
    });
}

void files_are_checked() {
    refused("is missing", [](auto& s) { fs::remove(s.path() / "reference/frame.npy"); });
    refused("the manifest says 4", [](auto& s) { s.write("model.onnx.data", "123"); });
    refused("has been changed", [](auto& s) { s.write("model.onnx.data", "1234"); });
    refused("only a part of one", [](auto& s) {
        s.write("model.onnx", s.read("model.onnx").substr(0, 300));
        relist(s, "model.onnx");
    });
    refused("holds no graph", [](auto& s) {
        s.write("model.onnx", "");
        relist(s, "model.onnx");
    });
    refused("has the operators ReduceSun", [](auto& s) {
        s.replace("model.onnx", "ReduceSum", "ReduceSun");
        relist(s, "model.onnx");
    });
    refused("other inputs", [](auto& s) {
        std::string bytes = s.read("model.onnx");
        for (std::size_t at = 0; (at = bytes.find("frame", at)) != std::string::npos;) {
            bytes.replace(at, 5, "frome");
        }
        s.write("model.onnx", bytes);
        relist(s, "model.onnx");
    });
}

void words_are_checked() {
    refused("is not a vocabulary: its words were changed", [](auto& s) {
        s.replace("vocabulary.json", "thing1", "thingy");
        relist(s, "vocabulary.json");
    });
    refused("has the hash", [](auto& s) {
        json words = json::parse(s.read("vocabulary.json"));
        words["outputs"][1]["name"] = "other";
        words.erase("sha256");
        s.write("vocabulary.json", words.dump());
        relist(s, "vocabulary.json");
    });
    refused("'color'", [](auto& s) {
        json words = json::parse(s.read("vocabulary.json"));
        words["outputs"][1]["color"] = {1, 2, 256};
        s.write("vocabulary.json", words.dump());
        relist(s, "vocabulary.json");
    });
    refused("output names; the manifest says 4",
            [](auto& s) { edit(s, [](json& d) { d["vocabulary"]["outputs"] = 4; }); });
    refused("is not a numpy array: it is not of dtype '<u2'",
            [](auto& s) { edit(s, [](json& d) { d["output"]["labels_dtype"] = "uint16"; }); });
    refused("is called 'things'; the manifest says 'words'",
            [](auto& s) { edit(s, [](json& d) { d["vocabulary"]["name"] = "words"; }); });
}

void skipping_hashes_still_compares_sizes() {
    const Scratch scratch(data + "/things");
    edge_ovss_options options = edge_ovss_options_default();
    options.skip_hashes = 1;
    edge_ovss_session* session = nullptr;
    std::string frame = scratch.read("reference/frame.npy");
    frame.back() = static_cast<char>(frame.back() ^ 1);
    scratch.write("reference/frame.npy", frame);
    CHECK_FAILS(edge_ovss_open(scratch.path().c_str(), nullptr, &session), EDGE_OVSS_ERROR_ARTIFACT,
                "has been changed");
    CHECK(edge_ovss_open(scratch.path().c_str(), &options, &session) == EDGE_OVSS_OK);
    CHECK(edge_ovss_close(session) == EDGE_OVSS_OK);
    scratch.replace("reference/frame.npy", "NUMPY", "numpy");
    CHECK_FAILS(edge_ovss_open(scratch.path().c_str(), &options, &session),
                EDGE_OVSS_ERROR_ARTIFACT, "not a numpy array");
    scratch.write("reference/frame.npy", "x");
    CHECK_FAILS(edge_ovss_open(scratch.path().c_str(), &options, &session),
                EDGE_OVSS_ERROR_ARTIFACT, "has 1 bytes");
}

void another_answer_fails_the_selftest() {
    const Scratch scratch(data + "/things");
    std::string labels = scratch.read("reference/labels.npy");
    labels.back() = static_cast<char>((labels.back() + 1) % 3);
    labels[labels.size() - 2] = static_cast<char>((labels[labels.size() - 2] + 1) % 3);
    scratch.write("reference/labels.npy", labels);
    relist(scratch, "reference/labels.npy");
    edge_ovss_session* session = nullptr;
    edge_ovss_selftest_report report = edge_ovss_selftest_report_default();
    CHECK(edge_ovss_open(scratch.path().c_str(), nullptr, &session) == EDGE_OVSS_OK);
    CHECK_FAILS(edge_ovss_selftest(session, &report), EDGE_OVSS_ERROR_GATE, "99.6667 %");
    CHECK(report.agreement > 0.99 && report.agreement < 0.999 && report.same_alive == 1);
    CHECK(edge_ovss_close(session) == EDGE_OVSS_OK);
}

// A numpy file of uint16 [20, 30] in which the rows from `row` on hold `low` and the others `high`.
std::string leads(std::size_t row, unsigned high, unsigned low) {
    std::string header = "{'descr': '<u2', 'fortran_order': False, 'shape': (20, 30), }";
    header.resize(117, ' ');
    std::string file("\x93NUMPY\x01\x00\x76\x00", 10);
    file += header + "\n";
    for (std::size_t i = 0; i < 600; ++i) {
        const unsigned lead = i / 30 < row ? high : low;
        file += {static_cast<char>(lead & 0xFFU), static_cast<char>(lead >> 8U)};
    }
    return file;
}

// Let rows 10 to 19 of the reference labels be others than the graph gives.
void spoil_half(const Scratch& scratch) {
    std::string labels = scratch.read("reference/labels.npy");
    for (std::size_t i = labels.size() - 300; i < labels.size(); ++i) {
        labels[i] = static_cast<char>((labels[i] + 1) % 3);
    }
    scratch.write("reference/labels.npy", labels);
    relist(scratch, "reference/labels.npy");
}

void give_leads(const Scratch& scratch, const std::string& file) {
    scratch.write("reference/lead.npy", file);
    edit(scratch, [](json& d) {
        d["reference"]["lead"] = "reference/lead.npy";
        d["files"]["reference/lead.npy"] = {{"sha256", ""}, {"bytes", 0}};
    });
    relist(scratch, "reference/lead.npy");
}

edge_ovss_status judged(const Scratch& scratch, edge_ovss_selftest_report& report) {
    edge_ovss_session* session = nullptr;
    report = edge_ovss_selftest_report_default();
    CHECK(edge_ovss_open(scratch.path().c_str(), nullptr, &session) == EDGE_OVSS_OK);
    const edge_ovss_status status = edge_ovss_selftest(session, &report);
    CHECK(edge_ovss_close(session) == EDGE_OVSS_OK);
    return status;
}

void labels_that_are_undecided_do_not_count() {
    const Scratch scratch(data + "/things");
    spoil_half(scratch);
    edge_ovss_selftest_report report = edge_ovss_selftest_report_default();
    CHECK(judged(scratch, report) == EDGE_OVSS_ERROR_GATE);
    CHECK(report.agreement == 0.5 && report.undecided < 0);
    give_leads(scratch, leads(10, 66, 65));  // 0.001 lies between the two
    CHECK(judged(scratch, report) == EDGE_OVSS_OK);
    CHECK(report.agreement == 1.0 && report.undecided == 0.5);
    give_leads(scratch, leads(11, 66, 65));
    CHECK(judged(scratch, report) == EDGE_OVSS_ERROR_GATE);
    CHECK(report.agreement > 0.9 && report.agreement < 0.95);
    CHECK(report.undecided > 0.44 && report.undecided < 0.46);
    give_leads(scratch, leads(0, 66, 65));
    CHECK(judged(scratch, report) == EDGE_OVSS_OK);
    CHECK(report.agreement == 1.0 && report.undecided == 1.0);
}

void where_no_label_counts_the_survivors_must_be_the_same() {
    const Scratch scratch(data + "/things-int8");
    edge_ovss_selftest_report report = edge_ovss_selftest_report_default();
    give_leads(scratch, leads(0, 66, 65));
    CHECK(judged(scratch, report) == EDGE_OVSS_OK && report.undecided == 1.0);
    std::string alive = scratch.read("reference/alive.npy");
    alive[alive.size() - 16] = 1;
    scratch.write("reference/alive.npy", alive);
    relist(scratch, "reference/alive.npy");
    CHECK(judged(scratch, report) == EDGE_OVSS_ERROR_GATE && report.same_alive == 0);
}

void a_coarser_precision_leaves_more_open() {
    const Scratch full(data + "/things");
    const Scratch half(data + "/things-fp16");
    const Scratch quantized(data + "/things-int8");
    edge_ovss_selftest_report report = edge_ovss_selftest_report_default();
    for (const Scratch* scratch : {&full, &half, &quantized}) {
        spoil_half(*scratch);
        give_leads(*scratch, leads(10, 6554, 6553));  // 0.1 lies between the two
    }
    CHECK(judged(full, report) == EDGE_OVSS_ERROR_GATE && report.undecided == 0.0);
    CHECK(judged(quantized, report) == EDGE_OVSS_OK && report.undecided == 0.5);
    CHECK(judged(half, report) == EDGE_OVSS_ERROR_GATE && report.undecided == 0.0);
    give_leads(half, leads(10, 1311, 1310));  // 0.02
    CHECK(judged(half, report) == EDGE_OVSS_OK && report.undecided == 0.5);
    give_leads(half, leads(0, 0, 1310));  // all of them: then the tolerance is that of FP32
    CHECK(judged(half, report) == EDGE_OVSS_ERROR_GATE && report.undecided == 0.0);
}

void leads_are_checked() {
    refused("lead [30, 20] and labels [20, 30] do not fit together", [](auto& s) {
        std::string file = leads(10, 66, 65);
        file.replace(file.find("(20, 30)"), 8, "(30, 20)");
        give_leads(s, file);
    });
    refused("reference/lead.npy", [](auto& s) {
        edit(s, [](json& d) { d["reference"]["lead"] = "reference/lead.npy"; });
    });
    refused("lead", [](auto& s) { edit(s, [](json& d) { d["reference"]["lead"] = 1; }); });
}

void the_manifest_cannot_switch_the_selftest_off() {
    edge_ovss_selftest_report report = edge_ovss_selftest_report_default();
    const std::pair<const char*, double> cases[] = {
        {"/things", 0.999}, {"/things-fp16", 0.995}, {"/things-int8", 0.98}};
    for (const auto& [name, least] : cases) {
        const Scratch scratch(data + name);
        spoil_half(scratch);
        set(scratch, "/reference/min_label_agreement", 1e-300);
        CHECK(judged(scratch, report) == EDGE_OVSS_ERROR_GATE && report.min_agreement == least);
        set(scratch, "/reference/min_label_agreement", 0.9999);
        CHECK(judged(scratch, report) == EDGE_OVSS_ERROR_GATE && report.min_agreement == 0.9999);
    }
    using edge_ovss::internal::rule_for;
    CHECK(rule_for("bf16", 1e-300).min_agreement == 0.97);
    for (const char* unknown : {"fp4", ""}) {  // is held to FP32, and refused before that
        CHECK(rule_for(unknown, 1e-300).min_agreement == 0.999);
        refused("'precision.name'", [&](auto& s) { set(s, "/precision/name", unknown); });
    }
}

}  // namespace

int main(int argc, char** argv) {
    CHECK(argc == 2);
    data = argv[1];
    manifests_are_checked();
    labels_are_wide_enough_for_the_outputs();
    documents_are_read_strictly();
    limits_come_before_the_work();
    contradictions_are_refused();
    references_are_compared();
    graphs_do_not_declare_gigabytes();
    paths_stay_inside();
    files_are_checked();
    words_are_checked();
    skipping_hashes_still_compares_sizes();
    another_answer_fails_the_selftest();
    labels_that_are_undecided_do_not_count();
    where_no_label_counts_the_survivors_must_be_the_same();
    a_coarser_precision_leaves_more_open();
    leads_are_checked();
    the_manifest_cannot_switch_the_selftest_off();
    puts("bundle_test: all held");
    return 0;
}
