// The whole receive path: whatever players and a careless host say, in any order.
//
// An input that begins with the byte 0xFF is a script: pieces with 0xFF between, each with a letter for what happens.
// Any other input is the text of one message, after which the host does what it is told. In the end the host refuses
// what is left: then each request that was accepted, of a player who stayed, must have had exactly one answer.
#include <cstdint>
#include <map>
#include <memory>
#include <set>
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
        if (tmv::datachannel::decode_input(rest, input, error)) receive("a", input.text);
        break;
      }
      case 'R': receive(rest.size() % 2 == 0 ? "a" : "b", rest); break;
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
      case 'L': {
        const std::string player = rest.empty() ? "a" : "b";
        bridge_->left(player);
        here_.erase(player);
        open_.erase(player);
        break;
      }
      case 'W': bridge_->world_lost(); break;
      case 'B':
        bridge_->backlog("a", static_cast<std::uint64_t>(rest.size()) << 26);
        may_drop_ = may_drop_ || rest.size() > 4;
        break;
      default: break;
    }
    take();
  }

  void finish() {
    for (int i = 0; i < 5; ++i) event('X', "the end");
    MUST(bridge_->waiting() == 0);
    for (const auto& player : open_) {
      if (may_drop_ && player.first == "a") continue;
      for (const auto& request : player.second) MUST(request.second == 0);
    }
  }

 private:
  void receive(const std::string& player, std::string_view text) {
    here_.insert(player);
    bridge_->receive(player, text);
  }

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
    MUST(here_.count(command.player) == 1);
    const std::string state = value.find("state")->text();
    int& open = open_[command.player][value.find("id")->text()];
    if (state == "accepted") ++open;
    if (state == "settled") MUST(open > 0);
    // What was never accepted is answered at once: a question, or a request that cannot be.
    if ((state == "done" || state == "failed") && open > 0 && value.find("dialect") == nullptr) {
      const bool late = state == "failed" ? value.find("again") != nullptr : value.find("scene_id") != nullptr;
      if (late && !(state == "failed" && value.find("reason")->text() == "3 requests wait already")) --open;
    }
  }

  std::unique_ptr<Bridge> bridge_;
  Command asked_;
  double now_ = 0;
  bool may_drop_ = false;
  std::set<std::string> here_;                               // players who have not left
  std::map<std::string, std::map<std::string, int>> open_;   // player, id -> accepted and not answered
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  Host host;
  if (text.empty() || text[0] != '\xFF') {
    host.event('R', text);
    for (const char what : {'A', 'F', 'D', 'R'}) host.event(what, what == 'R' ? text : "");
    host.finish();
    return 0;
  }
  while (!text.empty()) {
    text.remove_prefix(1);
    const std::string_view piece = text.substr(0, text.find('\xFF'));
    if (!piece.empty()) host.event(piece[0], piece.substr(1));
    text.remove_prefix(piece.size());
  }
  host.finish();
  return 0;
}
