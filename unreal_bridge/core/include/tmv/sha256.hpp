// SHA-256 (FIPS 180-4).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tmv {

class Sha256 {
 public:
  Sha256();
  void update(const void* data, std::size_t size);
  std::array<std::uint8_t, 32> digest();

 private:
  void block(const std::uint8_t* data);
  std::array<std::uint32_t, 8> state_;
  std::array<std::uint8_t, 64> buffer_{};
  std::uint64_t total_ = 0;
};

// 64 hex digits.
std::string sha256_hex(const void* data, std::size_t size);
inline std::string sha256_hex(std::string_view data) { return sha256_hex(data.data(), data.size()); }

}  // namespace tmv
