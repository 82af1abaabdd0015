#include "TmvPixels.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace tmv_ue {
namespace {

std::size_t at(int x, int y, int width) { return static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + x; }

std::vector<std::uint8_t> bytes_for(int width, int height, int each) {
  return std::vector<std::uint8_t>(at(0, height, width) * static_cast<std::size_t>(each));
}

void put(std::string& out, std::uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i) & 255));
}

void entry(std::string& out, std::uint32_t tag, std::uint32_t type, std::uint32_t value) {
  put(out, tag, 2);
  put(out, type, 2);  // 3: 16 bit, 4: 32 bit
  put(out, 1, 4);
  put(out, value, 4);
}

}  // namespace

std::vector<std::uint8_t> opaque_bgra(const std::uint8_t* data, int width, int height, int pitch) {
  auto out = bytes_for(width, height, 4);
  for (int y = 0; y < height; ++y) std::memcpy(&out[at(0, y, width) * 4], data + at(0, y, pitch) * 4, std::size_t(width) * 4);
  for (std::size_t i = 3; i < out.size(); i += 4) out[i] = 255;
  return out;
}

std::vector<float> metres(const float* data, int width, int height, int pitch, float sky) {
  std::vector<float> out(at(0, height, width));
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const float distance = data[at(x, y, pitch)] / 100;
      out[at(x, y, width)] = distance < sky ? distance : std::numeric_limits<float>::infinity();
    }
  }
  return out;
}

bool instances(const float* rgba, int width, int height, int pitch, int most, std::vector<std::uint8_t>& out) {
  out = bytes_for(width, height, 1);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const float value = rgba[at(x, y, pitch) * 4], whole = std::round(value);
      if (!(std::fabs(value - whole) < 0.02f)) return false;
      out[at(x, y, width)] = whole >= 0 && whole <= float(most) ? static_cast<std::uint8_t>(whole) : 0;
    }
  }
  return true;
}

std::vector<std::uint8_t> classes(const std::vector<std::uint8_t>& mask, const std::vector<std::uint16_t>& of,
                                  bool& wide) {
  wide = false;
  const auto number = [&](std::uint8_t instance) -> std::uint16_t {
    return instance > 0 && instance <= of.size() ? of[instance - 1u] : std::uint16_t{0};
  };
  for (std::uint8_t instance : mask) wide = wide || number(instance) > 255;
  std::vector<std::uint8_t> out(mask.size() * (wide ? 2 : 1));
  for (std::size_t i = 0; i < mask.size(); ++i) {
    const std::uint16_t value = number(mask[i]);
    if (wide) {
      std::memcpy(&out[i * 2], &value, 2);
    } else {
      out[i] = static_cast<std::uint8_t>(value);
    }
  }
  return out;
}

std::vector<std::uint8_t> normals_bgra(const float* rgba, int width, int height, int pitch, const Axes& camera,
                                       const std::vector<float>& depth) {
  auto out = bytes_for(width, height, 4);
  const auto along = [](const float* n, const float* axis) { return n[0] * axis[0] + n[1] * axis[1] + n[2] * axis[2]; };
  const auto packed = [](float part) {
    const float value = std::nearbyint((part + 1) * 127.5f);
    return static_cast<std::uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
  };
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const float* n = rgba + at(x, y, pitch) * 4;
      std::uint8_t* pixel = &out[at(x, y, width) * 4];
      pixel[3] = 255;
      const float length = std::sqrt(along(n, n));
      if (!(length > 0.1f) || std::isinf(depth[at(x, y, width)])) continue;
      pixel[2] = packed(along(n, camera.right) / length);
      pixel[1] = packed(-along(n, camera.up) / length);
      pixel[0] = packed(along(n, camera.forward) / length);
    }
  }
  return out;
}

std::string tiff(const std::vector<float>& pixels, int width, int height, const std::string& deflated) {
  static_assert(sizeof(float) == 4, "pixels are 32-bit floats");
  std::string strip = deflated;
  if (strip.empty()) strip.assign(reinterpret_cast<const char*>(pixels.data()), pixels.size() * 4);
  constexpr std::uint32_t kEntries = 10, kFirst = 8, kStrip = kFirst + 2 + kEntries * 12 + 4;
  std::string out("II*\0", 4);
  put(out, kFirst, 4);
  put(out, kEntries, 2);
  entry(out, 256, 4, std::uint32_t(width));
  entry(out, 257, 4, std::uint32_t(height));
  entry(out, 258, 3, 32);                        // bits
  entry(out, 259, 3, deflated.empty() ? 1 : 8);  // none, or Adobe's deflate
  entry(out, 262, 3, 1);                         // black is zero
  entry(out, 273, 4, kStrip);
  entry(out, 277, 3, 1);                         // samples a pixel
  entry(out, 278, 4, std::uint32_t(height));     // rows of the strip
  entry(out, 279, 4, std::uint32_t(strip.size()));
  entry(out, 339, 3, 3);                         // floating point
  put(out, 0, 4);
  return out + strip;
}

bool marker_bgra(const std::string& scene_id, int width, int height, std::vector<std::uint8_t>& out) {
  constexpr int kGrid = 12;
  if (scene_id.size() != 32) return false;
  std::uint8_t data[18];
  for (int i = 0; i < 16; ++i) {
    int value = 0;
    for (int k = 0; k < 2; ++k) {
      const char c = scene_id[std::size_t(2 * i + k)];
      const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
      if (digit < 0) return false;
      value = value * 16 + digit;
    }
    data[i] = static_cast<std::uint8_t>(value);
  }
  unsigned crc = 0xFFFF;  // CRC-16/CCITT
  for (int i = 0; i < 16; ++i) {
    crc ^= unsigned(data[i]) << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1) & 0xFFFF;
  }
  data[16] = static_cast<std::uint8_t>(crc >> 8);
  data[17] = static_cast<std::uint8_t>(crc & 255);
  out = bytes_for(width, height, 4);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const int cell = y * kGrid / height * kGrid + x * kGrid / width;
      const bool paper = data[cell / 8] >> (7 - cell % 8) & 1;
      std::uint8_t* pixel = &out[at(x, y, width) * 4];
      for (int k = 0; k < 3; ++k) pixel[2 - k] = static_cast<std::uint8_t>(paper ? 255 - data[3 + k] / 4 : data[k] / 4);
      pixel[3] = 255;
    }
  }
  return true;
}

}  // namespace tmv_ue
