// SPDX-License-Identifier: Apache-2.0
#include "arguments.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "addresses.h"

namespace apps {

namespace {

bool contains(const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

void complain(const char* program, const char* message) {
    std::fprintf(stderr, "%s: %s\n", program, without_secrets(message).c_str());
}

}  // namespace

edge_ovss::Error usage(const std::string& message) {
    return edge_ovss::Error(EDGE_OVSS_ERROR_USAGE, message, "Try --help.");
}

edge_ovss::Error bad_input(const std::string& message, const std::string& hint) {
    return edge_ovss::Error(EDGE_OVSS_ERROR_INPUT, message, hint);
}

Arguments::Arguments(int argc, char** argv, const std::vector<std::string>& with_value,
                     const std::vector<std::string>& flags) {
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        if (word.size() < 2 || word.compare(0, 2, "--") != 0) {
            positional_.push_back(word);
        } else if (contains(flags, word)) {
            values_[word] = "";
        } else if (!contains(with_value, word)) {
            throw usage("There is no option '" + word + "'.");
        } else if (i + 1 == argc) {
            throw usage("Option '" + word + "' needs a value.");
        } else {
            values_[word] = argv[++i];
        }
    }
}

std::string Arguments::value(const std::string& option, const std::string& otherwise) const {
    const auto at = values_.find(option);
    return at == values_.end() ? otherwise : at->second;
}

int Arguments::number(const std::string& option, int otherwise, int least, int most) const {
    return has(option) ? parse_number(value(option, ""), "Option " + option, least, most)
                       : otherwise;
}

double Arguments::real(const std::string& option, double otherwise, double least,
                       double most) const {
    if (!has(option)) {
        return otherwise;
    }
    const std::string words = value(option, "");
    char* end = nullptr;
    const double given = std::strtod(words.c_str(), &end);
    if (words.empty() || *end != '\0' || !(given >= least && given <= most)) {
        throw usage("Option " + option + " is '" + words + "'; expected a number from " +
                    std::to_string(least) + " to " + std::to_string(most) + ".");
    }
    return given;
}

int parse_number(const std::string& words, const std::string& what, int least, int most) {
    errno = 0;
    char* end = nullptr;
    const long given = std::strtol(words.c_str(), &end, 10);
    if (words.empty() || *end != '\0' || errno != 0 || given < least || given > most) {
        throw usage(what + " is '" + words + "'; expected an integer from " +
                    std::to_string(least) + " to " + std::to_string(most) + ".");
    }
    return static_cast<int>(given);
}

FrameSize parse_size(const std::string& words, const std::string& option) {
    const auto cross = std::min(words.find('x'), words.size());
    return {parse_number(words.substr(0, cross), "The height in " + option, 1, EDGE_OVSS_MAX_SIDE),
            parse_number(words.substr(std::min(cross + 1, words.size())), "The width in " + option,
                         1, EDGE_OVSS_MAX_SIDE)};
}

edge_ovss_options session_options(const Arguments& arguments) {
    // Kept for the life of the program: the options point into it.
    static std::string backend;
    backend = arguments.value("--backend", "auto");
    edge_ovss_options options = edge_ovss_options_default();
    options.backend = backend.c_str();
    options.threads = arguments.number("--threads", 0, 1, 4096);
    return options;
}

void choose_unknown(const Arguments& arguments, edge_ovss::Segmenter& segmenter) {
    if (arguments.has("--unknown")) {
        segmenter.choose_unknown(arguments.value("--unknown", ""));
    }
}

int guarded(const char* program, const std::function<int()>& body) {
    try {
        return body();
    } catch (const edge_ovss::Error& err) {
        complain(program, err.what());
        if (!err.hint().empty()) {
            const bool is_grammar = err.hint() == kGrammar;
            std::fprintf(stderr, "Hint: %s\n",
                         (is_grammar ? err.hint() : without_secrets(err.hint())).c_str());
        }
        // A result too small for the answer would be a fault of the program, not of its user.
        return err.status() <= EDGE_OVSS_ERROR_GATE ? err.status() : EDGE_OVSS_ERROR_INTERNAL;
    } catch (const std::exception& err) {
        complain(program, err.what());
        return EDGE_OVSS_ERROR_INTERNAL;
    }
}

std::string json_string(const std::string& words) {
    std::string quoted = "\"";
    for (const char letter : words) {
        if (letter == '"' || letter == '\\') {
            quoted += '\\';
            quoted += letter;
        } else if (static_cast<unsigned char>(letter) < 0x20) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\u%04x", letter);
            quoted += escape;
        } else {
            quoted += letter;
        }
    }
    return quoted + '"';
}

}  // namespace apps
