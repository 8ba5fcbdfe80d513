// SPDX-License-Identifier: Apache-2.0
#include <edge_ovss/edge_ovss.hpp>
#include <iostream>
#include <vector>

int main(int argc, char** argv) {
    try {
        edge_ovss::Segmenter segmenter(argc > 1 ? argv[1] : "");
        const std::vector<unsigned char> gray(12 * 16, 100);
        const auto result = segmenter.segment(
            edge_ovss::Frame(EDGE_OVSS_FORMAT_GRAY8, gray.data(), 12, 16));
        std::cout << "center: " << segmenter.name(result.label(6, 8)) << '\n';
        return 0;
    } catch (const edge_ovss::Error& err) {
        std::cerr << err.what() << '\n' << err.hint() << '\n';
        return err.status();
    }
}
