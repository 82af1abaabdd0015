#include "tmv/scene.hpp"

#include "python.hpp"
#include "tmv/sha256.hpp"

namespace tmv {

bool Scene::read(const Value& levels, const FactorTable& table, Scene& out, std::string& error) {
  if (!levels.is(Value::Kind::Object)) {
    error = "a scene is an object of levels by wire name";
    return false;
  }
  std::vector<Value> given(table.factors().size());
  for (const Member& member : levels.members()) {
    const Factor* factor = table.find(member.name);
    if (factor == nullptr) {
      std::vector<std::string> known;
      for (const Factor& one : table.factors()) known.push_back(one.wire);
      error = "unknown factor '" + member.name + "'." + python::nearest(member.name, known);
      return false;
    }
    Value& place = given[static_cast<std::size_t>(factor - table.factors().data())];
    if (!place.is(Value::Kind::Null)) {
      error = factor->wire + " is given twice";
      return false;
    }
    if (!factor->canonical(member.value, place, error)) return false;
  }
  out.table_ = &table;
  out.levels_ = Value::object();
  for (std::size_t i = 0; i < given.size(); ++i) {
    const Factor& factor = table.factors()[i];
    const bool left_out = given[i].is(Value::Kind::Null);
    if (left_out && factor.standard.is(Value::Kind::Null)) {
      error = "a scene needs " + factor.wire;
      return false;
    }
    if (!left_out && given[i] != factor.standard) out.levels_.members().push_back({factor.wire, std::move(given[i])});
  }
  return true;
}

const Value& Scene::get(const Factor& factor) const {
  const Value* found = levels_.find(factor.wire);
  return found == nullptr ? factor.standard : *found;
}

std::string Scene::canonical() const {
  std::string out;
  json::canonical(levels_, out);
  return out;
}

std::string Scene::id() const { return sha256_hex(canonical()).substr(0, 32); }

std::uint32_t scene_seed(std::string_view dataset_seed, std::string_view scene_id) {
  Sha256 hash;
  hash.update(dataset_seed.data(), dataset_seed.size());
  hash.update(":", 1);
  hash.update(scene_id.data(), scene_id.size());
  const auto digest = hash.digest();
  return static_cast<std::uint32_t>(digest[0]) | static_cast<std::uint32_t>(digest[1]) << 8 |
         static_cast<std::uint32_t>(digest[2]) << 16 | static_cast<std::uint32_t>(digest[3]) << 24;
}

}  // namespace tmv
