// SPDX-License-Identifier: Apache-2.0
// A bundle is opened whole or refused with the reason: damage of every kind, through the C
// interface.
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>

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
    CHECK_FAILS(edge_ovss_open(scratch.path().c_str(), nullptr, &session),
                EDGE_OVSS_ERROR_ARTIFACT, words.c_str());
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
    refused("schema 2",
            [](auto& s) { edit(s, [](json& d) { d["schema"] = 2; }); });
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
    refused("is not in its 'files'", [](auto& s) {
        edit(s, [](json& d) { d["graph"]["file"] = "other.onnx"; });
    });
    refused("which the manifest does not list", [](auto& s) {
        edit(s, [](json& d) { d["graph"]["external_data"] = json::array(); });
    });
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
    refused("cannot load 'model.onnx'", [](auto& s) {
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
    refused("is not in the manifest in this form", [](auto& s) {
        edit(s, [](json& d) { d["output"]["labels_dtype"] = "uint16"; });
    });
}

void skipping_hashes_still_compares_sizes() {
    const Scratch scratch(data + "/things");
    edge_ovss_options options = edge_ovss_options_default();
    options.skip_hashes = 1;
    edge_ovss_session* session = nullptr;
    scratch.replace("reference/frame.npy", "NUMPY", "numpy");
    CHECK(edge_ovss_open(scratch.path().c_str(), &options, &session) == EDGE_OVSS_OK);
    CHECK_FAILS(edge_ovss_selftest(session, nullptr), EDGE_OVSS_ERROR_ARTIFACT,
                "not a numpy array");
    CHECK(edge_ovss_close(session) == EDGE_OVSS_OK);
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
    edit(scratch, [](json& d) { d["precision"]["name"] = "int8"; });
    CHECK(judged(scratch, report) == EDGE_OVSS_OK);
    std::string alive = scratch.read("reference/alive.npy");
    alive[alive.size() - 16] = 1;  // where no label counts they must be the same
    scratch.write("reference/alive.npy", alive);
    relist(scratch, "reference/alive.npy");
    CHECK(judged(scratch, report) == EDGE_OVSS_ERROR_GATE && report.same_alive == 0);
}

void a_coarser_precision_leaves_more_open() {
    const Scratch scratch(data + "/things");
    spoil_half(scratch);
    edge_ovss_selftest_report report = edge_ovss_selftest_report_default();
    give_leads(scratch, leads(10, 6554, 6553));  // 0.1 lies between the two
    CHECK(judged(scratch, report) == EDGE_OVSS_ERROR_GATE && report.undecided == 0.0);
    edit(scratch, [](json& d) { d["precision"]["name"] = "int8"; });
    CHECK(judged(scratch, report) == EDGE_OVSS_OK && report.undecided == 0.5);
    edit(scratch, [](json& d) { d["precision"]["name"] = "fp16"; });
    CHECK(judged(scratch, report) == EDGE_OVSS_ERROR_GATE && report.undecided == 0.0);
    give_leads(scratch, leads(10, 1311, 1310));  // 0.02
    CHECK(judged(scratch, report) == EDGE_OVSS_OK && report.undecided == 0.5);
    give_leads(scratch, leads(0, 0, 1310));  // all of them: then the tolerance is that of FP32
    CHECK(judged(scratch, report) == EDGE_OVSS_ERROR_GATE && report.undecided == 0.0);
}

void leads_are_checked() {
    edge_ovss_session* session = nullptr;
    const Scratch scratch(data + "/things");
    std::string file = leads(10, 66, 65);
    file.replace(file.find("(20, 30)"), 8, "(30, 20)");
    give_leads(scratch, file);
    CHECK(edge_ovss_open(scratch.path().c_str(), nullptr, &session) == EDGE_OVSS_OK);
    CHECK_FAILS(edge_ovss_selftest(session, nullptr), EDGE_OVSS_ERROR_ARTIFACT,
                "do not fit together");
    CHECK(edge_ovss_close(session) == EDGE_OVSS_OK);
    refused("reference/lead.npy", [](auto& s) {
        edit(s, [](json& d) { d["reference"]["lead"] = "reference/lead.npy"; });
    });
    refused("lead", [](auto& s) { edit(s, [](json& d) { d["reference"]["lead"] = 1; }); });
}

void the_manifest_cannot_switch_the_selftest_off() {
    const Scratch scratch(data + "/things");
    spoil_half(scratch);
    edge_ovss_selftest_report report = edge_ovss_selftest_report_default();
    for (const char* precision : {"fp32", "fp16", "bf16", "int8", "fp4", ""}) {
        edit(scratch, [&](json& d) {
            d["reference"]["min_label_agreement"] = 1e-300;
            d["precision"]["name"] = precision;
        });
        CHECK(judged(scratch, report) == EDGE_OVSS_ERROR_GATE);
        CHECK(report.min_agreement >= 0.97);
    }
    CHECK(report.min_agreement == 0.999);  // a precision that is not known is held to FP32
    edit(scratch, [](json& d) { d["reference"]["min_label_agreement"] = 0.9999; });
    CHECK(judged(scratch, report) == EDGE_OVSS_ERROR_GATE && report.min_agreement == 0.9999);
}

}  // namespace

int main(int argc, char** argv) {
    CHECK(argc == 2);
    data = argv[1];
    manifests_are_checked();
    paths_stay_inside();
    files_are_checked();
    words_are_checked();
    skipping_hashes_still_compares_sizes();
    another_answer_fails_the_selftest();
    labels_that_are_undecided_do_not_count();
    a_coarser_precision_leaves_more_open();
    leads_are_checked();
    the_manifest_cannot_switch_the_selftest_off();
    puts("bundle_test: all held");
    return 0;
}
