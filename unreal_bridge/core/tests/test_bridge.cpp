// The bridge as its host meets it: order of commands, queue, settling, and what happens when something goes wrong.
#include <algorithm>
#include <string>
#include <vector>

#include "check.hpp"
#include "tmv/bridge.hpp"

namespace {

using tmv::Bridge;
using tmv::Command;

const char* const kConfig = R"({"catalogue": {"engine": "test", "version": "1", "fingerprint": "f00d",
  "passes": ["rgb", "mask"], "factors": {"World_Name": {"levels": ["Desert", "Snow"]},
  "Character_Name": {"levels": ["blank", "Zebra"]}, "Camera_Yaw": {"low": 0, "high": 360}}},
  "settle": {"quiet_frames": 3, "max_frames": 10, "max_ms": 1000}, "queue": 2, "patience_ms": 5000})";

// How many factors a new world is given: all but labels.
std::size_t every() {
  const auto& factors = tmv::FactorTable::published().factors();
  return std::size_t(std::count_if(factors.begin(), factors.end(), [](const auto& one) { return !one.label; }));
}

// A bridge, and a world that does what it is told.
struct Host {
  explicit Host(const char* config = kConfig) : bridge(Bridge::create(config, error)) { CHECK_EQUAL(error, ""); }

  void ask(const char* id, const char* player = "p", const char* scene = R"({"World_Name":"Desert"})",
           const char* more = "") {
    bridge->receive(player, std::string(R"({"tmv":1,"do":"render","id":")") + id + R"(","scene":)" + scene + more + "}");
  }
  // Takes all commands, as one text: what was said to whom, and what is to be done.
  std::string take() {
    std::string out;
    for (Command command; bridge->next(command);) {
      switch (command.kind) {
        case Command::Kind::Respond: out += command.player + " " + state(command.text); break;
        case Command::Kind::SendFile: out += command.player + " file " + command.extension; break;
        case Command::Kind::Apply: out += "apply " + std::to_string(command.request); break;
        case Command::Kind::Capture: out += "capture " + std::to_string(command.request); break;
        case Command::Kind::Note: out += "note"; break;
      }
      out += "; ";
      last = command;
    }
    return out;
  }
  static std::string state(const std::string& text) {
    tmv::Value value;
    std::string why;
    CHECK(tmv::json::parse(text, value, why));
    const tmv::Value* reason = value.find("reason");
    const tmv::Value* again = value.find("again");
    return value.find("id")->text() + " " + value.find("state")->text() +
           (again != nullptr && again->as_bool() ? " again" : "") + (reason == nullptr ? "" : ": " + reason->text());
  }
  void frames(int count, tmv::Facts facts = {}) {
    for (; count > 0; --count) bridge->frame(facts, now += 10);
  }
  bool applied(std::uint64_t request, const char* levels = R"({"World_Name":"Desert"})") {
    return bridge->applied(request, levels, error);
  }
  void finish(std::uint64_t request, const char* levels = R"({"World_Name":"Desert"})") {
    CHECK(applied(request, levels));
    frames(3);
    CHECK(bridge->captured(request, "rgb", "picture", "png", error));
    CHECK(bridge->captured_all(request, "", error));
  }

  std::string error;
  std::unique_ptr<Bridge> bridge;
  Command last;
  double now = 0;
};

}  // namespace

TEST(a_picture_from_request_to_done) {
  Host host;
  host.ask("a", "p", R"({"World_Name":"Desert"})", R"(,"passes":["rgb","mask"],"size":[64,32],"seed":5)");
  CHECK_EQUAL(host.take(), "p a accepted; apply 1; ");
  CHECK_EQUAL(host.last.changes.size(), every());
  CHECK_EQUAL(host.last.changes[0].factor, "World_Name");
  CHECK(host.last.resize && host.last.width == 64 && host.last.height == 32);
  CHECK(host.applied(1));
  host.frames(2);
  host.frames(1, {0, 1, 0, 0});
  host.frames(2);
  CHECK_EQUAL(host.take(), "");
  host.frames(1);
  CHECK_EQUAL(host.take(), "p a settled; capture 1; ");
  CHECK_EQUAL(host.last.passes.size(), std::size_t{2});
  CHECK(host.bridge->captured(1, "mask", "mask", "png", host.error));
  CHECK(!host.bridge->captured_all(1, "", host.error));
  CHECK_EQUAL(host.error, "the pass 'rgb' did not come");
  CHECK(host.bridge->captured(1, "rgb", "picture", "png", host.error));
  CHECK(host.bridge->captured_all(1, R"({"timings":{"render_ms":4.5},"info":{"objects":[]}})", host.error));
  CHECK_EQUAL(host.take(), "p file a.rgb.png; p file a.mask.png; p a done; ");
  CHECK_EQUAL(host.last.text,
              R"({"engine":"f00d","id":"a","info":{"objects":[]},"scene_id":"6f73f028a175916307a83657b91b28ad",)"
              R"("settle":{"frames":6,"ms":50.0,"quiet_frames":3,"settled":true,"waited":{"levels":0,"other":0,)"
              R"("shaders":0,"textures":1}},"sha256":{"mask":)"
              R"("48bf9b4f142ab45cac6f33cf99415bca6ca8e07608a031237aa76560fec2204b","rgb":)"
              R"("2cea274d0bedc39ec4ab6ba9e59ec889e3ed6fb56a1cf088a64d9b383378dc97"},"state":"done","timings":{"render_ms":4.5,"settle_ms":50.0},"tmv":1})");
}

TEST(requests_wait_for_their_turn_and_the_queue_is_bounded) {
  Host host;
  for (const char* id : {"a", "b", "c", "d"}) host.ask(id);
  CHECK_EQUAL(host.take(),
              "p a accepted; apply 1; p b accepted; p c accepted; p d failed again: 2 requests wait already; ");
  CHECK_EQUAL(host.bridge->waiting(), std::size_t{2});
  host.finish(1);
  CHECK_EQUAL(host.take(), "p a settled; capture 1; p file a.rgb.png; p a done; apply 2; ");
  CHECK(host.last.changes.empty() && !host.last.resize);
  CHECK(host.applied(2));
  host.frames(1);  // the same picture again: its history is its own
  CHECK_EQUAL(host.take(), "p b settled; capture 2; ");
}

TEST(players_that_leave_are_forgotten) {
  Host host;
  host.ask("a", "p");
  host.ask("b", "q");
  host.ask("c", "p");
  host.take();
  host.bridge->left("p");
  CHECK_EQUAL(host.bridge->waiting(), std::size_t{1});
  CHECK(host.applied(1));
  CHECK_EQUAL(host.take(), "apply 2; ");
  host.finish(2);
  CHECK_EQUAL(host.take(), "q b settled; capture 2; q file b.rgb.png; q b done; ");
  host.ask("a", "p");
  CHECK_EQUAL(host.take(), "p a accepted; apply 4; ");
  CHECK(host.applied(4));
  host.frames(1);
  host.bridge->left("p");
  CHECK_EQUAL(host.take(), "capture 4; ");
  CHECK(host.bridge->captured(4, "rgb", "picture", "png", host.error));
  CHECK(host.bridge->captured_all(4, "", host.error));
  CHECK_EQUAL(host.take(), "");
}

TEST(a_player_that_takes_nothing_is_not_rendered_for) {
  Host host;
  host.ask("a", "p");
  host.ask("b", "slow");
  host.ask("c", "p");
  host.bridge->backlog("slow", tmv::kMaxUnsent + 1);
  host.take();
  host.finish(1);
  CHECK_EQUAL(host.take(), "p a settled; capture 1; p file a.rgb.png; p a done; apply 3; ");
}

TEST(another_scene_than_was_asked_is_never_sent) {
  Host host;
  host.ask("a", "p", R"({"World_Name":"Desert","Camera_Yaw":90})");
  host.take();
  CHECK(host.applied(1, R"({"World_Name":"Snow","Camera_Yaw":90.5})"));
  CHECK_EQUAL(host.take(),
              "p a failed again: the world shows another scene: World_Name = Snow, asked was Desert; "
              "Camera_Yaw = 90.5, asked was 90; ");
  host.ask("b", "p", R"({"World_Name":"Desert"})");
  host.take();
  CHECK_EQUAL(host.last.changes.size(), every());  // from Snow, which it shows
  CHECK(!host.applied(2, R"({"World_Name":"Desert","Character_Scale":9})"));
  CHECK_EQUAL(host.error, "Character_Scale = 9 is out of range: 0.1 to 4 \xC3\x97");
  CHECK_EQUAL(host.take(),
              "p b failed: the engine says of its world what is no scene: Character_Scale = 9 is out of range: "
              "0.1 to 4 \xC3\x97; ");
}

TEST(labels_are_said_and_never_applied) {
  Host host;
  host.ask("a", "p", R"({"World_Name":"Desert","Subset":"x"})");
  host.take();
  CHECK(host.last.levels.find("Subset") == nullptr);
  CHECK_EQUAL(host.last.changes.size(), every());
  host.finish(1);
  host.take();
  CHECK(host.last.text.find("\"scene_id\":\"") != std::string::npos);
  tmv::Scene scene;
  tmv::Value levels;
  tmv::json::parse(R"({"World_Name":"Desert","Subset":"x"})", levels, host.error);
  CHECK(tmv::Scene::read(levels, tmv::FactorTable::published(), scene, host.error));
  CHECK(host.last.text.find(scene.id()) != std::string::npos);
}

TEST(what_does_not_settle_is_said_and_may_be_asked_again) {
  Host host;
  host.ask("a");
  host.take();
  CHECK(host.applied(1));
  host.frames(10, {0, 3, 1, 0});
  CHECK_EQUAL(host.take(),
              "p a failed again: the picture had not settled after 10 frames and 90 ms (at most 10 and 1000); "
              "still loading: textures: 3, shaders: 1; ");
  host.ask("b");
  CHECK_EQUAL(host.take(), "p b accepted; apply 2; ");
  CHECK(host.last.changes.empty());
  CHECK(host.applied(2));
  host.frames(2);
  CHECK_EQUAL(host.take(), "");  // nothing changed since, but it never was final
  host.frames(1);
  CHECK_EQUAL(host.take(), "p b settled; capture 2; ");
}

TEST(refusals_and_a_world_that_is_lost) {
  Host host;
  host.ask("a");
  host.take();
  CHECK(host.bridge->refused(1, "no memory", true, host.error));
  CHECK_EQUAL(host.take(), "p a failed again: no memory; ");
  host.ask("b");
  host.take();
  CHECK(host.applied(2));
  host.frames(3);
  CHECK_EQUAL(host.take(), "p b settled; capture 2; ");
  host.bridge->world_lost();
  CHECK_EQUAL(host.take(), "p b failed again: the world was changed by somebody else while the picture was made; ");
  CHECK(!host.bridge->captured(2, "rgb", "x", "png", host.error));
  CHECK_EQUAL(host.error, "request 2 is not what is waited for; nothing is asked");
  host.ask("c");
  host.take();
  CHECK_EQUAL(host.last.changes.size(), every());
  host.frames(700);
  CHECK_EQUAL(host.take(), "p c failed again: the scene was not applied within 5000 ms; ");
  CHECK(!host.applied(3));
}

TEST(captures_that_are_not_right_change_nothing) {
  Host host;
  host.ask("a");
  host.take();
  CHECK(host.applied(1));
  host.frames(3);
  for (const char* extension : {"jpeg", "exr", ""}) {
    CHECK(!host.bridge->captured(1, "rgb", "x", extension, host.error));
  }
  CHECK(!host.bridge->captured(1, "mask", "x", "png", host.error));
  CHECK(!host.bridge->captured(1, "rgb", "", "png", host.error));
  CHECK(!host.bridge->captured(2, "rgb", "x", "png", host.error));
  CHECK(host.bridge->captured(1, "rgb", "x", "png", host.error));
  CHECK(!host.bridge->captured(1, "rgb", "x", "png", host.error));
  CHECK_EQUAL(host.error, "the pass 'rgb' came twice");
  for (const char* facts : {"{", "[]", R"({"timings":5})", R"({"timings":{"a":"b"}})", R"({"info":{"a":NaN}})", R"({"x":1})"}) {
    CHECK(!host.bridge->captured_all(1, facts, host.error));
  }
  CHECK(host.bridge->captured_all(1, "{}", host.error));
}

TEST(passes_without_compression_where_they_are_taken) {
  Host host;
  host.ask("a", "p", R"({"World_Name":"Desert"})", R"(,"raw":true,"passes":["rgb","mask"])");
  host.take();
  CHECK(host.applied(1));
  host.frames(3);
  host.take();
  CHECK(host.last.raw);
  CHECK(host.bridge->captured(1, "rgb", "x", "npy", host.error));
  CHECK(host.bridge->captured(1, "mask", "x", "png", host.error));
  CHECK(host.bridge->captured_all(1, "", host.error));
  CHECK_EQUAL(host.take(), "p file a.rgb.npy; p file a.mask.png; p a done; ");
}

TEST(what_may_be_left_out_is_left_out) {
  Host host;
  host.ask("a", "p", R"({"World_Name":"Desert"})", R"(,"quiet":true)");
  CHECK_EQUAL(host.take(), "apply 1; ");
  host.finish(1);
  CHECK_EQUAL(host.take(), "capture 1; p file a.rgb.png; p a done; ");
}

TEST(configs_that_mean_nothing_are_refused) {
  const std::string all = std::to_string(tmv::FactorTable::published().factors().size());
  const std::vector<std::pair<const char*, std::string>> wrong = {
      {"", "the config is no JSON: no value at byte 0"},
      {"[]", "the config is '[]'; an object is right"},
      {"{}", "the config has no 'catalogue'"},
      {R"({"catalog":{}})",
       "the config: 'catalog' means nothing. Did you mean 'catalogue'?"},
      {R"({"catalogue":{}})", "the catalogue names no 'engine'"},
      {R"({"catalogue":{"engine":"a","factors":{"Fog":{"low":0,"high":1}}}})",
       "the catalogue's factor 'Fog' is unknown; declare it. Known: World_Name, Character_Name, Character_Scale, "
       "Character_Rotation_Yaw, Character_Rotation_Roll, Character_Rotation_Pitch, Character_Texture, Character1_Pos, "
       "Character_Location, Character2_Name, \xE2\x80\xA6 (" + all + " in all)."},
      {R"({"catalogue":{"engine":"a"},"factors":[{"name":"Fog","kind":"number"}]})",
       "declared factor 'Fog': it needs a 'default', so that scenes without it mean something"},
      {R"({"catalogue":{"engine":"a"},"factors":[{"name":"Camera_Yaw","default":"x"}]})",
       "declared factor 'Camera_Yaw' exists already"},
      {R"({"catalogue":{"engine":"a"},"settle":{"quiet_frames":0}})",
       "quiet_frames is '0'; a number from 1 to 1000000 is right"},
      {R"({"catalogue":{"engine":"a"},"queue":5000})", "queue is '5000'; a number from 1 to 1024 is right"},
  };
  for (const auto& one : wrong) {
    std::string error;
    CHECK(Bridge::create(one.first, error) == nullptr);
    CHECK_EQUAL(error, one.second);
  }
}

TEST(declared_factors_are_factors) {
  Host host(R"({"catalogue":{"engine":"a","factors":{"World_Name":{"levels":["Desert"]},"Fog_Density":{"low":0,"high":1}}},
    "factors":[{"name":"Fog_Density","kind":"number","default":0,"low":0,"high":2},{"name":"Weather","default":"none"}]})");
  host.ask("a", "p", R"({"World_Name":"Desert","Fog_Density":0.5})");
  CHECK_EQUAL(host.take(), "p a accepted; apply 1; ");
  CHECK_EQUAL(host.last.changes.back().factor, "Weather");
  CHECK(host.bridge->refused(1, "", false, host.error));
  CHECK_EQUAL(host.take(), "p a failed: no reason given; ");
  host.ask("b", "p", R"({"World_Name":"Desert","Fog_Density":1.5,"Weather":"rain"})");
  CHECK_EQUAL(host.take(),
              "p b failed: Fog_Density = 1.5 is out of the range of engine 'a', 0 to 1\n"
              "Weather: engine 'a' cannot vary it. Known: World_Name, Fog_Density.; ");
}
