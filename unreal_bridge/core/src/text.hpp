// Texts as Python has them: code points, repr, case folding, UTF-16.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tmv::text {

// Reads a code point, a single surrogate included, and moves `at` on; false where there is none.
bool next(std::string_view text, std::size_t& at, char32_t& out);
bool valid(std::string_view text);
void append(std::string& text, char32_t code);
std::u32string wide(std::string_view text);
std::string narrow(std::u32string_view text);

// Number of code points, and the first ones of a text.
std::size_t length(std::string_view text);
std::string head(std::string_view text, std::size_t count);

// UTF-16LE; false where the bytes are not even in number.
std::string utf16(std::string_view text);
bool from_utf16(std::string_view bytes, std::string& out);
std::size_t utf16_units(std::string_view text);

std::string hex(std::string_view bytes);

// What Python's str methods and repr say of it, with the tables of one version of Unicode (unicode.inc).
bool is_space(char32_t code);
bool is_printable(char32_t code);
bool is_word(char32_t code);
int decimal(char32_t code);  // the value of a decimal digit, or -1
std::string casefold(std::string_view text);
std::string lower(std::string_view text);
bool blank(std::string_view text);
std::string repr(std::string_view text);

}  // namespace tmv::text
