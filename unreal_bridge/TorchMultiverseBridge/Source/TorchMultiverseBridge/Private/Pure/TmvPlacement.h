// Where the camera and the characters are: functions of the factors and of what a world says of itself, never of the
// picture. No Unreal header: compiled and compared with torchmultiverse/engines/builtin/placement.py outside Unreal.
//
// Frame of a stage, Unreal's: left-handed, centimetres, X away from the camera at Camera_Yaw 0, Y to its right, Z up.
// Angles are those of an FRotator: roll first, then pitch, then yaw; positive yaw to the right, pitch up, roll right
// side down. A character at yaw 0 faces +Y, the right of the picture, so its rotator is the factors' with 90 added to
// the yaw: yaw comes last, about the vertical.
#pragma once

#include <optional>
#include <string>

namespace tmv_ue {

struct Point {
  double x = 0, y = 0, z = 0;
};

struct Angles {
  double pitch = 0, yaw = 0, roll = 0;
};

enum class Place { Center, Left, Right, Bottom, Top, Location };
bool place_of(const std::string& level, Place& out);

// How far the camera is, what height it looks at (centimetres above the ground), opening of the shorter side (degrees).
struct Layout {
  double distance, height, opening;
};
// By the places asked for, filled or not.
Layout layout_of(const Place* places, int count);

// What a scene says of the camera; what it does not say is the layout's.
struct Wishes {
  std::optional<double> focal_length;  // millimetres, for a sensor whose shorter side is kSensorSide
  std::optional<double> distance;      // metres
  std::optional<double> height;        // metres above the ground at the stage's centre; the camera looks where it did
};
// False where the camera would have to be higher or lower than it is far. `reach` is what camera_of multiplies by.
bool fit(const Wishes& wishes, double reach, Layout& layout, double& elevation);

struct Camera {
  Point position;
  Angles turn;
  double horizontal = 90;  // opening across, degrees, as Unreal wants it
};
// `angles` are the factors Camera_*; `elevation` degrees by which the world's own view looks down; `reach` multiplies
// the distance; `ground` is the height of the ground at the stage's centre.
Camera camera_of(const Layout& layout, const Angles& angles, double elevation, double reach, double ground, int width,
                 int height);

// What the picture's camera was, in the convention of the built-in engine: metres, right-handed, x to the right of
// Camera_Yaw 0, y away, z up; camera x right, y down, z forward; pixel = K [R|t] world.
struct View {
  double focal = 0;      // pixels
  double rt[3][4] = {};  // [R|t]
};
View view_of(const Camera& camera, int width);

// Where a character's bounding box stands: x, y of its middle, and what is added to the ground's height below it.
// `below`: scale of the character at the bottom or in the centre, for one at the top.
Point spot_of(Place place, const Point& location, double below);
// Places of two characters of which neither was given one: left and right. False where both are in one place.
bool separate(Place& first, Place& second, bool both);

// "1,2.5,-3"; false for anything else or beyond ±1000.
bool read_location(const std::string& text, Point& out);

}  // namespace tmv_ue
