// SPDX-License-Identifier: Apache-2.0
#include "words.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstring>

namespace apps {

namespace {

constexpr const char* kSpace = " \t\r\n\f\v";

bool of_word(char letter) {
    return std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '_';
}

}  // namespace

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
    return text;
}

std::string trimmed(const std::string& text) {
    const auto first = text.find_first_not_of(kSpace);
    const auto last = text.find_last_not_of(kSpace);
    return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

bool is_digits(const std::string& text, std::size_t most) {
    return !text.empty() && text.size() <= most &&
           std::all_of(text.begin(), text.end(),
                       [](unsigned char letter) { return std::isdigit(letter) != 0; });
}

bool is_one_of(const std::string& name, const char* names) {
    return !name.empty() && name.find(' ') == std::string::npos &&
           std::strstr(names, (" " + name + " ").c_str()) != nullptr;
}

bool begins_word(const std::string& text, std::size_t at) {
    return at == 0 || !of_word(text[at - 1]);
}

std::size_t find_start(const std::string& text, const std::string& start, std::size_t from) {
    auto at = text.find(start, from);
    while (at != std::string::npos && !begins_word(text, at)) {
        at = text.find(start, at + 1);
    }
    return at;
}

std::size_t find_word(const std::string& text, const std::string& word) {
    auto at = find_start(text, word);
    while (at != std::string::npos && at + word.size() < text.size() &&
           of_word(text[at + word.size()])) {
        at = find_start(text, word, at + 1);
    }
    return at;
}

bool has_word(const std::string& text, const std::string& word) {
    return find_word(text, word) != std::string::npos;
}

std::string in_words(const char* format, double number) {
    char words[64];
    std::snprintf(words, sizeof words, format, number);
    return words;
}

}  // namespace apps
