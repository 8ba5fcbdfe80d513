// SPDX-License-Identifier: Apache-2.0
// Pieces of text: letters, words and numbers in them.
#pragma once

#include <string>

namespace apps {

std::string lower(std::string text);

// Without white space at its ends.
std::string trimmed(const std::string& text);

// From one to `most` digits, and nothing else.
bool is_digits(const std::string& text, std::size_t most);

// Whether `name` is one of `names`, each of which stands between two blanks.
bool is_one_of(const std::string& name, const char* names);

// Words are of letters, digits and "_", as for "\b" in a regular expression.
bool begins_word(const std::string& text, std::size_t at);

// Where the first word from `from` on begins that starts with `start`; npos if none does.
std::size_t find_start(const std::string& text, const std::string& start, std::size_t from = 0);

// Where `word` stands as a whole word; npos if it does not.
std::size_t find_word(const std::string& text, const std::string& word);
bool has_word(const std::string& text, const std::string& word);

// A number in words, such as "%.1f s".
std::string in_words(const char* format, double number);

}  // namespace apps
