#include "tmv/catalogue.hpp"

#include <algorithm>

#include "number.hpp"
#include "python.hpp"
#include "text.hpp"
#include "tmv/sha256.hpp"

namespace tmv {
namespace {

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_small(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// A world's name without the suffix of a view: SaltFlats_0 -> SaltFlats.
std::u32string base_world(std::u32string name) {
  const std::size_t end = name.size() - (!name.empty() && name.back() == '\n');
  std::size_t at = end;
  while (at > 0 && text::decimal(name[at - 1]) >= 0) --at;
  if (at < end && at > 0 && name[at - 1] == '_') name.erase(at - 1, end - at + 1);
  return name;
}

// A name as people write it: SaltFlats_0 -> salt flats.
std::string spoken(std::string_view name) {
  const std::string base = text::narrow(base_world(text::wide(name)));
  std::string out;
  for (std::size_t i = 0; i < base.size(); ++i) {
    if (i > 0 && is_small(base[i - 1]) && is_upper(base[i])) out += ' ';
    out += base[i] == '_' ? ' ' : base[i];
  }
  return text::lower(out);
}

// Whether some words stand in a text, with the edge of a word at both ends.
bool has_words(const std::u32string& text, const std::u32string& words) {
  const auto word = [&](std::size_t at) { return at < text.size() && text::is_word(text[at]); };
  const auto edge = [&](std::size_t at) { return (at > 0 && word(at - 1)) != word(at); };
  for (std::size_t at = text.find(words); at != std::u32string::npos; at = text.find(words, at + 1)) {
    if (edge(at) && edge(at + words.size())) return true;
  }
  return false;
}

std::vector<std::string> texts(const Value* list) {
  std::vector<std::string> out;
  if (list == nullptr) return out;
  for (const Value& one : list->items()) out.push_back(one.text());
  return out;
}

bool within(const Value& value, const Value& low, const Value& high) {
  if (value.is_number()) return number::compare(value, low) >= 0 && number::compare(value, high) <= 0;
  std::string_view rest = value.text();  // of a vector, in canonical form: each of its numbers
  while (true) {
    const std::size_t comma = rest.find(',');
    double part = 0;
    if (!python::to_float(rest.substr(0, comma), part) || !within(Value::number(part), low, high)) return false;
    if (comma == std::string_view::npos) return true;
    rest.remove_prefix(comma + 1);
  }
}

const Value* given(const Value& object, const char* name) {
  const Value* found = object.find(name);
  return found == nullptr || found->is(Value::Kind::Null) ? nullptr : found;
}

bool takes(const Value& choice, const Value& value) {
  if (const Value* levels = given(choice, "levels")) {
    if (!value.is(Value::Kind::String)) return false;
    const auto& items = levels->items();
    if (std::any_of(items.begin(), items.end(), [&](const Value& one) { return one.text() == value.text(); })) {
      return true;
    }
    const Value* aliases = given(choice, "aliases");
    return aliases != nullptr && aliases->find(value.text()) != nullptr;
  }
  const Value *low = given(choice, "low"), *high = given(choice, "high");
  if (value.is(Value::Kind::String) && value.text() == "own") return true;  // a world's own is always there
  return low == nullptr || high == nullptr || within(value, *low, *high);
}

// Levels whose name, or what is said of them, has the words of another one in it.
std::vector<std::string> said_of(const Value& choice, const std::vector<std::string>& levels, std::string_view level) {
  const std::u32string wanted = text::wide(spoken(level));
  std::vector<std::string> out;
  if (wanted.empty()) return out;
  const Value* about = given(choice, "about");
  for (const std::string& one : levels) {
    const Value* said = about == nullptr ? nullptr : about->find(one);
    const std::string words = spoken(one) + " " + (said == nullptr ? "" : text::casefold(said->text()));
    if (has_words(text::wide(words), wanted)) out.push_back(text::repr(one));
    if (out.size() == 3) break;
  }
  return out;
}

// What a level is called for people: 255,0,0,0 is red.
std::string called(const std::string& level, const std::string& factor) {
  const Factor* known = FactorTable::published().find(factor);
  if (known != nullptr) {
    for (const auto& name : known->names) {
      if (name.second == level) return name.first;
    }
  }
  return level;
}

std::string problem(const std::string& engine, const Value& factors, const std::string& name, const Value& wrong) {
  const Value* choice = factors.find(name);
  if (choice == nullptr) {
    std::vector<std::string> known;
    for (const Member& one : factors.members()) known.push_back(one.name);
    return name + ": engine '" + engine + "' cannot vary it." + python::nearest(name, known);
  }
  const Value* list = given(*choice, "levels");
  const std::string level = python::str(wrong);
  if (list == nullptr) {
    return name + " = " + level + " is out of the range of engine '" + engine + "', " +
           number::general(given(*choice, "low")->as_double()) + " to " +
           number::general(given(*choice, "high")->as_double());
  }
  const std::vector<std::string> levels = texts(list);
  const std::vector<std::string> said = said_of(*choice, levels, level);
  std::string near;
  if (!said.empty()) {
    near = " Did you mean " + python::joined(said, " or ") + "?";
  } else {
    std::vector<std::string> names;
    for (const std::string& one : levels) names.push_back(called(one, name));
    near = python::nearest(level, names);
  }
  return name + " = '" + level + "' is unknown to engine '" + engine + "'." + near;
}

// Why a list of objects cannot be rendered, the first reason; nothing where it can.
std::string list_problem(const std::string& engine, const Value& factors, const Value& objects) {
  const Value* most = given(*factors.find("Objects"), "high");
  const std::size_t count = objects.items().size();
  if (most != nullptr && static_cast<double>(count) > most->as_double()) {
    return "Objects has " + std::to_string(count) + " objects; engine '" + engine + "' has at most " +
           number::general(most->as_double());
  }
  for (std::size_t i = 0; i < count; ++i) {
    for (const auto& [field, factor] : {std::pair("Name", "Character_Name"), std::pair("Texture", "Character_Texture")}) {
      const Value* level = objects.items()[i].find(field);
      const Value* choice = factors.find(factor);
      if (level == nullptr || choice == nullptr || takes(*choice, *level)) continue;
      const Value* levels = given(*choice, "levels");
      const std::vector<std::string> known = levels == nullptr ? std::vector<std::string>{} : texts(levels);
      return "Objects[" + std::to_string(i) + "]." + field + " = '" + level->text() + "' is unknown to engine '" +
             engine + "'." + python::nearest(level->text(), known);
    }
  }
  return "";
}

bool all_strings(const Value& list) {
  return list.is(Value::Kind::Array) && std::all_of(list.items().begin(), list.items().end(), [](const Value& one) {
           return one.is(Value::Kind::String);
         });
}

bool strings_by_name(const Value& object) {
  return object.is(Value::Kind::Object) &&
         std::all_of(object.members().begin(), object.members().end(),
                     [](const Member& one) { return one.value.is(Value::Kind::String); });
}

bool check_choice(const Value& choice) {
  if (!choice.is(Value::Kind::Object)) return false;
  const Value *levels = given(choice, "levels"), *low = given(choice, "low"), *high = given(choice, "high");
  const Value *aliases = given(choice, "aliases"), *about = given(choice, "about");
  return (levels == nullptr || all_strings(*levels)) && (low == nullptr || low->is_number()) &&
         (high == nullptr || high->is_number()) && (aliases == nullptr || strings_by_name(*aliases)) &&
         (about == nullptr || strings_by_name(*about));
}

}  // namespace

bool Catalogue::read(const Value& value, const FactorTable& table, Catalogue& out, std::string& error) {
  if (!value.is(Value::Kind::Object)) {
    error = "the catalogue is no object";
    return false;
  }
  Value whole = value;
  for (const auto& [name, place] : {std::pair("engine", &out.engine_), std::pair("version", &out.version_),
                                    std::pair("fingerprint", &out.fingerprint_)}) {
    const Value* found = given(value, name);
    if (found != nullptr && !found->is(Value::Kind::String)) {
      error = std::string("the catalogue's ") + name + " is " + python::shown(*found, 80) + "; a string is right";
      return false;
    }
    *place = found == nullptr ? "" : found->text();
  }
  if (out.engine_.empty()) {
    error = "the catalogue names no 'engine'";
    return false;
  }
  const Value *complete = given(value, "complete"), *passes = given(value, "passes"), *factors = given(value, "factors");
  out.complete_ = complete == nullptr || complete->as_bool();
  if (passes != nullptr && !all_strings(*passes)) {
    error = "the catalogue's passes are " + python::shown(*passes, 80) + "; a list of names is right";
    return false;
  }
  out.passes_ = passes == nullptr ? std::vector<std::string>{"rgb"} : texts(passes);
  out.factors_ = factors == nullptr ? Value::object() : *factors;
  if (!out.factors_.is(Value::Kind::Object)) {
    error = "the catalogue's factors are no object";
    return false;
  }
  for (const Member& one : out.factors_.members()) {
    const Factor* factor = table.find(one.name);
    if (factor == nullptr || factor->wire != one.name) {
      std::vector<std::string> known;
      for (const Factor& other : table.factors()) known.push_back(other.wire);
      error = "the catalogue's factor '" + one.name + "' is unknown; declare it." + python::nearest(one.name, known);
      return false;
    }
    if (!check_choice(one.value)) {
      error = "the catalogue's factor '" + one.name + "' is " + python::shown(one.value, 200) +
              "; {\"levels\": [names]} or {\"low\": number, \"high\": number} is right";
      return false;
    }
  }
  if (out.fingerprint_.empty()) {
    std::string content;
    json::canonical(value, content);
    out.fingerprint_ = sha256_hex(content).substr(0, 16);
    whole.set("fingerprint", Value::string(out.fingerprint_));
  }
  out.json_.clear();
  if (!json::canonical(whole, out.json_)) {
    error = "the catalogue has a number that is not finite";
    return false;
  }
  return true;
}

std::vector<std::string> Catalogue::problems(const Scene& scene) const {
  std::vector<std::string> out;
  if (!complete_) return out;
  for (const Factor& factor : scene.table().factors()) {
    if (factor.label) continue;
    const Value& value = scene.get(factor);
    const Value* choice = factors_.find(factor.wire);
    if (factor.kind == FactorKind::List && choice != nullptr) {
      std::string why = list_problem(engine_, factors_, value);
      if (!why.empty()) out.push_back(std::move(why));
      continue;
    }
    const bool good = choice == nullptr ? value == factor.standard : takes(*choice, value);
    if (!good) out.push_back(problem(engine_, factors_, factor.wire, value));
  }
  return out;
}

}  // namespace tmv
