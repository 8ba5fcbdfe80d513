// SPDX-License-Identifier: Apache-2.0
#include "engine_cache.h"

#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>

#include "error.h"
#include "fields.h"
#include "sha256.h"

namespace edge_ovss::internal {

namespace fs = std::filesystem;

namespace {

constexpr const char* kRecord = "build.json";
constexpr const char* kPlan = "model.plan";
constexpr std::uintmax_t kRecordLimit = std::uintmax_t{4} << 20;
constexpr std::uintmax_t kPlanLimit = std::uintmax_t{16} << 30;
constexpr std::int64_t kSchema = 1;

std::string words(FrameSize size) {
    return text(size.height, "x", size.width);
}

std::string frames(const Engine& engine) {
    return engine.pinned() ? words(engine.best)
                           : words(engine.smallest) + " to " + words(engine.largest);
}

FrameSize read_size(const Fields& fields, const std::string& key) {
    const auto numbers = fields.integers(key);
    if (numbers.size() != 2) {
        fields.refuse(key, "height and width");
    }
    return {numbers[0], numbers[1]};
}

// Throws an artifact error for a record that is damaged or of a later version.
Engine read_engine(const fs::path& folder) {
    const auto document = parse_json(read_bytes(folder / kRecord, kRecord, kRecordLimit), kRecord);
    if (!document.is_object()) {
        throw artifact_error("The engine's record is not a JSON object.");
    }
    const Fields fields(document);
    if (fields.integer("schema") != kSchema) {
        throw artifact_error("The engine's record is of another schema.");
    }
    const Fields key = fields.section("key");
    const Fields sizes = key.section("frames");
    Engine engine;
    engine.folder = folder;
    engine.graph = key.string("graph");
    engine.surroundings = {key.string("backend"),         key.string("library"),
                           key.string("platform"),        key.optional_string("device"),
                           key.optional_string("system"), key.integer("recipe")};
    engine.capabilities = key.strings("capabilities");
    engine.smallest = read_size(sizes, "min");
    engine.best = read_size(sizes, "opt");
    engine.largest = read_size(sizes, "max");
    engine.sha256 = fields.section("plan").string("sha256");
    engine.created = fields.string("created");
    engine.labels = fields.choice("labels", {"uint8", "uint16", "int32"});
    return engine;
}

std::vector<Engine> list_engines(const fs::path& folder, const std::string& backend) {
    std::vector<Engine> engines;
    std::error_code code;
    for (const auto& entry : fs::directory_iterator(folder, code)) {
        if (entry.path().filename().string().rfind(backend + "-", 0) != 0) {
            continue;
        }
        try {
            Engine engine = read_engine(entry.path());
            if (engine.surroundings.backend == backend) {
                engines.push_back(std::move(engine));
            }
        } catch (const Error&) {
            continue;  // half-built, or of another version
        }
    }
    std::sort(engines.begin(), engines.end(),
              [](const Engine& a, const Engine& b) { return a.created > b.created; });
    return engines;
}

// "10.3.0" stands for "10.3.0.30": some packages leave the build number out.
bool same_version(const std::string& engine, const std::string& here) {
    return engine == here || here.rfind(engine + ".", 0) == 0 || engine.rfind(here + ".", 0) == 0;
}

void differ(std::string& found, const char* what, const std::string& engine,
            const std::string& here) {
    found +=
        text(found.empty() ? "" : "; ", what, ": the engine is for ", engine, ", here is ", here);
}

std::string differences(const Engine& engine, const std::string& graph, const Surroundings& here,
                        const Gpu& gpu) {
    constexpr std::size_t shown = 12;
    const Surroundings& theirs = engine.surroundings;
    std::string found;
    if (engine.graph != graph) {
        differ(found, "graph", engine.graph.substr(0, shown), graph.substr(0, shown));
    }
    if (!same_version(theirs.library, here.library)) {
        differ(found, "TensorRT version", theirs.library, here.library);
    }
    if (theirs.platform != here.platform) {
        differ(found, "platform", theirs.platform, here.platform);
    }
    if (theirs.device != here.device) {
        differ(found, "GPU", theirs.device.value_or("any"), here.device.value_or("any"));
    }
    if (theirs.system != here.system) {
        differ(found, "driver or L4T", theirs.system.value_or("any"), here.system.value_or("any"));
    }
    if (theirs.recipe != here.recipe) {
        differ(found, "build recipe", std::to_string(theirs.recipe), std::to_string(here.recipe));
    }
    const auto& built = engine.capabilities;
    if (std::find(built.begin(), built.end(), gpu.capability) == built.end()) {
        std::string listed;
        for (const auto& each : built) {
            listed += (listed.empty() ? "" : ", ") + each;
        }
        differ(found, "compute capability", listed.empty() ? "none" : listed, gpu.capability);
    }
    return found;
}

// Refuse what another user could have put native code into.
void check_owner(const Engine& engine) {
    for (const fs::path& path : {engine.folder, engine.folder / kPlan}) {
        struct stat facts{};
        if (stat(path.c_str(), &facts) != 0) {
            throw artifact_error(
                text("Engine '", engine.folder.filename().string(), "' has no plan."));
        }
        const bool others = (facts.st_mode & (S_IWGRP | S_IWOTH)) != 0;
        if (others || (facts.st_uid != 0 && facts.st_uid != geteuid())) {
            throw artifact_error(text("Other users may write '", path.filename().string(),
                                      "' of engine '", engine.folder.filename().string(), "'."),
                                 text("An engine is native code. If it is yours: chmod -R go-rwx '",
                                      engine.folder.string(), "'"));
        }
    }
}

}  // namespace

std::string build_command(const Bundle& bundle, const std::string& backend,
                          const std::string& options) {
    return text("edge-ovss build ", bundle.folder.string(), " --backend ", backend, options);
}

bool Engine::takes(FrameSize size) const {
    return smallest.height <= size.height && size.height <= largest.height &&
           smallest.width <= size.width && size.width <= largest.width;
}

bool Engine::pinned() const {
    return smallest.height == largest.height && smallest.width == largest.width;
}

std::string graph_hash(const Bundle& bundle) {
    const Manifest& manifest = bundle.manifest;
    std::string lines = manifest.graph_file + ":" + manifest.files.at(manifest.graph_file).sha256;
    for (const auto& name : manifest.external_data) {
        lines += "\n" + name + ":" + manifest.files.at(name).sha256;
    }
    return sha256_of_bytes(lines);
}

Surroundings surroundings_here(const std::string& backend, const std::string& library,
                               const Gpu& gpu) {
    struct utsname system{};
    uname(&system);
    Surroundings here;
    here.backend = backend;
    here.library = library;
    here.platform = system.machine;
    if (backend == "tensorrt") {
        here.platform = std::string("linux-") + system.machine;
        here.device = gpu.name;
        here.system = gpu.system;
    }
    return here;
}

std::vector<Engine> fitting_engines(const Bundle& bundle, const fs::path& folder,
                                    const Surroundings& here, const Gpu& gpu) {
    const auto engines = list_engines(folder, here.backend);
    if (engines.empty()) {
        throw artifact_error(text("The bundle '", bundle.folder.filename().string(),
                                  "' has no engine for ", here.backend, "."),
                             "Build one here: " + build_command(bundle, here.backend));
    }
    const std::string graph = graph_hash(bundle);
    std::vector<Engine> fitting;
    std::string lines;
    for (const Engine& engine : engines) {
        const std::string found = differences(engine, graph, here, gpu);
        if (found.empty()) {
            fitting.push_back(engine);
        }
        lines += text("\n  ", engine.folder.filename().string(), ": ", found);
    }
    if (fitting.empty()) {
        throw artifact_error("No engine of the bundle fits this machine:" + lines,
                             "Build it again here: " + build_command(bundle, here.backend));
    }
    return fitting;
}

const Engine& choose_engine(const Bundle& bundle, const std::vector<Engine>& engines,
                            FrameSize size) {
    const Engine* chosen = nullptr;
    std::string sizes;
    for (const Engine& engine : engines) {
        sizes += (sizes.empty() ? "" : ", ") + frames(engine);
        if (engine.takes(size) && (chosen == nullptr || (engine.pinned() && !chosen->pinned()))) {
            chosen = &engine;
        }
    }
    if (chosen == nullptr) {
        throw artifact_error(
            text("The frame is ", words(size), "; the engines of the bundle take: ", sizes, "."),
            "Give frames of such a size, or build: " +
                build_command(bundle, engines.front().surroundings.backend,
                              " --size " + words(size)));
    }
    return *chosen;
}

std::string read_plan(const Bundle& bundle, const Engine& engine) {
    check_owner(engine);
    std::string plan = read_bytes(engine.folder / kPlan, kPlan, kPlanLimit);
    if (sha256_of_bytes(plan) != engine.sha256) {
        throw artifact_error(
            text("The plan of engine '", engine.folder.filename().string(), "' has been changed."),
            "Do not use it; build it again: " +
                build_command(bundle, engine.surroundings.backend, " --overwrite"));
    }
    return plan;
}

}  // namespace edge_ovss::internal
