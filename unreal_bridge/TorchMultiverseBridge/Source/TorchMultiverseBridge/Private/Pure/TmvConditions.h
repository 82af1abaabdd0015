// The conditions that this plugin can make, beyond the published factors: one table for the catalogue, for what a spec
// has to declare (unreal_bridge/conditions.json) and for the code that applies them. No Unreal header.
#pragma once

namespace tmv_ue {

enum class Condition {
  SunYaw, SunPitch, Fog, Rain, Snow, Wetness, Exposure, Aperture, Focus, MotionBlur,
};

struct ConditionRow {
  Condition kind;
  const char* wire;
  double low, high;  // the default is 0: the world's own
  const char* unit;
  const char* about;
};

inline constexpr ConditionRow kConditions[] = {
    {Condition::SunYaw, "Sun_Yaw", -360, 360, "degrees", "turn of the sun to the right, seen from above"},
    {Condition::SunPitch, "Sun_Pitch", -90, 90, "degrees", "how much higher the sun stands than the world has it"},
    {Condition::Fog, "Fog", 0, 1, "", "density added to the exponential height fog"},
    {Condition::Rain, "Rain", 0, 1, "", "share of the rain emitter's full rate"},
    {Condition::Snow, "Snow", 0, 1, "", "share of the snow emitter's full rate"},
    {Condition::Wetness, "Wetness", 0, 1, "", "scalar of the material parameter collection"},
    {Condition::Exposure, "Exposure", -4, 4, "stops", "added to the world's fixed exposure"},
    {Condition::Aperture, "Aperture", 0, 32, "f-number", "depth of field; 0: everything is sharp"},
    {Condition::Focus, "Focus", -400, 4000, "centimetres", "how far behind the scene's centre the sharp plane is"},
    {Condition::MotionBlur, "Motion_Blur", 0, 100, "centimetres",
     "way of the characters, nose first, while the shutter is open"},
};

}  // namespace tmv_ue
