// SPDX-License-Identifier: Apache-2.0
// The format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
#include "stored_zip.h"

#include <array>
#include <cstdint>

#include "error.h"

namespace edge_ovss::internal {

namespace {

constexpr std::size_t kEnd = 22;         // bytes of the record at the end, without its comment
constexpr std::size_t kComment = 65535;  // the longest
constexpr std::size_t kListed = 46;      // of an entry in the list at the end, without its name
constexpr std::size_t kLocal = 30;       // of what stands before its bytes
constexpr std::uint64_t kIsLarge = 0xFFFFFFFF;  // the number stands elsewhere, it has 64 bits

[[noreturn]] void refuse(const std::string& why) {
    throw artifact_error("the archive " + why);
}

std::uint64_t number(const std::string& bytes, std::size_t at, std::size_t count) {
    if (at > bytes.size() || bytes.size() - at < count) {
        refuse("is cut short");
    }
    std::uint64_t found = 0;
    for (std::size_t i = 0; i < count; ++i) {
        found |= std::uint64_t{static_cast<std::uint8_t>(bytes[at + i])} << (8 * i);
    }
    return found;
}

std::size_t end_record(const std::string& archive) {
    const std::size_t at = archive.rfind("PK\x05\x06");
    if (at == std::string::npos || archive.size() - at < kEnd ||
        archive.size() - at > kEnd + kComment) {
        refuse("has no list of entries");
    }
    return at;
}

std::uint32_t checksum(const std::string& bytes) {
    static const std::array<std::uint32_t, 256> table = [] {
        std::array<std::uint32_t, 256> made{};
        for (std::uint32_t i = 0; i < made.size(); ++i) {
            std::uint32_t rest = i;
            for (int bit = 0; bit < 8; ++bit) {
                rest = (rest >> 1U) ^ ((rest & 1U) != 0 ? 0xEDB88320U : 0U);
            }
            made[i] = rest;
        }
        return made;
    }();
    std::uint32_t sum = 0xFFFFFFFFU;
    for (const char byte : bytes) {
        sum = (sum >> 8U) ^ table[(sum ^ static_cast<std::uint8_t>(byte)) & 0xFFU];
    }
    return ~sum;
}

// The bytes of the entry that the list describes at `listed`.
std::string content(const std::string& archive, std::size_t listed, const std::string& name) {
    const std::uint64_t flags = number(archive, listed + 8, 2);
    const std::uint64_t method = number(archive, listed + 10, 2);
    const std::uint64_t packed = number(archive, listed + 20, 4);
    const std::uint64_t size = number(archive, listed + 24, 4);
    const std::uint64_t start = number(archive, listed + 42, 4);
    if (method != 0 || (flags & 1U) != 0 || packed != size) {
        refuse("is compressed or encrypted; expected plain entries");
    }
    if (size == kIsLarge || start == kIsLarge) {
        refuse("is larger than 4 GiB");
    }
    if (start >= listed || number(archive, start, 4) != 0x04034B50U) {
        refuse("names a wrong place for '" + name + "'");
    }
    const std::uint64_t first =
        start + kLocal + number(archive, start + 26, 2) + number(archive, start + 28, 2);
    if (first > listed || listed - first < size) {
        refuse("is cut short");
    }
    std::string bytes = archive.substr(first, size);
    if (checksum(bytes) != number(archive, listed + 16, 4)) {
        refuse("has another checksum for '" + name + "'");
    }
    return bytes;
}

}  // namespace

std::string stored_entry(const std::string& archive, const std::string& name) {
    const std::size_t end = end_record(archive);
    const std::uint64_t entries = number(archive, end + 10, 2);
    std::uint64_t at = number(archive, end + 16, 4);
    for (std::uint64_t i = 0; i < entries && at < end; ++i) {
        if (number(archive, at, 4) != 0x02014B50U) {
            refuse("has a damaged list of entries");
        }
        const std::uint64_t length = number(archive, at + 28, 2);
        if (length == name.size() && archive.compare(at + kListed, length, name) == 0) {
            return content(archive, at, name);
        }
        at += kListed + length + number(archive, at + 30, 2) + number(archive, at + 32, 2);
    }
    refuse("has no entry '" + name + "'");
}

}  // namespace edge_ovss::internal
