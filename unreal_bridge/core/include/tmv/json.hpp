// JSON as the Python side reads and writes it: json.loads in, canonical JSON out.
//
// Texts are UTF-8 that may hold single surrogates (each as three bytes), because JSON's escapes can name them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tmv {

struct Member;

// A JSON value. Integers keep all their digits; an object keeps its order, and the last of equal names.
class Value {
 public:
  enum class Kind : std::uint8_t { Null, Bool, Integer, Float, String, Array, Object };

  Value();
  Value(const Value& other);
  Value(Value&& other) noexcept;
  Value& operator=(const Value& other);
  Value& operator=(Value&& other) noexcept;
  ~Value();

  static Value boolean(bool value);
  static Value integer(std::int64_t value);
  // Canonical decimal digits with an optional minus; no leading zeros, no "-0".
  static Value integer_text(std::string digits);
  static Value number(double value);
  static Value string(std::string text);
  static Value array(std::vector<Value> items = {});
  static Value object();

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_number() const { return kind_ == Kind::Integer || kind_ == Kind::Float; }

  bool as_bool() const { return bool_; }
  // The text of a string, or the digits of an integer.
  const std::string& text() const { return text_; }
  // The number as the nearest double (infinite where an integer is beyond it).
  double as_double() const;
  // Whether it is an integer that fits; writes it to `out`.
  bool as_int64(std::int64_t& out) const;

  const std::vector<Value>& items() const { return items_; }
  std::vector<Value>& items() { return items_; }
  const std::vector<Member>& members() const { return members_; }
  std::vector<Member>& members() { return members_; }
  // The member of that name, or nullptr; also for what is no object.
  const Value* find(std::string_view name) const;
  // Sets a member, in place where there is one.
  void set(std::string_view name, Value value);

  bool operator==(const Value& other) const;
  bool operator!=(const Value& other) const { return !(*this == other); }

 private:
  Kind kind_ = Kind::Null;
  bool bool_ = false;
  double number_ = 0;
  std::string text_;
  std::vector<Value> items_;
  std::vector<Member> members_;
};

struct Member {
  std::string name;
  Value value;
};

namespace json {

struct Limits {
  std::size_t depth = 64;                  // of arrays and objects in each other
  std::size_t bytes = 64u * 1024u * 1024u; // of the text
};

// Reads a text; false where it is refused, with why in `error` (the place as a byte, in plain words).
bool parse(std::string_view text, Value& out, std::string& error, Limits limits = {});

// Canonical JSON: sorted names, no spaces, ASCII, numbers as Python writes them; false where a number is not finite.
bool canonical(const Value& value, std::string& out);

}  // namespace json
}  // namespace tmv
