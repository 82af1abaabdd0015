// From what the graphics card wrote to what the passes hold. No Unreal header. Rows of the input may be padded
// (`pitch` in pixels); the output never is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tmv_ue {

struct Axes {
  float right[3], up[3], forward[3];  // of the camera, in the world
};

// BGRA, 8 bit → the same without padding, opaque.
std::vector<std::uint8_t> opaque_bgra(const std::uint8_t* data, int width, int height, int pitch);
// Distances along the viewing axis in centimetres → metres; infinite from `sky` metres on, or where it is no number.
std::vector<float> metres(const float* data, int width, int height, int pitch, float sky);
// Stencil values as floats (RGBA, the red one counts) → instance numbers; what is above `most` counts as background.
// False where a value is no whole number: something between the material and this code has changed it.
bool instances(const float* rgba, int width, int height, int pitch, int most, std::vector<std::uint8_t>& out);
// Instance numbers → class numbers; 16 bit (in the machine's order) where `wide`.
std::vector<std::uint8_t> classes(const std::vector<std::uint8_t>& mask, const std::vector<std::uint16_t>& of,
                                  bool& wide);
// World normals (RGBA floats) → BGRA, 8 bit: (n + 1) · 127.5 rounded, camera coordinates x right, y down, z forward;
// 0,0,0 where `depth` is infinite or there is no normal.
std::vector<std::uint8_t> normals_bgra(const float* rgba, int width, int height, int pitch, const Axes& camera,
                                       const std::vector<float>& depth);

// A TIFF file of 32-bit floats, one strip, little-endian. `deflated`: the pixels as a zlib stream; empty: they are
// stored as they are.
std::string tiff(const std::vector<float>& pixels, int width, int height, const std::string& deflated);

// The test card of torchmultiverse/engines/marker.py: BGRA, 8 bit; false where the id is not 32 hex digits.
bool marker_bgra(const std::string& scene_id, int width, int height, std::vector<std::uint8_t>& out);

}  // namespace tmv_ue
