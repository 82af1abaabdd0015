// The messages of the bridge dialect, as torchmultiverse.protocol.messages has them: the same texts byte for byte, and
// the same wording of errors.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tmv/json.hpp"

namespace tmv::messages {

inline constexpr int kVersion = 1;
inline constexpr std::size_t kMostReason = 2000;  // characters of a reason

// What became of a text.
enum class Parsed : std::uint8_t {
  Message,  // one of this dialect
  Other,    // any other text
  Wrong,    // one of this dialect that nobody could answer: of another version, or without a plain id
};

Parsed parse(std::string_view text, Value& message, std::string& error);

enum class Ask : std::uint8_t { Hello, Catalogue, Render };

struct Request {
  Ask ask = Ask::Hello;
  std::string id;
  Value scene = Value::object();
  std::int64_t width = 512;
  std::int64_t height = 512;
  std::vector<std::string> passes{"rgb"};
  std::string format = "png";
  Value raw;               // whether passes may come without compression; null: not said
  Value quiet;             // whether `accepted` and `settled` may be left out; null: not said
  std::string seed = "0";  // decimal digits: of any size
  int samples = 0;         // 0: the engine's own number
};

// Reads a message as a request with options that can be rendered; false with why in `error`: names the place, the
// value, and what would be right.
bool read_request(const Value& message, Request& out, std::string& error);

// Answers, as canonical JSON.
std::string accepted(std::string_view id);
std::string settled(std::string_view id, const Value& settle);
std::string done(std::string_view id);
std::string hello_done(std::string_view id, std::string_view engine, std::string_view version,
                       std::string_view fingerprint);
enum class Again : std::uint8_t { Unsaid, No, Yes };
std::string failed(std::string_view id, std::string_view reason, Again again = Again::Unsaid);

struct RenderDone {
  std::string id;
  std::string scene_id;
  std::vector<std::pair<std::string, std::string>> sha256;  // by pass
  Value settle = Value::object();
  Value timings = Value::object();
  std::string engine;
  Value info = Value::object();
};
std::string render_done(const RenderDone& answer);

}  // namespace tmv::messages
