// What Python's str, repr and difflib make of values, for the wording of errors.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tmv/json.hpp"

namespace tmv::python {

std::string repr(const Value& value);
std::string str(const Value& value);
// repr of the first characters of str: what an error shows of a value.
std::string shown(const Value& value, std::size_t most);
const char* type_name(const Value& value);
// Reads what float() reads; false where it raises ValueError.
bool to_float(std::string_view text, double& out);

// torchmultiverse.errors.nearest: " Did you mean 'a' or 'b'?", or the known names where none is near.
std::string nearest(std::string_view name, const std::vector<std::string>& known, std::size_t count = 3);

std::string joined(const std::vector<std::string>& parts, std::string_view between);

}  // namespace tmv::python
