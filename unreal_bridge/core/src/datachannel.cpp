#include "tmv/datachannel.hpp"

#include <algorithm>
#include <iterator>

#include "number.hpp"
#include "text.hpp"

namespace tmv::datachannel {
namespace {

struct Known {
  std::uint8_t id;
  const char* name;
  bool text;
};

constexpr Known kToStreamer[] = {
    {0, "IFrameRequest", false}, {1, "RequestQualityControl", false}, {4, "StartStreaming", false},
    {5, "StopStreaming", false}, {6, "LatencyTest", true}, {7, "RequestInitialSettings", false},
    {8, "TestEcho", true}, {9, "DataChannelLatencyTest", true}, {50, "UIInteraction", true},
    {51, "Command", true}, {52, "TextboxEntry", true},
};

char byte(ToPlayer id) { return static_cast<char>(static_cast<std::uint8_t>(id)); }

}  // namespace

std::string encode_text(ToPlayer id, std::string_view utf8) { return byte(id) + text::utf16(utf8); }

std::vector<std::string> encode_chunks(ToPlayer id, std::string_view data, std::size_t chunk) {
  std::string head(1, byte(id));
  const auto size = static_cast<std::uint32_t>(data.size());
  for (int shift = 0; shift < 32; shift += 8) head += static_cast<char>(static_cast<std::uint8_t>(size >> shift));
  const std::size_t step = std::max<std::size_t>(chunk, head.size() + 1) - head.size();
  std::vector<std::string> out;
  for (std::size_t at = 0; at == 0 || at < data.size(); at += step) {
    out.push_back(head);
    out.back().append(data.substr(at, step));
  }
  return out;
}

std::vector<std::string> encode_file(std::string_view extension, std::string_view mime, std::string_view data) {
  std::vector<std::string> out{encode_text(ToPlayer::FileExtension, extension), encode_text(ToPlayer::FileMimeType, mime)};
  for (std::string& one : encode_chunks(ToPlayer::FileContents, data)) out.push_back(std::move(one));
  return out;
}

bool decode_input(std::string_view data, Input& out, std::string& error) {
  out = Input();
  if (data.empty()) {
    error = "empty message to the streamer";
    return false;
  }
  const auto id = static_cast<std::uint8_t>(data[0]);
  const auto* known = std::find_if(std::begin(kToStreamer), std::end(kToStreamer),
                                   [id](const Known& one) { return one.id == id; });
  const bool found = known != std::end(kToStreamer);
  out.name = found ? known->name : "Unknown" + std::to_string(id);
  if (!found || !known->text || data.size() == 1) {
    out.payload = std::string(data.substr(1));
    return true;
  }
  if (data.size() < 3) {
    error = out.name + ": " + std::to_string(data.size()) + " bytes are too short";
    return false;
  }
  const std::size_t length = static_cast<std::uint8_t>(data[1]) | static_cast<std::size_t>(static_cast<std::uint8_t>(data[2])) << 8;
  if (data.size() != 3 + 2 * length) {
    error = out.name + ": announces " + std::to_string(length) + " code units, carries " +
            number::general(static_cast<double>(data.size() - 3) / 2);
    return false;
  }
  return text::from_utf16(data.substr(3), out.text);
}

}  // namespace tmv::datachannel
