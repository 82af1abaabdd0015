#include <algorithm>
#include <iterator>

#include "tmv/scene.hpp"

namespace tmv {
namespace {

// When a factor is applied, and on which changes it must be applied again though it stays the same.
enum class Stage { World, Who, Look, Turn, Place, Camera, Light, Declared };

struct Rule {
  const char* factor;
  Stage stage;
  int character;  // whose it is, 0: nobody's
};

constexpr Rule kRules[] = {
    {"World_Name", Stage::World, 0},
    {"Character_Name", Stage::Who, 1},
    {"Character2_Name", Stage::Who, 2},
    {"Character_Texture", Stage::Look, 1},
    {"Character2_Texture", Stage::Look, 2},
    {"Character_Scale", Stage::Turn, 1},
    {"Character_Rotation_Yaw", Stage::Turn, 1},
    {"Character_Rotation_Pitch", Stage::Turn, 1},
    {"Character_Rotation_Roll", Stage::Turn, 1},
    {"Character2_Scale", Stage::Turn, 2},
    {"Character2_Rotation_Yaw", Stage::Turn, 2},
    {"Character2_Rotation_Pitch", Stage::Turn, 2},
    {"Character2_Rotation_Roll", Stage::Turn, 2},
    {"Character_Location", Stage::Place, 1},
    {"Character1_Pos", Stage::Place, 1},
    {"Character2_Location", Stage::Place, 2},
    {"Character2_Pos", Stage::Place, 2},
    {"Camera_Yaw", Stage::Camera, 0},
    {"Camera_Pitch", Stage::Camera, 0},
    {"Camera_Roll", Stage::Camera, 0},
    {"Scene_Light", Stage::Light, 0},
};

Rule rule_of(const std::string& factor) {
  const auto* found = std::find_if(std::begin(kRules), std::end(kRules),
                                   [&](const Rule& one) { return factor == one.factor; });
  return found == std::end(kRules) ? Rule{"", Stage::Declared, 0} : *found;
}

std::ptrdiff_t order_of(const std::string& factor) {
  return std::distance(std::begin(kRules), std::find_if(std::begin(kRules), std::end(kRules), [&](const Rule& one) {
                         return factor == one.factor;
                       }));
}

}  // namespace

std::vector<Change> changes(const Scene* now, const Scene& next) {
  const auto differs = [&](const Factor& factor) { return now == nullptr || now->get(factor) != next.get(factor); };
  bool world = false, anyone = false, somebody[3] = {false, false, false};
  for (const Factor& factor : next.table().factors()) {
    if (factor.label || !differs(factor)) continue;
    const Rule rule = rule_of(factor.wire);
    world = world || rule.stage == Stage::World;
    somebody[rule.character] = somebody[rule.character] || rule.stage == Stage::Who;
    // Where one stands may be said by where the other stands, and how large and turned it is.
    anyone = anyone || rule.stage == Stage::Who || rule.stage == Stage::Turn || rule.stage == Stage::Place;
  }
  std::vector<Change> out;
  for (const Factor& factor : next.table().factors()) {
    if (factor.label) continue;
    const Rule rule = rule_of(factor.wire);
    const bool again = world || (rule.character != 0 && somebody[rule.character]) ||
                       (rule.stage == Stage::Place && anyone);
    if (again || differs(factor)) out.push_back({factor.wire, next.get(factor)});
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const Change& a, const Change& b) { return order_of(a.factor) < order_of(b.factor); });
  return out;
}

}  // namespace tmv
