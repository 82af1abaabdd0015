// The conditions that this plugin can make (their units and defaults are in torchmultiverse/scenes/conditions.py), and
// what they are in Unreal's units. No Unreal header.
#pragma once

namespace tmv_ue {

enum class Condition {
  SunElevation, SunAzimuth, FogVisibility, Rain, Snow, Wetness, SnowCover, FocalLength, Distance, Height, Aperture,
  Focus, Exposure, Shutter, Speed,
};

struct ConditionRow {
  Condition kind;
  const char* wire;
  double low, high;  // what is announced, within the factor's own range
};

inline constexpr ConditionRow kConditions[] = {
    {Condition::SunElevation, "Sun_Elevation", 0, 90},
    {Condition::SunAzimuth, "Sun_Azimuth", -360, 360},
    {Condition::FogVisibility, "Fog_Visibility", 5, 100000},
    {Condition::Rain, "Rain", 0, 150},  // and no more than the emitter's full rate
    {Condition::Snow, "Snow", 0, 20},
    {Condition::Wetness, "Wetness", 0, 1},
    {Condition::SnowCover, "Snow_Cover", 0, 1},
    {Condition::FocalLength, "Camera_Focal_Length", 8, 400},
    {Condition::Distance, "Camera_Distance", 0.5, 50},
    {Condition::Height, "Camera_Height", 0.05, 20},
    {Condition::Aperture, "Camera_Aperture", 1, 32},
    {Condition::Focus, "Camera_Focus", 0.1, 1000},
    {Condition::Exposure, "Camera_Exposure", -8, 8},
    {Condition::Shutter, "Camera_Shutter", 0, 100},
    {Condition::Speed, "Character_Speed", 0, 10},
};

constexpr double kSensorSide = 24;  // millimetres, the shorter side of the sensor of Camera_Focal_Length

// FogDensity of an exponential height fog without falloff, for a visibility in metres: contrast exp(-3.912 d / V).
double fog_density(double visibility);
// Pitch and yaw of a directional light, which shines along its X axis, degrees. `stage_yaw` is where azimuth 0 is.
double sun_pitch(double elevation);
double sun_yaw(double azimuth, double stage_yaw);
// Way in centimetres of what moves at metres a second for milliseconds.
double way_of(double speed, double shutter);
// Width of the sensor, millimetres.
double sensor_width(int width, int height);

}  // namespace tmv_ue
