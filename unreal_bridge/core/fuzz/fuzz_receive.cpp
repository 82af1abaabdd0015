// The whole receive path: whatever players and a careless host say, in any order.
//
// An input that begins with the byte 0xFF is a script: pieces with 0xFF between, each with a letter for what happens.
// Any other input is the text of one message, after which the host does what it is told.
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "invariant.hpp"
#include "tmv/bridge.hpp"
#include "tmv/datachannel.hpp"

namespace {

using tmv::Bridge;
using tmv::Command;

const char* const kConfig =
    R"({"catalogue":{"engine":"fuzz","passes":["rgb","mask","depth"],"factors":{
    "World_Name":{"levels":["Desert","Museum","Snow"],"about":{"Snow":"white all over"}},
    "Character_Name":{"levels":["blank","Camel","Zebra"],"aliases":{"horse":"Zebra"}},
    "Camera_Yaw":{"low":0,"high":360},"Character_Location":{"low":-500,"high":500},
    "Scene_Light":{"levels":["255,255,255,0","255,0,0,0"]},"Fog":{"low":0,"high":1}}},
    "factors":[{"name":"Fog","kind":"number","default":0,"low":0,"high":2}],
    "settle":{"quiet_frames":2,"max_frames":5,"max_ms":1000},"queue":3,"patience_ms":2000})";

class Host {
 public:
  Host() {
    std::string error;
    bridge_ = Bridge::create(kConfig, error);
    MUST(bridge_ != nullptr);
  }

  // Takes the commands, and checks each.
  void take() {
    for (Command command; bridge_->next(command);) {
      if (command.kind == Command::Kind::Respond) said(command);
      if (command.kind == Command::Kind::SendFile) MUST(!command.extension.empty() && !command.mime.empty());
      if (command.kind == Command::Kind::Apply || command.kind == Command::Kind::Capture) asked_ = command;
    }
    MUST(bridge_->waiting() <= 3);
  }

  void event(char what, std::string_view rest) {
    std::string error;
    switch (what) {
      case 'I': {
        tmv::datachannel::Input input;
        if (tmv::datachannel::decode_input(rest, input, error)) bridge_->receive("a", input.text);
        break;
      }
      case 'R': bridge_->receive(rest.size() % 2 == 0 ? "a" : "b", rest); break;
      case 'A': bridge_->applied(asked_.request, rest.empty() ? levels() : std::string(rest), error); break;
      case 'F':
        for (int i = 0; i < 2; ++i) {
          const auto loading = static_cast<std::uint32_t>(rest.empty() ? 0 : rest[0] & 3);
          bridge_->frame({loading, 0, rest.size() > 1 ? 1u : 0u, 0}, now_ += rest.size() > 2 ? 700 : 10);
        }
        break;
      case 'C': bridge_->captured(asked_.request, rest.empty() ? "rgb" : rest, "bytes", asked_.format, error); break;
      case 'D':
        for (const std::string& name : asked_.passes) {
          bridge_->captured(asked_.request, name, "bytes", name == "rgb" ? asked_.format : "png", error);
        }
        bridge_->captured_all(asked_.request, rest, error);
        break;
      case 'X': bridge_->refused(asked_.request, rest, rest.size() % 2 == 0, error); break;
      case 'L': bridge_->left(rest.empty() ? "a" : "b"); break;
      case 'W': bridge_->world_lost(); break;
      case 'B': bridge_->backlog("a", rest.size() << 26); break;
      default: break;
    }
    take();
  }

 private:
  std::string levels() const {
    std::string out;
    tmv::json::canonical(asked_.levels, out);
    return out;
  }

  void said(const Command& command) {
    tmv::Value value;
    std::string error, canonical;
    MUST(tmv::json::parse(command.text, value, error));
    MUST(tmv::json::canonical(value, canonical));
    MUST(canonical == command.text);
    MUST(value.find("id") != nullptr && value.find("state") != nullptr && value.find("tmv") != nullptr);
  }

  std::unique_ptr<Bridge> bridge_;
  Command asked_;
  double now_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  Host host;
  if (text.empty() || text[0] != '\xFF') {
    host.event('R', text);
    for (const char what : {'A', 'F', 'D', 'R'}) host.event(what, what == 'R' ? text : "");
    return 0;
  }
  while (!text.empty()) {
    text.remove_prefix(1);
    const std::string_view piece = text.substr(0, text.find('\xFF'));
    if (!piece.empty()) host.event(piece[0], piece.substr(1));
    text.remove_prefix(piece.size());
  }
  return 0;
}
