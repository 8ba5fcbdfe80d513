// SPDX-License-Identifier: Apache-2.0
// Engines are found by their key, and refused with the reason; no TensorRT and no GPU is needed.
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "backend.h"
#include "engine_cache.h"
#include "engine_shelf.h"
#include "error.h"
#include "scratch.h"
#include "sha256.h"

namespace {

namespace internal = edge_ovss::internal;
using internal::Bundle;
using nlohmann::json;

const internal::Gpu kOrin{"Orin", "8.7", "L4T 36.4.3"};

json record(const Bundle& bundle, const std::string& plan) {
    const auto here = internal::surroundings_here("tensorrt", "10.3.0", kOrin);
    return {{"schema", 1},
            {"created", "2026-11-21T00:00:00Z"},
            {"labels", "uint8"},
            {"plan", {{"sha256", internal::sha256_of_bytes(plan)}, {"bytes", plan.size()}}},
            {"key",
             {{"graph", internal::graph_hash(bundle)},
              {"backend", "tensorrt"},
              {"library", "10.3.0"},
              {"platform", here.platform},
              {"capabilities", {"8.7"}},
              {"device", "Orin"},
              {"system", "L4T 36.4.3"},
              {"recipe", 1},
              {"frames", {{"min", {480, 640}}, {"opt", {480, 640}}, {"max", {480, 640}}}}}}};
}

void put(const Scratch& scratch, const std::string& name, const json& written) {
    const auto folder = scratch.path() / "engines" / name;
    std::filesystem::create_directories(folder);
    scratch.write("engines/" + name + "/build.json", written.dump());
    scratch.write("engines/" + name + "/model.plan", "plan");
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all);
}

std::vector<internal::Engine> fitting(const Bundle& bundle) {
    // C++ knows the build number, Python's package left it out.
    const auto here = internal::surroundings_here("tensorrt", "10.3.0.30", kOrin);
    return internal::fitting_engines(bundle, bundle.folder / "engines", here, kOrin);
}

void refused(const std::string& wanted, const std::function<void()>& action) {
    try {
        action();
    } catch (const internal::Error& err) {
        CHECK(err.status == EDGE_OVSS_ERROR_ARTIFACT);
        if (std::string(err.what()).find(wanted) == std::string::npos) {
            fprintf(stderr, "expected '%s' in: %s\n", wanted.c_str(), err.what());
            exit(1);
        }
        return;
    }
    fprintf(stderr, "not refused: %s\n", wanted.c_str());
    exit(1);
}

void every_difference_is_named(const Bundle& bundle, const Scratch& scratch) {
    struct Case {
        const char* key;
        json value;
        const char* words;
    };
    const Case cases[] = {
        {"graph", std::string(64, '0'), "graph: the engine is for 000000000000"},
        {"library", "10.16.2.10", "TensorRT version: the engine is for 10.16.2.10, here is 10.3"},
        {"library", "10.3.0.3", "TensorRT version"},
        {"platform", "linux-riscv", "platform: the engine is for linux-riscv"},
        {"device", "Thor", "GPU: the engine is for Thor, here is Orin"},
        {"system", "L4T 36.5", "driver or L4T: the engine is for L4T 36.5, here is L4T 36.4.3"},
        {"recipe", 2, "build recipe: the engine is for 2, here is 1"},
        {"capabilities", {"8.6", "8.9"}, "compute capability: the engine is for 8.6, 8.9"},
    };
    for (const Case& each : cases) {
        json written = record(bundle, "plan");
        written["key"][each.key] = each.value;
        put(scratch, "tensorrt-a", written);
        refused(each.words, [&] { fitting(bundle); });
    }
}

void the_best_engine_is_chosen(const Bundle& bundle, const Scratch& scratch) {
    json ranged = record(bundle, "plan");
    ranged["key"]["frames"] = {{"min", {32, 32}}, {"opt", {480, 640}}, {"max", {720, 1280}}};
    ranged["created"] = "2026-11-22T00:00:00Z";
    put(scratch, "tensorrt-a", record(bundle, "plan"));
    put(scratch, "tensorrt-b", ranged);
    scratch.write("engines/tensorrt-b/junk", "");
    const auto engines = fitting(bundle);
    CHECK(engines.size() == 2 && engines[0].folder.filename() == "tensorrt-b");
    CHECK(choose_engine(bundle, engines, {480, 640}).folder.filename() == "tensorrt-a");
    CHECK(choose_engine(bundle, engines, {481, 640}).folder.filename() == "tensorrt-b");
    refused("The frame is 16x16; the engines of the bundle take: 32x32 to 720x1280, 480x640",
            [&] { choose_engine(bundle, engines, {16, 16}); });
}

void plans_are_checked(const Bundle& bundle, const Scratch& scratch) {
    put(scratch, "tensorrt-a", record(bundle, "plan"));
    const auto engines = fitting(bundle);
    const internal::Engine& engine = choose_engine(bundle, engines, {480, 640});
    CHECK(internal::read_plan(bundle, engine) == "plan");
    using std::filesystem::perms;
    std::filesystem::permissions(engine.folder / "model.plan",
                                 perms::owner_all | perms::group_write);
    refused("Other users may write 'model.plan'", [&] { internal::read_plan(bundle, engine); });
    std::filesystem::permissions(engine.folder / "model.plan", perms::owner_all);
    scratch.write("engines/tensorrt-a/model.plan", "other");
    refused("has been changed", [&] { internal::read_plan(bundle, engine); });
    std::filesystem::remove(engine.folder / "model.plan");
    refused("has no plan", [&] { internal::read_plan(bundle, engine); });
}

void damaged_records_are_left_out(const Bundle& bundle, const Scratch& scratch) {
    std::filesystem::remove_all(scratch.path() / "engines");
    refused("has no engine for tensorrt", [&] { fitting(bundle); });
    for (const char* words : {"", "[]", "{\"schema\": 1}", "{\"schema\": 2}"}) {
        put(scratch, "tensorrt-a", json());
        scratch.write("engines/tensorrt-a/build.json", words);
        refused("has no engine for tensorrt", [&] { fitting(bundle); });
    }
    json rtx = record(bundle, "plan");
    put(scratch, "tensorrt-rtx-a", rtx);  // of another backend
    rtx["key"]["backend"] = "tensorrt-rtx";
    put(scratch, "tensorrt-rtx-b", rtx);
    scratch.write("engines/tensorrt-rtx-a/build.json", rtx.dump());
    refused("has no engine for tensorrt", [&] { fitting(bundle); });
}

void fails(edge_ovss_status status, const std::string& wanted,
           const std::function<void()>& action) {
    try {
        action();
    } catch (const internal::Error& err) {
        CHECK(err.status == status);
        CHECK(std::string(err.what()).find(wanted) != std::string::npos);
        return;
    }
    fprintf(stderr, "not refused: %s\n", wanted.c_str());
    exit(1);
}

// Let EDGE_OVSS_PROGRAM be a script that notes its arguments and does `work`.
void use_program(const Scratch& scratch, const std::string& work) {
    scratch.write("builder", "#!/bin/sh\nset -e\ncd '" + scratch.path().string() +
                                 "'\necho \"$@\" >> said\n" + work + "\n");
    const auto program = scratch.path() / "builder";
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    CHECK(setenv("EDGE_OVSS_PROGRAM", program.c_str(), 1) == 0);
}

void a_missing_engine_is_built_where_that_is_allowed(const Bundle& bundle, const Scratch& scratch) {
    const auto open = [&](bool builds) {
        const auto here = internal::surroundings_here("tensorrt", "10.3.0.30", kOrin);
        return internal::EngineShelf(bundle, "", here, kOrin, builds);
    };
    std::filesystem::remove_all(scratch.path() / "engines");
    put(scratch, "tensorrt-a", record(bundle, "plan"));
    std::filesystem::rename(scratch.path() / "engines", scratch.path() / "made");
    use_program(scratch, "cp -r made engines");
    refused("has no engine for tensorrt", [&] { open(false); });
    auto shelf = open(true);
    CHECK(scratch.read("said").empty());  // for which size is not known yet
    for (int i = 0; i < 2; ++i) {         // the second time it is there
        CHECK(shelf.choose({480, 640}).folder.filename() == "tensorrt-a");
    }
    CHECK(scratch.read("said") ==
          "build " + scratch.path().string() + " --backend tensorrt --size 480x640\n");
    use_program(scratch, "true");
    refused("The frame is 16x16; the engines of the bundle take: 480x640",
            [&] { shelf.choose({16, 16}); });
    use_program(scratch, "exit 6");
    fails(EDGE_OVSS_ERROR_GATE, "status 6", [&] { shelf.choose({16, 16}); });
    use_program(scratch, "exit 5");
    fails(EDGE_OVSS_ERROR_ARTIFACT, "status 5", [&] { shelf.choose({16, 16}); });
    CHECK(setenv("EDGE_OVSS_PROGRAM", "/nowhere/edge-ovss", 1) == 0);
    fails(EDGE_OVSS_ERROR_MISSING, "'/nowhere/edge-ovss' cannot be started",
          [&] { shelf.choose({16, 16}); });
    CHECK(shelf.choose({480, 640}).folder.filename() == "tensorrt-a");  // it goes on
    fails(EDGE_OVSS_ERROR_USAGE, "'cache' names another folder", [&] {
        const auto here = internal::surroundings_here("tensorrt", "10.3.0", kOrin);
        internal::EngineShelf(bundle, "/elsewhere", here, kOrin, true);
    });
    internal::Settings settings;
    settings.auto_build = true;
    fails(EDGE_OVSS_ERROR_USAGE, "there is no engine to build",
          [&] { internal::create_backend("onnxruntime", bundle, settings); });
}

// Print the engine of a bundle that would be loaded for a frame of its own size; tests/
// test_native.py gives one that `edge-ovss build` made.
int print_accepted(char** argv) {
    const internal::Gpu gpu{"any", argv[4], "any"};
    const Bundle bundle = internal::open_bundle(argv[1], true);
    const auto here = internal::surroundings_here(argv[2], argv[3], gpu);
    const auto engines = internal::fitting_engines(bundle, bundle.folder / "engines", here, gpu);
    const internal::Engine& engine = choose_engine(bundle, engines, engines.front().best);
    internal::read_plan(bundle, engine);
    puts(engine.folder.filename().c_str());
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 5) {  // BUNDLE BACKEND VERSION CAPABILITY
        try {
            return print_accepted(argv);
        } catch (const internal::Error& err) {
            fprintf(stderr, "%s\n", err.what());
            return err.status;
        }
    }
    CHECK(argc == 2);
    const Scratch scratch(std::filesystem::path(argv[1]) / "things");
    const Bundle bundle = internal::open_bundle(scratch.path().string(), true);
    // What edge_ovss.runtime.trt.engine_key.graph_hash gives; tests/runtime/test_native_errors.py
    // holds it too.
    CHECK(internal::graph_hash(bundle) ==
          "b1a03827fab82657af85133f38552337893e841e91dd0a841ba8ac344bfb32e1");
    every_difference_is_named(bundle, scratch);
    the_best_engine_is_chosen(bundle, scratch);
    plans_are_checked(bundle, scratch);
    damaged_records_are_left_out(bundle, scratch);
    a_missing_engine_is_built_where_that_is_allowed(bundle, scratch);
    puts("engine_cache_test: all held");
    return 0;
}
