#include "TmvConditions.h"

#include <cmath>

namespace tmv_ue {

double fog_density(double visibility) {
  // Unreal keeps 2^(-I) of what is behind the fog. I is the line integral of density / 1000 per centimetre; on a level
  // ray it is ln 2 times density times length, the limit of (1 - 2^-x) / x. So exp(-(ln 2)^2 density / 1000 cm) is kept.
  const double contrast = -std::log(0.02), ln2 = std::log(2.0);
  return contrast / visibility / (ln2 * ln2 * 100 / 1000);
}

double sun_pitch(double elevation) { return -elevation; }

double sun_yaw(double azimuth, double stage_yaw) { return std::remainder(azimuth + 180 + stage_yaw, 360); }

double way_of(double speed, double shutter) { return speed * 100 * shutter / 1000; }

double sensor_width(int width, int height) { return width > height ? kSensorSide * width / height : kSensorSide; }

}  // namespace tmv_ue
