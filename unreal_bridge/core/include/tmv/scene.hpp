// Factors and scenes: the one canonical form of an assignment, and its id. What the Python side calls
// torchmultiverse.scenes; the table of factors is generated from it (src/factors.inc).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tmv/json.hpp"

namespace tmv {

enum class FactorKind : std::uint8_t { Category, Number, Vector, List };

// A named axis of variation.
struct Factor {
  std::string wire;    // name on the wire
  std::string column;  // name in datasets; accepted as well
  FactorKind kind = FactorKind::Category;
  Value standard;      // the default; null: it must be given
  std::string unit;
  Value low;           // null: no limit
  Value high;
  Value period;        // null: none
  bool label = false;  // only said about a scene; changes no picture
  std::vector<std::pair<std::string, std::string>> names;  // word -> level
  std::vector<Factor> fields;  // of a list: the factors of each of its objects

  // The one form of a value; false with why in `error`.
  bool canonical(const Value& value, Value& out, std::string& error) const;
};

class FactorTable {
 public:
  // The factors of the published families.
  static const FactorTable& published();
  // Further factors, as a spec declares them: {"wire", "column", "kind", "default", "unit", "low", "high", "period"}.
  bool extend(const Value& declared, std::string& error);

  const std::vector<Factor>& factors() const { return factors_; }
  const Factor* find(std::string_view wire_or_column) const;
  void add(Factor factor) { factors_.push_back(std::move(factor)); }

 private:
  std::vector<Factor> factors_;
};

// A complete assignment of factors, in canonical form.
class Scene {
 public:
  // Reads an object of levels by wire or column name; false with why in `error`.
  static bool read(const Value& levels, const FactorTable& table, Scene& out, std::string& error);

  const FactorTable& table() const { return *table_; }
  // The value of a factor, its default where it was not given.
  const Value& get(const Factor& factor) const;
  // Factors that are not at their default, by wire name, in the order of the table.
  const Value& levels() const { return levels_; }
  std::string canonical() const;
  // First 32 hex digits of the SHA-256 of the canonical JSON.
  std::string id() const;

 private:
  const FactorTable* table_ = nullptr;
  Value levels_ = Value::object();
};

// The 32-bit seed of one picture, of the dataset's seed (decimal digits) and the scene.
std::uint32_t scene_seed(std::string_view dataset_seed, std::string_view scene_id);

// Something that a world must change, of the current scene to the next.
struct Change {
  std::string factor;  // wire name
  Value value;
};

// What must change, in an order that a world can apply: the world first, then who stands in it, how they look, where
// they stand, the camera, the light, and the rest. `now` is nullptr where it is not known what the world shows.
// A new world starts empty and a new character plain, so what they carry is among the changes though it stays the same.
std::vector<Change> changes(const Scene* now, const Scene& next);

}  // namespace tmv
