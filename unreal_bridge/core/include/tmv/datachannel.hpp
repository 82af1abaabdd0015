// Messages of the Pixel Streaming data channel, as the streamer's end writes and reads them.
//
// Integers are little-endian, texts UTF-16LE; the ids are those of UE 5.0, which later versions announce as well.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tmv::datachannel {

inline constexpr std::size_t kChunk = 16 * 1024;      // largest message of a chunked payload, its header included
inline constexpr std::size_t kMaxText = 65535;        // UTF-16 code units of a text to the streamer
inline constexpr std::size_t kMaxPayload = 64u << 20; // bytes of a file

enum class ToPlayer : std::uint8_t {
  QualityControlOwnership = 0, Response = 1, Command = 2, FreezeFrame = 3, UnfreezeFrame = 4, VideoEncoderAvgQP = 5,
  LatencyTest = 6, InitialSettings = 7, FileExtension = 8, FileMimeType = 9, FileContents = 10, TestEcho = 11,
  InputControlOwnership = 12, GamepadResponse = 13, DataChannelLatencyTest = 14, Protocol = 255,
};

// A message with a text.
std::string encode_text(ToPlayer id, std::string_view utf8);
// FreezeFrame or FileContents in messages of at most `chunk` bytes.
std::vector<std::string> encode_chunks(ToPlayer id, std::string_view data, std::size_t chunk = kChunk);
// A file: its extension, its MIME type, then its content.
std::vector<std::string> encode_file(std::string_view extension, std::string_view mime, std::string_view data);

// A message that reached the streamer; `text` for those that carry one, else `payload`.
struct Input {
  std::string name;
  std::string text;
  std::string payload;
};

// Reads a message to the streamer, in the layout of the public release as well; false with why in `error`.
bool decode_input(std::string_view data, Input& out, std::string& error);

}  // namespace tmv::datachannel
