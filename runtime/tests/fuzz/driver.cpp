// SPDX-License-Identifier: Apache-2.0
// For compilers without libFuzzer: mutates the files of a corpus, by a fixed seed, for a number of
// seconds. It does not look at coverage; libFuzzer (Clang) does.
//
//     fuzz_bundle -max_total_time=60 CORPUS...
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

std::vector<Bytes> read_corpus(int argc, char** argv, double& seconds) {
    std::vector<Bytes> corpus;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        if (word.rfind("-max_total_time=", 0) == 0) {
            seconds = std::strtod(word.c_str() + std::strlen("-max_total_time="), nullptr);
        } else if (word.rfind("-", 0) != 0) {
            for (const auto& entry : std::filesystem::recursive_directory_iterator(word)) {
                if (entry.is_regular_file()) {
                    std::ifstream stream(entry.path(), std::ios::binary);
                    corpus.emplace_back(std::istreambuf_iterator<char>(stream),
                                        std::istreambuf_iterator<char>());
                }
            }
        }
    }
    corpus.emplace_back(Bytes(200, 1));
    return corpus;
}

class Mutator {
public:
    explicit Mutator(const std::vector<Bytes>& corpus) : corpus_(corpus) {}

    Bytes next() {
        Bytes bytes = corpus_[below(corpus_.size())];
        for (std::size_t i = 1 + below(6); i > 0; --i) {
            mutate(bytes);
        }
        return bytes;
    }

private:
    std::size_t below(std::size_t limit) { return limit == 0 ? 0 : random_() % limit; }

    void mutate(Bytes& bytes) {
        const std::size_t at = below(bytes.size());
        switch (below(7)) {
            case 0:
                bytes.resize(at);  // cut short
                break;
            case 1:
                bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), 1 + below(40),
                             static_cast<std::uint8_t>(below(256)));
                break;
            case 2:
                bytes.erase(
                    bytes.begin() + static_cast<std::ptrdiff_t>(at),
                    bytes.begin() + static_cast<std::ptrdiff_t>(at + below(bytes.size() - at)));
                break;
            case 3:
                put(bytes, at, numbers_[below(std::size(numbers_))], 1 + below(8));
                break;
            case 4: {  // a piece of another file
                const Bytes& other = corpus_[below(corpus_.size())];
                const std::size_t from = below(other.size());
                const std::size_t count = below(other.size() - from);
                bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                             other.begin() + static_cast<std::ptrdiff_t>(from),
                             other.begin() + static_cast<std::ptrdiff_t>(from + count));
                break;
            }
            default:
                if (!bytes.empty()) {
                    bytes[at] = static_cast<std::uint8_t>(
                        below(2) == 0 ? bytes[at] ^ (1U << below(8)) : below(256));
                }
                break;
        }
    }

    static void put(Bytes& bytes, std::size_t at, std::uint64_t number, std::size_t count) {
        for (std::size_t i = 0; i < count && at + i < bytes.size(); ++i) {
            bytes[at + i] = static_cast<std::uint8_t>(number >> (8 * i));
        }
    }

    const std::vector<Bytes>& corpus_;
    std::mt19937_64 random_{20261121};
    static constexpr std::uint64_t numbers_[] = {
        0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, ~0ULL};
};

}  // namespace

int main(int argc, char** argv) {
    double seconds = 5.0;
    const auto corpus = read_corpus(argc, argv, seconds);
    for (const Bytes& bytes : corpus) {
        LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    }
    Mutator mutator(corpus);
    const auto start = std::chrono::steady_clock::now();
    long count = 0;
    while (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() <
           seconds) {
        for (int i = 0; i < 100; ++i, ++count) {
            const Bytes bytes = mutator.next();
            LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
        }
    }
    std::printf("%ld inputs in %.0f s, no finding\n", count, seconds);
    return 0;
}
