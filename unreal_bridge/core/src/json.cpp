#include "tmv/json.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <unordered_map>
#include <utility>

#include "number.hpp"
#include "text.hpp"

namespace tmv {

Value::Value() = default;
Value::Value(const Value& other) = default;
Value::Value(Value&& other) noexcept = default;
Value& Value::operator=(const Value& other) = default;
Value& Value::operator=(Value&& other) noexcept = default;
Value::~Value() = default;

Value Value::boolean(bool value) {
  Value out;
  out.kind_ = Kind::Bool;
  out.bool_ = value;
  return out;
}

Value Value::integer(std::int64_t value) { return integer_text(std::to_string(value)); }

Value Value::integer_text(std::string digits) {
  Value out;
  out.kind_ = Kind::Integer;
  out.text_ = std::move(digits);
  return out;
}

Value Value::number(double value) {
  Value out;
  out.kind_ = Kind::Float;
  out.number_ = value;
  return out;
}

Value Value::string(std::string text) {
  Value out;
  out.kind_ = Kind::String;
  out.text_ = std::move(text);
  return out;
}

Value Value::array(std::vector<Value> items) {
  Value out;
  out.kind_ = Kind::Array;
  out.items_ = std::move(items);
  return out;
}

Value Value::object() {
  Value out;
  out.kind_ = Kind::Object;
  return out;
}

double Value::as_double() const { return kind_ == Kind::Integer ? number::parse(text_) : number_; }

bool Value::as_int64(std::int64_t& out) const {
  if (kind_ != Kind::Integer) return false;
  const char* end = text_.data() + text_.size();
  const auto read = std::from_chars(text_.data(), end, out);
  return read.ec == std::errc() && read.ptr == end;
}

const Value* Value::find(std::string_view name) const {
  for (const Member& member : members_) {
    if (member.name == name) return &member.value;
  }
  return nullptr;
}

void Value::set(std::string_view name, Value value) {
  for (Member& member : members_) {
    if (member.name == name) {
      member.value = std::move(value);
      return;
    }
  }
  members_.push_back({std::string(name), std::move(value)});
}

bool Value::operator==(const Value& other) const {
  if (is_number() && other.is_number()) {
    const double mine = as_double(), its = other.as_double();
    if (!std::isfinite(mine) || !std::isfinite(its)) return kind_ == other.kind_ && (text_ == other.text_) && mine == its;
    return number::compare(*this, other) == 0;
  }
  if (kind_ != other.kind_ || bool_ != other.bool_ || text_ != other.text_ || items_ != other.items_) return false;
  return std::equal(members_.begin(), members_.end(), other.members_.begin(), other.members_.end(),
                    [](const Member& a, const Member& b) { return a.name == b.name && a.value == b.value; });
}

namespace json {
namespace {

constexpr std::size_t kMostDigits = 4300;  // of an integer: Python refuses more

class Reader {
 public:
  Reader(std::string_view text, Limits limits) : text_(text), limits_(limits) {}

  bool read(Value& out, std::string& error) {
    skip();
    if (value(out, 0)) {
      skip();
      if (at_ == text_.size()) return true;
      problem("there is more after the value");
    }
    error = std::string(problem_) + " at byte " + std::to_string(at_);
    return false;
  }

 private:
  bool problem(const char* what) {
    problem_ = what;
    return false;
  }
  bool end() const { return at_ >= text_.size(); }
  char peek() const { return end() ? '\0' : text_[at_]; }
  bool take(char c) {
    if (end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool word(std::string_view expected) {
    if (text_.substr(at_, expected.size()) != expected) return problem("no value");
    at_ += expected.size();
    return true;
  }
  void skip() {
    while (!end() && (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r')) ++at_;
  }

  bool value(Value& out, std::size_t depth) {
    switch (peek()) {
      case '{':
        return depth >= limits_.depth ? problem("too deep") : object(out, depth + 1);
      case '[':
        return depth >= limits_.depth ? problem("too deep") : array(out, depth + 1);
      case '"': {
        std::string text;
        if (!string(text)) return false;
        out = Value::string(std::move(text));
        return true;
      }
      case 't':
        out = Value::boolean(true);
        return word("true");
      case 'f':
        out = Value::boolean(false);
        return word("false");
      case 'n':
        out = Value();
        return word("null");
      case 'N':
        out = Value::number(std::numeric_limits<double>::quiet_NaN());
        return word("NaN");
      case 'I':
        out = Value::number(std::numeric_limits<double>::infinity());
        return word("Infinity");
      default:
        return number(out);
    }
  }

  bool digits() {
    const std::size_t first = at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    return at_ > first;
  }

  bool number(Value& out) {
    const std::size_t first = at_;
    const bool minus = take('-');
    if (minus && peek() == 'I') {
      out = Value::number(-std::numeric_limits<double>::infinity());
      return word("Infinity");
    }
    const std::size_t whole = at_;
    if (!take('0') && !digits()) return problem("no value");
    const std::size_t count = at_ - whole;
    bool real = false;
    // A point or an e that no digit follows is not of the number; what follows then is refused.
    std::size_t mark = at_;
    if (take('.')) {
      if (digits()) {
        real = true;
        mark = at_;
      }
      at_ = mark;
    }
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      if (digits()) {
        real = true;
        mark = at_;
      }
      at_ = mark;
    }
    std::string_view text = text_.substr(first, at_ - first);
    if (real) {
      out = Value::number(number::parse(text));
    } else {
      if (count > kMostDigits) return problem("an integer of too many digits");
      out = Value::integer_text(text == "-0" ? "0" : std::string(text));
    }
    return true;
  }

  bool four(char32_t& out) {
    out = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = peek();
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) return problem("no four hex digits");
      out = out << 4 | static_cast<char32_t>(digit);
    }
    return true;
  }

  bool escape(std::string& out) {
    const char c = peek();
    ++at_;
    switch (c) {
      case '"': case '\\': case '/':
        out += c;
        return true;
      case 'b': out += '\b'; return true;
      case 'f': out += '\f'; return true;
      case 'n': out += '\n'; return true;
      case 'r': out += '\r'; return true;
      case 't': out += '\t'; return true;
      case 'u': break;
      default:
        --at_;
        return problem("no escape");
    }
    char32_t code = 0;
    if (!four(code)) return false;
    if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_, 2) == "\\u") {
      const std::size_t mark = at_;
      at_ += 2;
      char32_t low = 0;
      if (!four(low)) return false;
      if (low >= 0xDC00 && low < 0xE000) {
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      } else {
        at_ = mark;
      }
    }
    text::append(out, code);
    return true;
  }

  bool string(std::string& out) {
    ++at_;
    while (true) {
      const std::size_t first = at_;
      while (!end() && peek() != '"' && peek() != '\\' && static_cast<unsigned char>(peek()) >= 0x20) ++at_;
      out.append(text_.substr(first, at_ - first));
      if (end()) return problem("a string without end");
      if (take('"')) return true;
      if (!take('\\')) return problem("a control character in a string");
      if (!escape(out)) return false;
    }
  }

  bool array(Value& out, std::size_t depth) {
    out = Value::array();
    ++at_;
    skip();
    if (take(']')) return true;
    while (true) {
      out.items().emplace_back();
      if (!value(out.items().back(), depth)) return false;
      skip();
      if (take(']')) return true;
      if (!take(',')) return problem("no comma");
      skip();
    }
  }

  bool object(Value& out, std::size_t depth) {
    out = Value::object();
    ++at_;
    skip();
    if (take('}')) return true;
    std::unordered_map<std::string, std::size_t> places;  // only where there are many
    while (true) {
      if (peek() != '"' || end()) return problem("no name of a member");
      std::string name;
      if (!string(name)) return false;
      skip();
      if (!take(':')) return problem("no colon");
      skip();
      Value held;
      if (!value(held, depth)) return false;
      put(out, std::move(name), std::move(held), places);
      skip();
      if (take('}')) return true;
      if (!take(',')) return problem("no comma");
      skip();
    }
  }

  static void put(Value& out, std::string name, Value held, std::unordered_map<std::string, std::size_t>& places) {
    constexpr std::size_t few = 16;
    auto& members = out.members();
    if (members.size() < few) {
      out.set(name, std::move(held));
      return;
    }
    if (places.empty()) {
      for (std::size_t i = 0; i < members.size(); ++i) places.emplace(members[i].name, i);
    }
    const auto found = places.find(name);
    if (found != places.end()) {
      members[found->second].value = std::move(held);
      return;
    }
    places.emplace(name, members.size());
    members.push_back({std::move(name), std::move(held)});
  }

  std::string_view text_;
  Limits limits_;
  std::size_t at_ = 0;
  const char* problem_ = "";
};

void quoted(std::string_view text, std::string& out) {
  static const char digits[] = "0123456789abcdef";
  const auto unit = [&](char32_t code) {
    out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) out += digits[code >> shift & 15];
  };
  out += '"';
  char32_t code = 0;
  for (std::size_t at = 0; text::next(text, at, code);) {
    switch (code) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (code >= 0x20 && code < 0x7F) {
          out += static_cast<char>(code);
        } else if (code >= 0x10000) {
          unit(0xD800 + ((code - 0x10000) >> 10));
          unit(0xDC00 + ((code - 0x10000) & 0x3FF));
        } else {
          unit(code);
        }
    }
  }
  out += '"';
}

}  // namespace

bool parse(std::string_view text, Value& out, std::string& error, Limits limits) {
  if (text.size() > limits.bytes) {
    error = std::to_string(text.size()) + " bytes; " + std::to_string(limits.bytes) + " are the limit";
    return false;
  }
  if (!text::valid(text)) {
    error = "no UTF-8";
    return false;
  }
  return Reader(text, limits).read(out, error);
}

bool canonical(const Value& value, std::string& out) {
  switch (value.kind()) {
    case Value::Kind::Null:
      out += "null";
      return true;
    case Value::Kind::Bool:
      out += value.as_bool() ? "true" : "false";
      return true;
    case Value::Kind::Integer:
      out += value.text();
      return true;
    case Value::Kind::Float:
      if (!std::isfinite(value.as_double())) return false;
      out += number::repr(value.as_double());
      return true;
    case Value::Kind::String:
      quoted(value.text(), out);
      return true;
    case Value::Kind::Array: {
      out += '[';
      bool first = true;
      for (const Value& item : value.items()) {
        if (!first) out += ',';
        first = false;
        if (!canonical(item, out)) return false;
      }
      out += ']';
      return true;
    }
    case Value::Kind::Object: {
      // By code points, as Python sorts: the order of UTF-8's bytes.
      std::vector<const Member*> sorted;
      sorted.reserve(value.members().size());
      for (const Member& member : value.members()) sorted.push_back(&member);
      std::sort(sorted.begin(), sorted.end(), [](const Member* a, const Member* b) { return a->name < b->name; });
      out += '{';
      bool first = true;
      for (const Member* member : sorted) {
        if (!first) out += ',';
        first = false;
        quoted(member->name, out);
        out += ':';
        if (!canonical(member->value, out)) return false;
      }
      out += '}';
      return true;
    }
  }
  return false;
}

}  // namespace json
}  // namespace tmv
