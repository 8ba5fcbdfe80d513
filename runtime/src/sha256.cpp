// SPDX-License-Identifier: Apache-2.0
#include "sha256.h"

#include <openssl/evp.h>

#include <array>
#include <memory>
#include <vector>

#include "error.h"

namespace edge_ovss::internal {

namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20;

class Digest {
public:
    Digest() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
        require(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
    }

    void add(const void* bytes, std::size_t count) {
        require(EVP_DigestUpdate(context_.get(), bytes, count) == 1);
    }

    std::string hexadecimal() {
        std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
        unsigned int count = 0;
        require(EVP_DigestFinal_ex(context_.get(), bytes.data(), &count) == 1);
        constexpr const char* digits = "0123456789abcdef";
        std::string answer;
        for (unsigned int i = 0; i < count; ++i) {
            answer += digits[bytes[i] >> 4U];
            answer += digits[bytes[i] & 15U];
        }
        return answer;
    }

private:
    static void require(bool done) {
        if (!done) {
            throw missing_error("OpenSSL cannot compute SHA-256 on this system.");
        }
    }

    std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_;
};

}  // namespace

std::string sha256_of_bytes(const std::string& bytes) {
    Digest digest;
    digest.add(bytes.data(), bytes.size());
    return digest.hexadecimal();
}

std::string sha256_of_file(std::FILE* file, const std::string& name) {
    Digest digest;
    std::vector<unsigned char> piece(kPiece);
    std::size_t count = 0;
    while ((count = std::fread(piece.data(), 1, piece.size(), file)) > 0) {
        digest.add(piece.data(), count);
    }
    if (std::ferror(file) != 0) {
        throw artifact_error(text("'", name, "' of the bundle cannot be read to its end."),
                             "Check the permissions of the bundle and the disk.");
    }
    return digest.hexadecimal();
}

}  // namespace edge_ovss::internal
