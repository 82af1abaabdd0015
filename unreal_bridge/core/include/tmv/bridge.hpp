// The bridge: takes events, returns commands. It does no input or output, has no clock and no threads of its own: its
// host (the Unreal plugin, or a program through c_api.h) feeds events from one thread, then takes commands until there
// are none.
//
//   receive ─→ Respond(accepted) … Apply ─→ applied ─→ frame, frame, … ─→ Respond(settled), Capture
//     ─→ captured (each pass), captured_all ─→ SendFile (each pass), Respond(done)
//
// One scene is in the world at a time; further requests wait, first come, first served. Whatever happens, each accepted
// request of a player who stays is answered exactly once, with `done` or `failed`.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tmv/catalogue.hpp"
#include "tmv/messages.hpp"
#include "tmv/scene.hpp"
#include "tmv/settle.hpp"

namespace tmv {

inline constexpr std::size_t kMaxQueue = 1024;                 // requests that may wait
inline constexpr std::uint64_t kMaxUnsent = 256ull << 20;      // bytes that may wait for a player

// A number of the core's own: the ids of two players may be equal.
using RequestNumber = std::uint64_t;

struct Command {
  enum class Kind : std::uint8_t {
    Respond,   // send `text` to `player` as a Response
    SendFile,  // send `bytes` to `player` as a file
    Apply,     // change the world: `changes` in their order, `width` × `height`; then call applied() or refused()
    Capture,   // read back `passes` of the next frame; then captured() for each and captured_all(), or refused()
    Note,      // something for the log
  };
  Kind kind = Kind::Note;
  std::string player;
  std::string text;
  std::string extension, mime, bytes;  // SendFile
  RequestNumber request = 0;           // Apply, Capture
  std::vector<Change> changes;         // Apply
  Value levels = Value::object();      // Apply: every factor but labels, by wire name
  bool resize = false;                 // Apply: whether the size is another than before
  std::int64_t width = 0, height = 0;  // Apply, Capture
  std::vector<std::string> passes;     // Capture
  std::string format;                  // Capture: of the rgb pass, png or jpeg
  bool raw = false;                    // Capture: all passes may be NumPy files without compression (npy) instead
  std::string seed;                    // Capture: the dataset's
  std::uint32_t picture_seed = 0;      // Capture: of this picture, for whatever is random in it
  int samples = 0;                     // Capture: 0: the engine's own number
};

class Bridge {
 public:
  // Config: {"catalogue": {…}, "factors": [… further ones …], "settle": {"quiet_frames", "max_frames", "max_ms"},
  // "queue": 1024, "patience_ms": 120000}; all but the catalogue may be left out. nullptr with why in `error`.
  // `patience_ms`: how long the host may take to answer Apply or Capture, after which the request fails.
  static std::unique_ptr<Bridge> create(std::string_view config, std::string& error);

  // Events ----------------------------------------------------------------------------------------------------
  // The text of a UIInteraction.
  void receive(std::string_view player, std::string_view text);
  void left(std::string_view player);
  // Bytes that wait for a player in the host; beyond kMaxUnsent its requests are dropped when it is their turn.
  void backlog(std::string_view player, std::uint64_t bytes);
  // A frame was drawn, with what still loads. `now_ms`: milliseconds from any beginning.
  void frame(const Facts& facts, double now_ms);
  // The world was changed by somebody else: the next Apply is of everything.
  void world_lost();
  // The answers to Apply and Capture. False with why in `error` where that is not what was asked for; then nothing
  // changes, except that levels which are no scene fail the request.
  // `levels`: a JSON object of the levels that the world really shows now; of these the scene id is made. What it does
  // not name is at its default.
  bool applied(RequestNumber request, std::string_view levels, std::string& error);
  bool refused(RequestNumber request, std::string_view reason, bool again, std::string& error);
  // `extension`: png, jpeg or tiff; npy where the request takes it.
  bool captured(RequestNumber request, std::string_view pass, std::string bytes, std::string_view extension,
                std::string& error);
  // `facts`: JSON object with "timings" (milliseconds by phase) and "info" (further facts); may be empty.
  bool captured_all(RequestNumber request, std::string_view facts, std::string& error);

  // Commands --------------------------------------------------------------------------------------------------
  // The next command; false where there is none.
  bool next(Command& out);
  std::size_t waiting() const { return queue_.size(); }
  const Catalogue& catalogue() const { return catalogue_; }

 private:
  enum class Stage : std::uint8_t { Idle, Applying, Settling, Capturing };
  struct Job {
    RequestNumber number = 0;
    std::string player;
    messages::Request request;
    Scene scene;
    bool gone = false;
  };
  struct Pass {
    std::string name, extension, bytes;
  };

  Bridge() = default;
  bool configure(const Value& config, std::string& error);
  void answer(std::string_view player, std::string text);
  void note(std::string_view player, std::string text);
  void render(std::string_view player, const messages::Request& request);
  void begin();
  void enter(Stage stage);
  void finish();
  void fail(const std::string& reason, messages::Again again);
  bool expects(RequestNumber request, Stage stage, std::string& error) const;
  bool read_shown(std::string_view levels, std::string& error);
  bool absent(const Job& job) const;

  FactorTable table_;
  Catalogue catalogue_;
  SettleBudget budget_;
  std::size_t most_ = kMaxQueue;
  std::deque<Job> queue_;
  std::deque<Command> commands_;
  std::unordered_map<std::string, std::uint64_t> backlog_;
  RequestNumber last_ = 0;
  Stage stage_ = Stage::Idle;
  Job job_;
  double patience_ms_ = 120000;
  double entered_ = -1;     // when the stage began, as far as frames say it
  bool known_ = false;      // whether it is known what the world shows: `now_`, in this size
  Scene now_;
  std::int64_t width_ = 0, height_ = 0;
  bool changed_ = true;     // since the last picture that settled
  Settle settle_;
  std::vector<Pass> captured_;
};

}  // namespace tmv
