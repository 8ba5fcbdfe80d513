// SPDX-License-Identifier: Apache-2.0
#include "memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

#include "error.h"

namespace edge_ovss::internal {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kFloat = 4;
// Of bundles that do not say what a pixel takes: the frame as floats, turned, and its labels.
constexpr std::uint64_t kLeastBytes = 28;
// A system without a limit writes the largest number of pages there is.
constexpr std::int64_t kNoLimit = std::int64_t{1} << 60;

std::optional<std::int64_t> number(const fs::path& file) {
    std::ifstream stream(file);
    std::int64_t value = 0;
    return stream >> value ? std::optional<std::int64_t>(value) : std::nullopt;
}

// The number behind `name` at the start of a line.
std::optional<std::int64_t> field(const fs::path& file, const std::string& name) {
    std::ifstream stream(file);
    for (std::string line; std::getline(stream, line);) {
        std::istringstream words(line);
        std::string first;
        std::int64_t value = 0;
        if (words >> first >> value && first == name) {
            return value;
        }
    }
    return std::nullopt;
}

void add_system(const fs::path& root, std::vector<std::int64_t>& found) {
    const fs::path file = root / "proc/meminfo";
    if (const auto available = field(file, "MemAvailable:")) {
        found.push_back((*available + field(file, "SwapFree:").value_or(0)) * 1024);
    }
}

// What one control group leaves. Pages of files go when memory is asked for.
void add_group(const fs::path& folder, bool second, std::vector<std::int64_t>& found) {
    const auto most = number(folder / (second ? "memory.max" : "memory.limit_in_bytes"));
    const auto now = number(folder / (second ? "memory.current" : "memory.usage_in_bytes"));
    if (!most || !now || *most >= kNoLimit) {
        return;
    }
    const std::string prefix = second ? "" : "total_";
    const fs::path stat = folder / "memory.stat";
    found.push_back(*most - *now + field(stat, prefix + "active_file").value_or(0) +
                    field(stat, prefix + "inactive_file").value_or(0));
}

bool has_memory(const std::string& names) {
    std::istringstream stream(names);
    for (std::string name; std::getline(stream, name, ',');) {
        if (name == "memory") {
            return true;
        }
    }
    return false;
}

// Every control group above this process, by either version of them; a container may see only the
// outermost.
void add_groups(const fs::path& root, std::vector<std::int64_t>& found) {
    std::ifstream stream(root / "proc/self/cgroup");
    for (std::string line; std::getline(stream, line);) {
        const auto first = line.find(':');
        const auto last = first == std::string::npos ? first : line.find(':', first + 1);
        if (last == std::string::npos) {
            continue;
        }
        const std::string names = line.substr(first + 1, last - first - 1);
        const bool second = names.empty();
        if (!second && !has_memory(names)) {
            continue;
        }
        const fs::path top = root / (second ? "sys/fs/cgroup" : "sys/fs/cgroup/memory");
        fs::path group = fs::path(line.substr(last + 1)).relative_path();
        for (; !group.empty(); group = group.parent_path()) {
            add_group(top / group, second, found);
        }
        add_group(top, second, found);
    }
}

void add_limit(const fs::path& root, std::vector<std::int64_t>& found) {
    rlimit limit{};
    const auto pages = number(root / "proc/self/statm");
    if (pages && getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        found.push_back(static_cast<std::int64_t>(limit.rlim_cur) - *pages * sysconf(_SC_PAGESIZE));
    }
}

std::uint64_t megabytes(std::uint64_t bytes) { return (bytes + 500000) / 1000000; }

}  // namespace

std::uint64_t pixel_bytes(const Manifest& manifest) {
    if (manifest.frame_bytes > 0) {
        return static_cast<std::uint64_t>(manifest.frame_bytes);
    }
    const std::int32_t slots = manifest.slots.empty() ? 0 : manifest.slots.back();
    return kLeastBytes + kFloat * static_cast<std::uint64_t>(slots);
}

std::optional<std::uint64_t> free_bytes(const std::string& root) {
    std::vector<std::int64_t> found;
    add_system(root, found);
    add_groups(root, found);
    add_limit(root, found);
    if (found.empty()) {
        return std::nullopt;
    }
    const std::int64_t least = *std::min_element(found.begin(), found.end());
    return static_cast<std::uint64_t>(std::max<std::int64_t>(0, least));
}

std::uint64_t require_memory(const Manifest& manifest, std::size_t height, std::size_t width,
                             std::uint64_t held, std::optional<std::uint64_t> free) {
    const std::uint64_t needed = std::uint64_t{height} * width * pixel_bytes(manifest);
    if (!free || needed <= held || needed - held <= *free) {
        return needed;
    }
    throw artifact_error(
        text("A frame of ", height, " x ", width, " takes about ", megabytes(needed),
             " MB of memory; ", megabytes(held + *free), " MB are free."),
        text("Give smaller frames, close other programs",
             manifest.frame_bytes > 0 ? "" : ", or export the bundle again: it takes less then",
             "."));
}

}  // namespace edge_ovss::internal
