// SPDX-License-Identifier: Apache-2.0
// What a frame takes of memory, what there is, and what is refused: the cases of
// tests/test_memory.py.
#include "memory.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "check.h"
#include "error.h"
#include "scratch.h"

namespace {

namespace fs = std::filesystem;
using namespace edge_ovss::internal;

const char* const kStat =
    "anon 5\nactive_file 30\ninactive_file 70\ntotal_active_file 1000\ntotal_inactive_file 2000\n";

std::string bundle;  // any folder to copy

// What is free where /proc and /sys hold these files, and the system has 1 MiB.
std::uint64_t left(const std::map<std::string, std::string>& files) {
    const Scratch scratch(bundle);
    std::map<std::string, std::string> all{{"proc/meminfo", "MemAvailable: 1024 kB\n"}};
    for (const auto& [name, words] : files) {
        all[name == "cgroup" ? "proc/self/cgroup" : "sys/fs/cgroup/" + name] = words;
    }
    for (const auto& [name, words] : all) {
        const fs::path file = scratch.path() / name;
        fs::create_directories(file.parent_path());
        std::ofstream(file) << words;
    }
    return free_bytes(scratch.path().string()).value_or(1);
}

void groups_leave_less() {
    CHECK(left({}) == 1 << 20);
    CHECK(left({{"cgroup", "0::/a/b"}, {"a/b/memory.max", "900"}, {"a/b/memory.current", "500"}}) == 400);
    CHECK(left({{"cgroup", "0::/a/b"}, {"a/memory.max", "900"}, {"a/memory.current", "500"}}) == 400);
    CHECK(left({{"cgroup", "0::/"}, {"memory.max", "900"}, {"memory.current", "500"}}) == 400);
    CHECK(left({{"cgroup", "0::/a"}, {"a/memory.max", "max"}, {"a/memory.current", "500"}}) == 1 << 20);
    CHECK(left({{"cgroup", "0::/a"}, {"a/memory.max", "900"}, {"a/memory.current", "500"},
                {"a/memory.stat", kStat}}) == 500);
    CHECK(left({{"cgroup", "0::/a"}, {"a/memory.max", "900"}, {"a/memory.current", "950"}}) == 0);
    CHECK(left({{"cgroup", "4:memory:/a\n0::/"}, {"memory/a/memory.limit_in_bytes", "9000"},
                {"memory/a/memory.usage_in_bytes", "5000"}, {"memory/a/memory.stat", kStat}}) == 7000);
    CHECK(left({{"cgroup", "4:cpu,memory:/gone"}, {"memory/memory.limit_in_bytes", "9000"},
                {"memory/memory.usage_in_bytes", "5000"}}) == 4000);
    CHECK(left({{"cgroup", "4:memory:/"}, {"memory/memory.limit_in_bytes", "9223372036854771712"},
                {"memory/memory.usage_in_bytes", "5000"}}) == 1 << 20);
    CHECK(!free_bytes("/nowhere"));
}

bool refused(const Manifest& manifest, std::uint64_t held, std::uint64_t free,
             const std::string& words) {
    try {
        require_memory(manifest, 3000, 4000, held, free);
    } catch (const Error& err) {
        CHECK(err.status == EDGE_OVSS_ERROR_ARTIFACT);
        return (err.what() + err.hint).find(words) != std::string::npos;
    }
    return false;
}

void what_does_not_fit_is_refused() {
    Manifest manifest;
    manifest.frame_bytes = 50;
    CHECK(require_memory(manifest, 3000, 4000, 0, 600000000) == 600000000);
    CHECK(require_memory(manifest, 3000, 4000, 0, std::nullopt) == 600000000);
    CHECK(require_memory(manifest, 3000, 4000, 600000000, 0) == 600000000);
    CHECK(refused(manifest, 0, 599999999, "3000 x 4000 takes about 600 MB of memory; 600 MB are"));
    CHECK(refused(manifest, 1000, 599998999, "close other programs."));
    manifest.frame_bytes = 0;  // an older bundle holds every slot
    manifest.slots = {64, 48, 32};
    CHECK(pixel_bytes(manifest) == 28 + 4 * 32);
    CHECK(refused(manifest, 0, 1000000000, "export the bundle again"));
}

}  // namespace

int main(int, char** arguments) {
    bundle = std::string(arguments[1]) + "/things";
    groups_leave_less();
    what_does_not_fit_is_refused();
    return 0;
}
