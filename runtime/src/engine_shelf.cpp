// SPDX-License-Identifier: Apache-2.0
#include "engine_shelf.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "error.h"

extern char** environ;

namespace edge_ovss::internal {

namespace {

constexpr const char* kVariable = "EDGE_OVSS_PROGRAM";
constexpr int kNotFound = 127;  // of a shell, and of some systems' posix_spawnp
constexpr int kWrongOutput = 6;

std::string program() {
    const char* named = std::getenv(kVariable);
    return named == nullptr || *named == '\0' ? "edge-ovss" : named;
}

Error not_started(const std::string& why, const std::string& command) {
    return missing_error(
        text("An engine is to be built, but '", program(), "' cannot be started: ", why, "."),
        text("Install it (pip install edge-ovss), name it in ", kVariable,
             ", or build by hand: ", command));
}

// Run the program without input and without its output, but with its messages; return its status.
int run(std::vector<std::string> words, const std::string& command) {
    std::vector<char*> arguments;
    for (std::string& word : words) {
        arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    pid_t child = 0;
    const int fault =
        posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (fault != 0) {
        throw not_started(std::strerror(fault), command);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {  // the program of this library collects all children
            return 0;          // whether there is an engine is looked at anyway
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// A process of its own, as this one may not have the memory for it; it is checked as always.
void build(const Bundle& bundle, const std::string& backend, FrameSize size) {
    const std::string shown = text(size.height, "x", size.width);
    const std::string command = build_command(bundle, backend, " --size " + shown);
    std::fprintf(stderr, "edge_ovss: building an engine, which takes seconds to minutes: %s\n",
                 command.c_str());
    const auto start = std::chrono::steady_clock::now();
    const auto folder = std::filesystem::absolute(bundle.folder).string();
    const int status =
        run({program(), "build", folder, "--backend", backend, "--size", shown}, command);
    if (status == kNotFound) {
        throw not_started("not found", command);
    }
    if (status != 0) {
        const auto kind = status == kWrongOutput ? EDGE_OVSS_ERROR_GATE : EDGE_OVSS_ERROR_ARTIFACT;
        throw Error(kind, text("No engine could be built (status ", status, "; stderr says why)."),
                    "Build it by hand: " + command);
    }
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    std::fprintf(stderr, "edge_ovss: the engine was built in %.0f s and is kept\n", spent.count());
}

}  // namespace

EngineShelf::EngineShelf(const Bundle& bundle, const std::string& cache, Surroundings here, Gpu gpu,
                         bool builds)
    : bundle_(bundle),
      folder_(cache.empty() ? bundle.file("engines") : std::filesystem::u8path(cache)),
      here_(std::move(here)),
      gpu_(std::move(gpu)),
      builds_(builds) {
    if (builds && !cache.empty()) {
        throw usage_error("'auto_build' builds into the bundle, and 'cache' names another folder.",
                          "Leave one of them out.");
    }
    try {
        engines_ = fitting();
    } catch (const Error&) {
        if (!builds) {
            throw;
        }
    }
}

const Engine& EngineShelf::choose(FrameSize size) {
    if (builds_ && !has(size)) {
        build(bundle_, here_.backend, size);
        engines_ = fitting();
    }
    return choose_engine(bundle_, engines_, size);
}

std::vector<Engine> EngineShelf::fitting() const {
    return fitting_engines(bundle_, folder_, here_, gpu_);
}

bool EngineShelf::has(FrameSize size) const {
    return std::any_of(engines_.begin(), engines_.end(),
                       [&](const Engine& engine) { return engine.takes(size); });
}

}  // namespace edge_ovss::internal
