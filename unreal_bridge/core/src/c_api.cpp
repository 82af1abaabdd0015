#define TMV_BUILD
#include "tmv/c_api.h"

#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text.hpp"
#include "tmv/bridge.hpp"
#include "tmv/datachannel.hpp"
#include "tmv/sha256.hpp"

struct tmv_buffer {
  std::string bytes;
};
struct tmv_messages {
  std::vector<std::string> all;
};
struct tmv_bridge {
  std::unique_ptr<tmv::Bridge> bridge;
  std::string file;
  bool has_file = false;
};

namespace {

using tmv::Command;
using tmv::Value;

tmv_buffer* make(std::string bytes) { return new (std::nothrow) tmv_buffer{std::move(bytes)}; }

std::string_view view(const void* data, size_t size) {
  return data == nullptr ? std::string_view() : std::string_view(static_cast<const char*>(data), size);
}
std::string_view view(const char* text) { return text == nullptr ? std::string_view() : std::string_view(text); }

void say(tmv_buffer** error, std::string why) {
  if (error != nullptr) *error = make(std::move(why));
}

int outcome(bool good, std::string why, tmv_buffer** error) {
  if (!good) say(error, std::move(why));
  return good ? 1 : 0;
}

std::string encoded(const Value& value) {
  std::string out;
  tmv::json::canonical(value, out);
  return out;
}

Value size_of(const Command& command) {
  return Value::array({Value::integer(command.width), Value::integer(command.height)});
}

Value number_of(tmv::RequestNumber request) { return Value::integer_text(std::to_string(request)); }

Value describe(const Command& command) {
  Value out = Value::object();
  switch (command.kind) {
    case Command::Kind::Respond:
    case Command::Kind::Note:
      out.set("command", Value::string(command.kind == Command::Kind::Note ? "note" : "respond"));
      out.set("player", Value::string(command.player));
      out.set("text", Value::string(command.text));
      break;
    case Command::Kind::SendFile:
      out.set("command", Value::string("send_file"));
      out.set("player", Value::string(command.player));
      out.set("extension", Value::string(command.extension));
      out.set("mime", Value::string(command.mime));
      out.set("size", Value::integer(static_cast<std::int64_t>(command.bytes.size())));
      break;
    case Command::Kind::Apply: {
      Value changes = Value::array();
      for (const tmv::Change& change : command.changes) {
        Value one = Value::object();
        one.set("factor", Value::string(change.factor));
        one.set("value", change.value);
        changes.items().push_back(std::move(one));
      }
      out.set("command", Value::string("apply"));
      out.set("request", number_of(command.request));
      out.set("size", size_of(command));
      out.set("resize", Value::boolean(command.resize));
      out.set("changes", std::move(changes));
      out.set("levels", command.levels);
      break;
    }
    case Command::Kind::Capture: {
      Value passes = Value::array();
      for (const std::string& name : command.passes) passes.items().push_back(Value::string(name));
      out.set("command", Value::string("capture"));
      out.set("request", number_of(command.request));
      out.set("size", size_of(command));
      out.set("passes", std::move(passes));
      out.set("format", Value::string(command.format));
      out.set("raw", Value::boolean(command.raw));
      out.set("seed", Value::integer_text(command.seed));
      out.set("picture_seed", Value::integer(command.picture_seed));
      out.set("samples", Value::integer(command.samples));
      break;
    }
  }
  return out;
}

bool read_scene(std::string_view text, const char* factors, tmv::FactorTable& table, tmv::Scene& out,
                std::string& error) {
  table = tmv::FactorTable::published();
  Value value;
  if (factors != nullptr) {
    if (!tmv::json::parse(view(factors), value, error) || !table.extend(value, error)) return false;
  }
  return tmv::json::parse(text, value, error) && tmv::Scene::read(value, table, out, error);
}

Value describe(const tmv::messages::Request& request) {
  using tmv::messages::Ask;
  Value out = Value::object();
  out.set("do", Value::string(request.ask == Ask::Hello ? "hello" : request.ask == Ask::Render ? "render" : "catalogue"));
  out.set("id", Value::string(request.id));
  if (request.ask != Ask::Render) return out;
  Value passes = Value::array();
  for (const std::string& name : request.passes) passes.items().push_back(Value::string(name));
  out.set("scene", request.scene);
  out.set("size", Value::array({Value::integer(request.width), Value::integer(request.height)}));
  out.set("passes", std::move(passes));
  out.set("format", Value::string(request.format));
  out.set("raw", request.raw);
  out.set("quiet", request.quiet);
  out.set("seed", Value::integer_text(request.seed));
  out.set("samples", request.samples == 0 ? Value() : Value::integer(request.samples));
  return out;
}

}  // namespace

extern "C" {

int tmv_abi(void) { return TMV_ABI; }

const char* tmv_buffer_data(const tmv_buffer* buffer) { return buffer == nullptr ? nullptr : buffer->bytes.c_str(); }
size_t tmv_buffer_size(const tmv_buffer* buffer) { return buffer == nullptr ? 0 : buffer->bytes.size(); }
void tmv_buffer_free(tmv_buffer* buffer) { delete buffer; }

size_t tmv_messages_count(const tmv_messages* messages) { return messages == nullptr ? 0 : messages->all.size(); }
const char* tmv_messages_data(const tmv_messages* messages, size_t index) {
  return index < tmv_messages_count(messages) ? messages->all[index].data() : nullptr;
}
size_t tmv_messages_size(const tmv_messages* messages, size_t index) {
  return index < tmv_messages_count(messages) ? messages->all[index].size() : 0;
}
void tmv_messages_free(tmv_messages* messages) { delete messages; }

tmv_bridge* tmv_bridge_new(const char* config, size_t size, tmv_buffer** error) {
  std::string why;
  std::unique_ptr<tmv::Bridge> bridge = tmv::Bridge::create(view(config, size), why);
  if (bridge == nullptr) {
    say(error, why);
    return nullptr;
  }
  return new (std::nothrow) tmv_bridge{std::move(bridge), {}, false};
}

void tmv_bridge_free(tmv_bridge* bridge) { delete bridge; }

void tmv_bridge_receive(tmv_bridge* bridge, const char* player, const char* text, size_t size) {
  bridge->bridge->receive(view(player), view(text, size));
}
void tmv_bridge_left(tmv_bridge* bridge, const char* player) { bridge->bridge->left(view(player)); }
void tmv_bridge_backlog(tmv_bridge* bridge, const char* player, uint64_t bytes) {
  bridge->bridge->backlog(view(player), bytes);
}
void tmv_bridge_frame(tmv_bridge* bridge, const tmv_facts* facts, double now_ms) {
  bridge->bridge->frame({facts->levels, facts->textures, facts->shaders, facts->other}, now_ms);
}
void tmv_bridge_world_lost(tmv_bridge* bridge) { bridge->bridge->world_lost(); }

int tmv_bridge_applied(tmv_bridge* bridge, uint64_t request, const char* levels, size_t size, tmv_buffer** error) {
  std::string why;
  const bool good = bridge->bridge->applied(request, view(levels, size), why);
  return outcome(good, std::move(why), error);
}

int tmv_bridge_refused(tmv_bridge* bridge, uint64_t request, const char* reason, size_t size, int again,
                       tmv_buffer** error) {
  std::string why;
  const bool good = bridge->bridge->refused(request, view(reason, size), again != 0, why);
  return outcome(good, std::move(why), error);
}

int tmv_bridge_captured(tmv_bridge* bridge, uint64_t request, const char* pass, const void* bytes, size_t size,
                        const char* extension, tmv_buffer** error) {
  std::string why;
  const bool good =
      bridge->bridge->captured(request, view(pass), std::string(view(bytes, size)), view(extension), why);
  return outcome(good, std::move(why), error);
}

int tmv_bridge_captured_all(tmv_bridge* bridge, uint64_t request, const char* facts, size_t size,
                            tmv_buffer** error) {
  std::string why;
  const bool good = bridge->bridge->captured_all(request, view(facts, size), why);
  return outcome(good, std::move(why), error);
}

tmv_buffer* tmv_bridge_next(tmv_bridge* bridge) {
  Command command;
  if (!bridge->bridge->next(command)) return nullptr;
  const Value described = describe(command);
  if (command.kind == Command::Kind::SendFile) {
    bridge->file = std::move(command.bytes);
    bridge->has_file = true;
  }
  return make(encoded(described));
}

tmv_buffer* tmv_bridge_file(tmv_bridge* bridge) {
  if (!std::exchange(bridge->has_file, false)) return nullptr;
  return make(std::exchange(bridge->file, std::string()));
}

tmv_buffer* tmv_sha256(const void* data, size_t size) { return make(tmv::sha256_hex(view(data, size))); }

tmv_buffer* tmv_canonical_json(const char* text, size_t size, tmv_buffer** error) {
  Value value;
  std::string why, out;
  if (!tmv::json::parse(view(text, size), value, why)) {
    say(error, why);
    return nullptr;
  }
  if (!tmv::json::canonical(value, out)) {
    say(error, "a number that is not finite");
    return nullptr;
  }
  return make(std::move(out));
}

tmv_buffer* tmv_scene_canonical(const char* levels, size_t size, const char* factors, tmv_buffer** error) {
  tmv::FactorTable table;
  tmv::Scene scene;
  std::string why;
  if (!read_scene(view(levels, size), factors, table, scene, why)) {
    say(error, why);
    return nullptr;
  }
  return make(scene.canonical());
}

tmv_buffer* tmv_scene_id(const char* levels, size_t size, const char* factors, tmv_buffer** error) {
  tmv::FactorTable table;
  tmv::Scene scene;
  std::string why;
  if (!read_scene(view(levels, size), factors, table, scene, why)) {
    say(error, why);
    return nullptr;
  }
  return make(scene.id());
}

tmv_buffer* tmv_read_request(const char* text, size_t size) {
  using tmv::messages::Parsed;
  Value message, out = Value::object();
  std::string error;
  const Parsed parsed = tmv::messages::parse(view(text, size), message, error);
  const char* const names[] = {"message", "other", "wrong"};
  out.set("parsed", Value::string(names[static_cast<int>(parsed)]));
  tmv::messages::Request request;
  if (parsed == Parsed::Message && tmv::messages::read_request(message, request, error)) {
    out.set("request", describe(request));
  } else if (parsed != Parsed::Other) {
    out.set("error", Value::string(error));
  }
  std::string text_out;
  // A scene may hold NaN, which no canonical JSON has; it is refused as soon as it is read as a scene.
  if (!tmv::json::canonical(out, text_out)) {
    out.set("request", Value());
    text_out = encoded(out);
  }
  return make(std::move(text_out));
}

tmv_messages* tmv_encode_response(const char* text, size_t size) {
  using namespace tmv::datachannel;
  return new (std::nothrow) tmv_messages{{encode_text(ToPlayer::Response, view(text, size))}};
}

tmv_messages* tmv_encode_file(const char* extension, const char* mime, const void* data, size_t size) {
  return new (std::nothrow) tmv_messages{tmv::datachannel::encode_file(view(extension), view(mime), view(data, size))};
}

tmv_buffer* tmv_decode_input(const void* data, size_t size, tmv_buffer** error) {
  tmv::datachannel::Input input;
  std::string why;
  if (!tmv::datachannel::decode_input(view(data, size), input, why)) {
    say(error, why);
    return nullptr;
  }
  Value out = Value::object();
  out.set("name", Value::string(input.name));
  out.set("text", Value::string(input.text));
  out.set("payload", Value::string(tmv::text::hex(input.payload)));
  return make(encoded(out));
}

}  // extern "C"
