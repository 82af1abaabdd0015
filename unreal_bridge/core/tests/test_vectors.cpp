// The message vectors: what the Python side says must come out, byte for byte.
#include <cstdio>
#include <string>

#include "check.hpp"
#include "text.hpp"
#include "tmv/bridge.hpp"
#include "tmv/datachannel.hpp"
#include "tmv/json.hpp"
#include "tmv/scene.hpp"
#include "tmv/sha256.hpp"

namespace {

using tmv::Value;

Value vectors(const char* name) {
  const std::string path = check::vectors() + "/" + name + ".json";
  std::string text, error;
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) {
    check::failed(path.c_str(), 0, "there are no such vectors; name their folder as the first argument");
    return Value::object();
  }
  char part[65536];
  for (std::size_t got = 0; (got = std::fread(part, 1, sizeof part, file)) > 0;) text.append(part, got);
  std::fclose(file);
  Value out;
  if (!tmv::json::parse(text, out, error)) check::failed(path.c_str(), 0, error);
  return out;
}

const Value& cases(const Value& held) {
  static const Value none = Value::array();
  const Value* found = held.find("cases");
  CHECK(found != nullptr && found->items().size() > 10);
  return found == nullptr ? none : *found;
}

std::string text_of(const Value& object, const char* name) {
  const Value* found = object.find(name);
  return found == nullptr ? "" : found->text();
}

std::string encoded(const Value& value) {
  std::string out;
  return tmv::json::canonical(value, out) ? out : "nan";
}

std::string unhex(const std::string& digits) {
  std::string out;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    out += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  }
  return out;
}

}  // namespace

TEST(json_vectors) {
  const Value held = vectors("json");
  for (const Value& one : cases(held).items()) {
    Value value;
    std::string error;
    const bool good = tmv::json::parse(text_of(one, "text"), value, error);
    CHECK_EQUAL(good ? encoded(value) : "", text_of(one, "canonical"));
  }
}

TEST(scene_vectors) {
  const Value held = vectors("scenes");
  for (const Value& one : cases(held).items()) {
    Value levels;
    std::string error;
    CHECK(tmv::json::parse(text_of(one, "levels"), levels, error));
    tmv::Scene scene;
    if (!tmv::Scene::read(levels, tmv::FactorTable::published(), scene, error)) {
      CHECK_EQUAL(error, text_of(one, "error"));
      continue;
    }
    CHECK_EQUAL(scene.canonical(), text_of(one, "canonical"));
    CHECK_EQUAL(scene.id(), text_of(one, "id"));
    if (const Value* seeds = one.find("seeds")) {
      for (const tmv::Member& seed : seeds->members()) {
        CHECK_EQUAL(std::to_string(tmv::scene_seed(seed.name, scene.id())), seed.value.text());
      }
    }
  }
}

TEST(request_vectors) {
  const Value held = vectors("requests");
  Value config = Value::object();
  config.set("catalogue", held.find("catalogue") == nullptr ? Value() : *held.find("catalogue"));
  for (const Value& one : cases(held).items()) {
    std::string error;
    const auto bridge = tmv::Bridge::create(encoded(config), error);
    if (!CHECK_EQUAL(error, "")) return;
    bridge->receive("player", text_of(one, "text"));
    std::string answer, note, file;
    for (tmv::Command command; bridge->next(command);) {
      if (command.kind == tmv::Command::Kind::Respond && answer.empty()) answer = command.text;
      if (command.kind == tmv::Command::Kind::Note) note = command.text;
      if (command.kind == tmv::Command::Kind::SendFile) file = command.extension;
    }
    CHECK_EQUAL(answer, text_of(one, "answer"));
    CHECK_EQUAL(note, text_of(one, "note"));
    CHECK_EQUAL(file, text_of(one, "file"));
  }
}

TEST(channel_vectors) {
  using namespace tmv::datachannel;
  const Value held = vectors("channel");
  for (const Value& one : cases(held).items()) {
    if (const Value* file = one.find("file")) {
      std::int64_t size = 0;
      file->find("size")->as_int64(size);
      std::string data, all;
      for (std::int64_t n = 0; n < size; ++n) data += static_cast<char>(static_cast<unsigned char>(n * 7 % 251));
      const auto sent = encode_file(text_of(*file, "extension"), text_of(*file, "mime"), data);
      CHECK_EQUAL(sent.size(), one.find("sizes")->items().size());
      for (const std::string& message : sent) {
        CHECK(message.size() <= kChunk);
        all += message;
      }
      CHECK_EQUAL(tmv::sha256_hex(all), text_of(one, "sha256"));
    } else if (one.find("response") != nullptr) {
      CHECK_EQUAL(tmv::text::hex(encode_text(ToPlayer::Response, text_of(one, "response"))), text_of(one, "hex"));
    } else {
      Input input;
      std::string error;
      decode_input(unhex(text_of(one, "input")), input, error);
      CHECK_EQUAL(error, text_of(one, "error"));
      if (!error.empty()) continue;
      CHECK_EQUAL(input.name, text_of(one, "name"));
      CHECK_EQUAL(input.text, text_of(one, "text"));
      CHECK_EQUAL(tmv::text::hex(input.payload), text_of(one, "payload"));
    }
  }
}

TEST(settle_vectors) {
  const Value held = vectors("settle");
  for (const Value& one : cases(held).items()) {
    tmv::SettleBudget budget;
    const Value& given = *one.find("budget");
    std::int64_t number = 0;
    if (given.find("quiet_frames")->as_int64(number)) budget.quiet_frames = static_cast<std::uint32_t>(number);
    if (given.find("max_frames")->as_int64(number)) budget.max_frames = static_cast<std::uint32_t>(number);
    budget.max_ms = given.find("max_ms")->as_double();
    tmv::Settle settle;
    settle.begin(budget, one.find("changed")->as_bool());
    for (const Value& frame : one.find("frames")->items()) {
      std::uint32_t loading[4] = {0, 0, 0, 0};
      for (std::size_t i = 0; i < 4; ++i) {
        if (frame.items()[i + 1].as_int64(number)) loading[i] = static_cast<std::uint32_t>(number);
      }
      settle.frame({loading[0], loading[1], loading[2], loading[3]}, frame.items()[0].as_double());
    }
    const char* const names[] = {"waiting", "settled", "over"};
    CHECK_EQUAL(names[static_cast<int>(settle.state())], text_of(one, "state"));
    if (settle.state() == tmv::Settle::State::Settled) CHECK_EQUAL(encoded(settle.report()), encoded(*one.find("report")));
    if (settle.state() == tmv::Settle::State::Over) CHECK_EQUAL(settle.reason(), text_of(one, "reason"));
  }
}

TEST(change_vectors) {
  const Value held = vectors("changes");
  for (const Value& one : cases(held).items()) {
    const auto& table = tmv::FactorTable::published();
    tmv::Scene now, next;
    std::string error;
    const Value* known = one.find("now");
    CHECK(tmv::Scene::read(*one.find("next"), table, next, error));
    const bool given = known->is(Value::Kind::Object);
    if (given) CHECK(tmv::Scene::read(*known, table, now, error));
    std::string names;
    for (const tmv::Change& change : tmv::changes(given ? &now : nullptr, next)) {
      names += (names.empty() ? "" : " ") + change.factor;
      CHECK(change.value == next.get(*table.find(change.factor)));
    }
    CHECK_EQUAL(names, text_of(one, "changes"));
  }
}
