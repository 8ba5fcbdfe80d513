// SPDX-License-Identifier: Apache-2.0
// A copy of a test bundle that a test may damage, removed at its end.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "check.h"

class Scratch {
public:
    explicit Scratch(const std::filesystem::path& bundle) {
        char name[] = "/tmp/edge_ovss_test_XXXXXX";
        CHECK(mkdtemp(name) != nullptr);
        folder_ = name;
        std::filesystem::copy(bundle, path(), std::filesystem::copy_options::recursive);
    }

    ~Scratch() {
        std::error_code code;
        std::filesystem::remove_all(folder_, code);
    }

    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    std::filesystem::path path() const { return folder_ / "copy.ovss"; }

    std::string read(const std::string& name) const {
        std::ifstream stream(path() / name, std::ios::binary);
        return std::string(std::istreambuf_iterator<char>(stream), {});
    }

    void write(const std::string& name, const std::string& bytes) const {
        std::ofstream(path() / name, std::ios::binary) << bytes;
    }

    // Replace the first `from` in a file, which must be there.
    void replace(const std::string& name, const std::string& from, const std::string& to) const {
        std::string bytes = read(name);
        const auto at = bytes.find(from);
        CHECK(at != std::string::npos);
        write(name, bytes.replace(at, from.size(), to));
    }

private:
    std::filesystem::path folder_;
};
