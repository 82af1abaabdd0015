#include "python.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <unordered_map>
#include <utility>

#include "number.hpp"
#include "text.hpp"

namespace tmv::python {
namespace {

// How alike two texts are: difflib.SequenceMatcher(a=one, b=word).ratio().
class Likeness {
 public:
  explicit Likeness(std::u32string word) : word_(std::move(word)) {
    for (std::size_t i = 0; i < word_.size(); ++i) places_[word_[i]].push_back(i);
    for (const char32_t code : word_) ++counts_[code];
    if (word_.size() >= 200) {  // difflib leaves out what is frequent in long texts
      const std::size_t most = word_.size() / 100 + 1;
      for (auto it = places_.begin(); it != places_.end();) {
        it = it->second.size() > most ? places_.erase(it) : std::next(it);
      }
    }
  }

  double ratio(const std::u32string& one, double least) const {
    const std::size_t both = one.size() + word_.size();
    if (both == 0) return 1;
    const auto of = [both](std::size_t matches) {
      return 2.0 * static_cast<double>(matches) / static_cast<double>(both);
    };
    // Bounds from above, as difflib has them, spare the rest.
    if (of(std::min(one.size(), word_.size())) < least || of(shared(one)) < least) return 0;
    return of(matches(one));
  }

 private:
  std::size_t shared(const std::u32string& one) const {
    auto left = counts_;
    std::size_t found = 0;
    for (const char32_t code : one) {
      const auto it = left.find(code);
      if (it == left.end() || it->second == 0) continue;
      --it->second;
      ++found;
    }
    return found;
  }

  struct Part {
    std::size_t a_low, a_high, b_low, b_high;
  };

  std::size_t matches(const std::u32string& one) const {
    std::size_t found = 0;
    std::vector<Part> parts{{0, one.size(), 0, word_.size()}};
    std::vector<std::size_t> lengths(word_.size() + 1), next(word_.size() + 1);
    while (!parts.empty()) {
      const Part part = parts.back();
      parts.pop_back();
      std::size_t a = part.a_low, b = part.b_low, size = 0;
      std::fill(lengths.begin(), lengths.end(), 0);
      for (std::size_t i = part.a_low; i < part.a_high; ++i) {
        std::fill(next.begin(), next.end(), 0);
        const auto at = places_.find(one[i]);
        if (at != places_.end()) {
          for (const std::size_t j : at->second) {
            if (j < part.b_low) continue;
            if (j >= part.b_high) break;
            const std::size_t k = next[j + 1] = lengths[j] + 1;
            if (k > size) a = i + 1 - k, b = j + 1 - k, size = k;
          }
        }
        std::swap(lengths, next);
      }
      while (a > part.a_low && b > part.b_low && one[a - 1] == word_[b - 1]) --a, --b, ++size;
      while (a + size < part.a_high && b + size < part.b_high && one[a + size] == word_[b + size]) ++size;
      if (size == 0) continue;
      found += size;
      if (part.a_low < a && part.b_low < b) parts.push_back({part.a_low, a, part.b_low, b});
      if (a + size < part.a_high && b + size < part.b_high) {
        parts.push_back({a + size, part.a_high, b + size, part.b_high});
      }
    }
    return found;
  }

  std::u32string word_;
  std::unordered_map<char32_t, std::vector<std::size_t>> places_;
  std::unordered_map<char32_t, std::size_t> counts_;
};

// The text as float() sees it: other digits and spaces than ASCII's are as good.
std::string plain(std::string_view text) {
  const bool ascii = std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 128; });
  if (ascii) return std::string(text);
  std::string out;
  char32_t code = 0;
  for (std::size_t at = 0; text::next(text, at, code);) {
    const int digit = text::decimal(code);
    if (code < 127) {
      out += static_cast<char>(code);
    } else if (text::is_space(code)) {
      out += ' ';
    } else {
      out += digit < 0 ? '?' : static_cast<char>('0' + digit);
    }
  }
  return out;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::size_t count_digits(std::string_view text, std::size_t& at) {
  const std::size_t first = at;
  while (at < text.size() && is_digit(text[at])) ++at;
  return at - first;
}

// [-+]digits[.digits][e[-+]digits], with digits on one side of the point at least.
bool is_decimal(std::string_view text) {
  std::size_t at = 0;
  if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
  std::size_t digits = count_digits(text, at);
  if (at < text.size() && text[at] == '.') {
    ++at;
    digits += count_digits(text, at);
  }
  if (digits == 0) return false;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (count_digits(text, at) == 0) return false;
  }
  return at == text.size();
}

}  // namespace

std::string str(const Value& value) { return value.is(Value::Kind::String) ? value.text() : repr(value); }

std::string shown(const Value& value, std::size_t most) { return text::repr(text::head(str(value), most)); }

std::string repr(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::Null: return "None";
    case Value::Kind::Bool: return value.as_bool() ? "True" : "False";
    case Value::Kind::Integer: return value.text();
    case Value::Kind::Float: return number::repr(value.as_double());
    case Value::Kind::String: return text::repr(value.text());
    case Value::Kind::Array: {
      std::string out = "[";
      for (const Value& item : value.items()) {
        if (out.size() > 1) out += ", ";
        out += repr(item);
      }
      return out + "]";
    }
    case Value::Kind::Object: {
      std::string out = "{";
      for (const Member& member : value.members()) {
        if (out.size() > 1) out += ", ";
        out += text::repr(member.name) + ": " + repr(member.value);
      }
      return out + "}";
    }
  }
  return "";
}

const char* type_name(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::Null: return "NoneType";
    case Value::Kind::Bool: return "bool";
    case Value::Kind::Integer: return "int";
    case Value::Kind::Float: return "float";
    case Value::Kind::String: return "str";
    case Value::Kind::Array: return "list";
    case Value::Kind::Object: return "dict";
  }
  return "";
}

bool to_float(std::string_view given, double& out) {
  std::string text = plain(given);
  const char* const spaces = " \t\n\r\v\f";
  const std::size_t first = text.find_first_not_of(spaces);
  if (first == std::string::npos) return false;
  text = text.substr(first, text.find_last_not_of(spaces) - first + 1);
  std::string word = text;
  for (char& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  const bool minus = word[0] == '-';
  if (minus || word[0] == '+') word.erase(0, 1);
  if (word == "inf" || word == "infinity" || word == "nan") {
    out = word == "nan" ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity();
    if (minus) out = -out;
    return true;
  }
  for (std::size_t at = text.find('_'); at != std::string::npos; at = text.find('_', at)) {
    if (at == 0 || !is_digit(text[at - 1]) || at + 1 >= text.size() || !is_digit(text[at + 1])) return false;
    text.erase(at, 1);
  }
  if (!is_decimal(text)) return false;
  out = number::parse(text);
  return true;
}

std::string nearest(std::string_view name, const std::vector<std::string>& known, std::size_t count) {
  constexpr double least = 0.55;
  std::vector<std::pair<std::string, std::string>> folded;  // folded name, and the last of which it is one
  std::unordered_map<std::string, std::size_t> place;
  for (const std::string& one : known) {
    std::string fold = text::casefold(one);
    const auto found = place.find(fold);
    if (found != place.end()) {
      folded[found->second].second = one;
    } else {
      place.emplace(fold, folded.size());
      folded.emplace_back(std::move(fold), one);
    }
  }
  const Likeness likeness(text::wide(text::casefold(name)));
  std::vector<std::pair<double, std::size_t>> close;
  for (std::size_t i = 0; i < folded.size(); ++i) {
    const double ratio = likeness.ratio(text::wide(folded[i].first), least);
    if (ratio >= least) close.emplace_back(ratio, i);
  }
  std::sort(close.begin(), close.end(), [&](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : folded[a.second].first > folded[b.second].first;
  });
  if (!close.empty()) {
    std::string out = " Did you mean ";
    for (std::size_t i = 0; i < std::min(count, close.size()); ++i) {
      out += (i == 0 ? "'" : " or '") + folded[close[i].second].second + "'";
    }
    return out + "?";
  }
  if (known.size() <= 12) return " Known: " + joined(known, ", ") + ".";
  const std::vector<std::string> some(known.begin(), known.begin() + 10);
  return " Known: " + joined(some, ", ") + ", \xE2\x80\xA6 (" + std::to_string(known.size()) + " in all).";
}

std::string joined(const std::vector<std::string>& parts, std::string_view between) {
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i != 0) out += between;
    out += parts[i];
  }
  return out;
}

}  // namespace tmv::python
