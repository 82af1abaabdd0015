#include "factors.hpp"

#include <algorithm>
#include <cmath>

#include "number.hpp"
#include "python.hpp"
#include "text.hpp"

namespace tmv {
namespace {

#include "factors.inc"

Value read_json(const char* text) {
  Value out;
  std::string error;
  if (*text != '\0') json::parse(text, out, error);
  return out;
}

Factor factor_of(const FactorRow& row) {
  Factor out;
  out.wire = row.wire;
  out.column = row.column;
  out.kind = row.kind;
  out.standard = read_json(row.standard);
  out.unit = row.unit;
  out.low = read_json(row.low);
  out.high = read_json(row.high);
  out.period = read_json(row.period);
  out.label = row.label;
  const Value names = read_json(row.names);
  for (const Member& one : names.members()) out.names.emplace_back(one.name, one.value.text());
  if (out.kind == FactorKind::List) {
    for (const FactorRow& field : kFields) out.fields.push_back(factor_of(field));
  }
  return out;
}

// Python's [+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,3})?
bool is_number_text(std::string_view text) {
  std::size_t at = 0;
  const auto digits = [&] {
    const std::size_t first = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    return at - first;
  };
  const auto sign = [&] {
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
  };
  sign();
  const std::size_t whole = digits();
  if (whole > 30) return false;
  if (at < text.size() && text[at] == '.') {
    ++at;
    const std::size_t part = digits();
    if (part > 30 || (whole == 0 && part == 0)) return false;
  } else if (whole == 0) {
    return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    sign();
    const std::size_t exponent = digits();
    if (exponent == 0 || exponent > 3) return false;
  }
  return at == text.size();
}

std::string limit(const Value& value, bool upper) {
  if (value.is(Value::Kind::Null)) return upper ? "inf" : "-inf";
  return number::general(value.as_double());
}

std::string range_of(const Factor& factor) { return limit(factor.low, false) + " to " + limit(factor.high, true); }

bool within(const Factor& factor, const Value& value) {
  return (factor.low.is(Value::Kind::Null) || number::compare(value, factor.low) >= 0) &&
         (factor.high.is(Value::Kind::Null) || number::compare(value, factor.high) <= 0);
}

bool category(const Factor& factor, const Value& value, Value& out, std::string& error) {
  if (!value.is(Value::Kind::String)) {
    error = factor.wire + " = " + python::repr(value) + " is a " + python::type_name(value) + "; a string is needed";
    return false;
  }
  if (text::blank(value.text()) || text::length(value.text()) > 200) {
    error = factor.wire + " has an empty or over-long level " + text::repr(text::head(value.text(), 40));
    return false;
  }
  const auto named = std::find_if(factor.names.begin(), factor.names.end(),
                                  [&](const auto& one) { return one.first == value.text(); });
  out = named == factor.names.end() ? value : Value::string(named->second);
  return true;
}

bool vector(const Factor& factor, const Value& value, Value& out, std::string& error) {
  std::vector<double> parts;
  bool good = value.is(Value::Kind::String);
  if (good) {
    std::string_view rest = value.text();
    while (good && parts.size() < 4) {
      const std::size_t comma = rest.find(',');
      double part = 0;
      good = python::to_float(rest.substr(0, comma), part);
      parts.push_back(part + 0.0);  // minus zero is zero
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  if (!good || parts.size() != 3) {
    error = factor.wire + " = " + python::repr(value) + ": three numbers are needed, such as '0,-150,0'";
    return false;
  }
  std::vector<std::string> texts;
  for (const double part : parts) {
    if (!std::isfinite(part) || !within(factor, Value::number(part))) {
      error = factor.wire + " = " + python::repr(value) + ": each is from " + range_of(factor) + " " + factor.unit;
      return false;
    }
    texts.push_back(number::general(part, 10));
  }
  out = Value::string(python::joined(texts, ","));
  return true;
}

bool numeric(const Factor& factor, const Value& given, Value& out, std::string& error) {
  Value value = given;
  // What the world or the layout has by itself: "own", where that is the factor's default.
  if (given.is(Value::Kind::String) && factor.standard.is(Value::Kind::String) && given == factor.standard) {
    out = std::move(value);
    return true;
  }
  if (given.is(Value::Kind::String) && is_number_text(given.text())) value = Value::number(number::parse(given.text()));
  if (!value.is_number()) {
    error = factor.wire + " = " + python::repr(value) + " is a " + python::type_name(value) + "; a number is needed";
    if (factor.standard == Value::string("own")) error += ", or 'own'";
    return false;
  }
  static const Value most = Value::number(1e300), least = Value::number(-1e300);
  if ((value.is(Value::Kind::Float) && !std::isfinite(value.as_double())) || number::compare(value, most) >= 0 ||
      number::compare(value, least) <= 0) {
    error = factor.wire + " = " + text::head(python::str(value), 40) + " is not a finite number";
    return false;
  }
  if (!within(factor, value)) {
    error = factor.wire + " = " + python::repr(value) + " is out of range: " + range_of(factor) + " " + factor.unit;
    error.erase(error.find_last_not_of(' ') + 1);
    return false;
  }
  if (!factor.period.is(Value::Kind::Null)) {
    value = number::modulo(value, factor.period);
    if (value == factor.period) value = Value::integer(0);  // what a negative number next to zero is rounded to
  }
  if (value.is(Value::Kind::Float) && std::floor(value.as_double()) == value.as_double()) {
    value = Value::integer_text(number::integer(value.as_double()));
  }
  out = std::move(value);
  return true;
}

constexpr std::size_t kMostObjects = 14;
constexpr std::size_t kLongestList = 1u << 16;
constexpr const char* kExample = "{\"Name\": \"Zebra\", \"Location\": \"0,120,0\"}";

// One object of a list, in the order of its factors, without what is at its default.
bool object(const Factor& factor, std::size_t number, const Value& row, Value& out, std::string& error) {
  const std::string place = factor.wire + "[" + std::to_string(number) + "]";
  if (!row.is(Value::Kind::Object)) {
    error = place + " is a " + python::type_name(row) + "; an object is needed, such as " + kExample;
    return false;
  }
  std::vector<Value> found(factor.fields.size());
  for (const Member& member : row.members()) {
    const auto field = std::find_if(factor.fields.begin(), factor.fields.end(),
                                    [&](const Factor& one) { return one.wire == member.name; });
    if (field == factor.fields.end()) {
      std::vector<std::string> known;
      for (const Factor& one : factor.fields) known.push_back(one.wire);
      error = place + " has no '" + member.name + "'." + python::nearest(member.name, known);
      return false;
    }
    Factor named = *field;
    named.wire = place + "." + field->wire;
    if (!named.canonical(member.value, found[static_cast<std::size_t>(field - factor.fields.begin())], error)) {
      return false;
    }
  }
  out = Value::object();
  for (std::size_t i = 0; i < found.size(); ++i) {
    const Factor& field = factor.fields[i];
    const bool left_out = found[i].is(Value::Kind::Null);
    if (field.standard.is(Value::Kind::Null) && (left_out || found[i] == Value::string("blank"))) {
      error = place + " needs a " + field.wire + "; what is not there is left out of the list";
      return false;
    }
    if (!left_out && found[i] != field.standard) out.members().push_back({field.wire, std::move(found[i])});
  }
  return true;
}

// What objects are ordered by: what is shown of one, then all of it.
std::pair<std::string, std::string> order_of(const Factor& factor, const Value& object) {
  Value shown = Value::object();
  for (const Member& member : object.members()) {
    const auto field = std::find_if(factor.fields.begin(), factor.fields.end(),
                                    [&](const Factor& one) { return one.wire == member.name; });
    if (!field->label) shown.members().push_back(member);
  }
  std::pair<std::string, std::string> out;
  json::canonical(shown, out.first);
  json::canonical(object, out.second);
  return out;
}

bool list(const Factor& factor, const Value& given, Value& out, std::string& error) {
  Value value = given;
  if (given.is(Value::Kind::String)) {  // the text of a list
    std::string why;
    if (text::length(given.text()) > kLongestList || !json::parse(given.text(), value, why)) value = Value();
  }
  if (!value.is(Value::Kind::Array)) {
    error = factor.wire + " = " + python::shown(given, 40) + ": a list of objects is needed, such as [" + kExample + "]";
    return false;
  }
  if (value.items().size() > kMostObjects) {
    error = factor.wire + " has " + std::to_string(value.items().size()) + " objects; at most " +
            std::to_string(kMostObjects) + ", which with the two that have factors of their own are " +
            std::to_string(kMostObjects + 2);
    return false;
  }
  std::vector<std::pair<std::pair<std::string, std::string>, Value>> found;
  for (std::size_t i = 0; i < value.items().size(); ++i) {
    Value one;
    if (!object(factor, i, value.items()[i], one, error)) return false;
    auto order = order_of(factor, one);
    found.emplace_back(std::move(order), std::move(one));
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  out = Value::array();
  for (auto& one : found) out.items().push_back(std::move(one.second));
  return true;
}

bool text_of(const Value& declared, const char* name, std::string fallback, std::string& out) {
  const Value* found = declared.find(name);
  out = found == nullptr || found->is(Value::Kind::Null) ? std::move(fallback) : found->text();
  return found == nullptr || found->is(Value::Kind::Null) || found->is(Value::Kind::String);
}

bool number_of(const Value& declared, const char* name, Value& out) {
  const Value* found = declared.find(name);
  out = found == nullptr ? Value() : *found;
  return out.is(Value::Kind::Null) || (out.is_number() && std::isfinite(out.as_double()));
}

bool declared_factor(const Value& declared, Factor& out, std::string& error) {
  std::string kind;
  if (!text_of(declared, "name", "", out.wire) || out.wire.empty() || text::length(out.wire) > 100) {
    error = "a declared factor needs a 'name' of 1 to 100 characters";
    return false;
  }
  const std::string at = "declared factor '" + out.wire + "': ";
  if (!text_of(declared, "column", text::lower(out.wire), out.column) || !text_of(declared, "unit", "", out.unit)) {
    error = at + "'column' and 'unit' are strings";
    return false;
  }
  if (!text_of(declared, "kind", "category", kind) || (kind != "category" && kind != "number" && kind != "vector")) {
    error = at + "kind is " + text::repr(kind) + "; category, number or vector is right";
    return false;
  }
  out.kind = kind == "category" ? FactorKind::Category : kind == "number" ? FactorKind::Number : FactorKind::Vector;
  if (!number_of(declared, "low", out.low) || !number_of(declared, "high", out.high) ||
      !number_of(declared, "period", out.period) ||
      (!out.period.is(Value::Kind::Null) && out.period.as_double() <= 0)) {
    error = at + "'low', 'high' and 'period' are numbers, the period above 0";
    return false;
  }
  const Value* label = declared.find("label");
  out.label = label != nullptr && label->as_bool();
  const Value* standard = declared.find("default");
  if (standard == nullptr || standard->is(Value::Kind::Null)) {
    error = at + "it needs a 'default', so that scenes without it mean something";
    return false;
  }
  if (!out.canonical(*standard, out.standard, error)) {
    error = at + error;
    return false;
  }
  return true;
}

}  // namespace

bool Factor::canonical(const Value& value, Value& out, std::string& error) const {
  switch (kind) {
    case FactorKind::Category: return category(*this, value, out, error);
    case FactorKind::Vector: return vector(*this, value, out, error);
    case FactorKind::Number: return numeric(*this, value, out, error);
    case FactorKind::List: return list(*this, value, out, error);
  }
  return false;
}

const FactorTable& FactorTable::published() {
  static const FactorTable table = [] {
    FactorTable made;
    for (const FactorRow& row : kRows) made.add(factor_of(row));
    return made;
  }();
  return table;
}

bool FactorTable::extend(const Value& declared, std::string& error) {
  if (!declared.is(Value::Kind::Array)) {
    error = "factors is " + python::shown(declared, 80) + "; a list of declared factors is right";
    return false;
  }
  for (const Value& one : declared.items()) {
    Factor factor;
    if (!declared_factor(one, factor, error)) return false;
    if (find(factor.wire) != nullptr || find(factor.column) != nullptr) {
      error = "declared factor '" + factor.wire + "' exists already";
      return false;
    }
    add(std::move(factor));
  }
  return true;
}

const Factor* FactorTable::find(std::string_view name) const {
  for (const Factor& factor : factors_) {
    if (factor.wire == name || factor.column == name) return &factor;
  }
  return nullptr;
}

}  // namespace tmv
