#include "TmvPlacement.h"

#include <cmath>
#include <cstdlib>

#include "TmvConditions.h"

namespace tmv_ue {
namespace {

constexpr double kDegree = 3.14159265358979323846 / 180;
constexpr double kSide = 112;          // left and right of the middle
constexpr double kSpecies = 160;       // longest edge of a character at scale 1
constexpr double kGap = 22;            // between the one at the bottom and the one at the top
constexpr double kUnit = kSpecies / 150;  // of a location: in the published scenes an object's longest edge has 150
constexpr double kMostLocation = 1000;
constexpr Layout kCenter{470, 98, 40}, kPair{690, 120, 40}, kStack{690, 180, 40}, kFree{690, 180, 51};

}  // namespace

bool place_of(const std::string& level, Place& out) {
  static const struct {
    const char* name;
    Place place;
  } kPlaces[] = {{"center", Place::Center}, {"left", Place::Left}, {"right", Place::Right},
                 {"bottom", Place::Bottom}, {"top", Place::Top},   {"location", Place::Location}};
  for (const auto& one : kPlaces) {
    if (level == one.name) {
      out = one.place;
      return true;
    }
  }
  return false;
}

Layout layout_of(const Place* places, int count) {
  bool side = false, high = false;
  for (int i = 0; i < count; ++i) {
    if (places[i] == Place::Location) return kFree;
    high = high || places[i] == Place::Bottom || places[i] == Place::Top;
    side = side || places[i] == Place::Left || places[i] == Place::Right;
  }
  return high ? kStack : side ? kPair : kCenter;
}

bool fit(const Wishes& wishes, double reach, Layout& layout, double& elevation) {
  if (wishes.focal_length) layout.opening = 2 * std::atan(kSensorSide / 2 / *wishes.focal_length) / kDegree;
  if (wishes.distance) layout.distance = *wishes.distance * 100 / reach;
  if (!wishes.height) return true;
  const double above = *wishes.height * 100 - layout.height, distance = layout.distance * reach;
  if (std::fabs(above) >= distance) return false;
  elevation = std::asin(above / distance) / kDegree;
  return true;
}

Camera camera_of(const Layout& layout, const Angles& angles, double elevation, double reach, double ground, int width,
                 int height) {
  Camera camera;
  camera.turn = {angles.pitch - elevation, angles.yaw, angles.roll};
  const double pitch = camera.turn.pitch * kDegree, yaw = camera.turn.yaw * kDegree;
  const double distance = layout.distance * reach;
  camera.position = {-distance * std::cos(pitch) * std::cos(yaw), -distance * std::cos(pitch) * std::sin(yaw),
                     ground + layout.height - distance * std::sin(pitch)};
  const double across = width > height ? double(width) / height : 1;
  camera.horizontal = 2 * std::atan(std::tan(layout.opening / 2 * kDegree) * across) / kDegree;
  return camera;
}

View view_of(const Camera& camera, int width) {
  const double p = camera.turn.pitch * kDegree, y = camera.turn.yaw * kDegree, r = camera.turn.roll * kDegree;
  const double sp = std::sin(p), cp = std::cos(p), sy = std::sin(y), cy = std::cos(y), sr = std::sin(r), cr = std::cos(r);
  // An FRotator's axes in the stage's frame: forward, right, up.
  const double forward[3] = {cp * cy, cp * sy, sp};
  const double right[3] = {sr * sp * cy - cr * sy, sr * sp * sy + cr * cy, -sr * cp};
  const double up[3] = {-(cr * sp * cy + sr * sy), cy * sr - cr * sp * sy, cr * cp};
  View view;
  view.focal = width / 2.0 / std::tan(camera.horizontal / 2 * kDegree);
  const double at[3] = {camera.position.y / 100, camera.position.x / 100, camera.position.z / 100};
  for (int row = 0; row < 3; ++row) {
    const double* axis = row == 0 ? right : row == 1 ? up : forward;
    const double sign = row == 1 ? -1 : 1;
    const double turned[3] = {sign * axis[1], sign * axis[0], sign * axis[2]};  // x is the stage's Y, y its X
    double along = 0;
    for (int k = 0; k < 3; ++k) {
      view.rt[row][k] = turned[k];
      along += turned[k] * at[k];
    }
    view.rt[row][3] = -along;
  }
  return view;
}

Point spot_of(Place place, const Point& location, double below) {
  if (place == Place::Location) return {location.x * kUnit, location.y * kUnit, location.z * kUnit};
  const double right = place == Place::Left ? -kSide : place == Place::Right ? kSide : 0;
  return {0, right, place == Place::Top ? kSpecies * below + kGap : 0};
}

bool separate(Place& first, Place& second, bool both) {
  if (!both) return true;
  if (first == Place::Center && second == Place::Center) {
    first = Place::Left;
    second = Place::Right;
    return true;
  }
  return first != second || first == Place::Location;
}

bool read_location(const std::string& text, Point& out) {
  double parts[3];
  const char* at = text.c_str();
  for (int i = 0; i < 3; ++i) {
    char* end = nullptr;
    parts[i] = std::strtod(at, &end);
    if (end == at || !(std::fabs(parts[i]) <= kMostLocation) || *end != (i < 2 ? ',' : '\0')) return false;
    at = end + 1;
  }
  out = {parts[0], parts[1], parts[2]};
  return true;
}

}  // namespace tmv_ue
