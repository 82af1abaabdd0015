// Numbers as Python reads and writes them, exactly rounded and without the locale.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "tmv/json.hpp"

namespace tmv::number {

// The double nearest to a decimal number: [-+]digits[.digits][(e|E)[+-]digits]. The text must be one.
double parse(std::string_view text);
// Shortest text that reads back as the same: 0.1, 1e-05, 1e+16, inf, nan.
std::string repr(double value);
// Python's f"{value:.<precision>g}".
std::string general(double value, int precision = 6);
// All digits of a whole double.
std::string integer(double value);

// -1, 0 or 1, exactly; both are finite numbers.
int compare(const Value& a, const Value& b);
// Python's a % b, an Integer where both are; b is a finite number above zero.
Value modulo(const Value& a, const Value& b);

}  // namespace tmv::number
