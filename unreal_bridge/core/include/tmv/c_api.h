/* The bridge core through C: for programs in other languages, and the border that no C++ type and no exception crosses.
 *
 * Texts are UTF-8 with their length; a text that ends with a zero is a `const char*` alone (names of players, passes and
 * extensions). A function that can fail returns NULL or 0 and, where `error` is not NULL, a buffer in `*error` that says
 * why; the caller frees every buffer. A bridge is used from one thread at a time. See bridge.hpp for the events.
 */
#ifndef TMV_C_API_H
#define TMV_C_API_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#if defined(TMV_BUILD)
#define TMV_API __declspec(dllexport)
#else
#define TMV_API __declspec(dllimport)
#endif
#else
#define TMV_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define TMV_ABI 1

typedef struct tmv_bridge tmv_bridge;
typedef struct tmv_buffer tmv_buffer;     /* bytes, or a text */
typedef struct tmv_messages tmv_messages; /* several of them, in order */

/* How many things still load when a frame was drawn. */
typedef struct tmv_facts {
  uint32_t levels;
  uint32_t textures;
  uint32_t shaders;
  uint32_t other;
} tmv_facts;

TMV_API int tmv_abi(void);

TMV_API const char* tmv_buffer_data(const tmv_buffer* buffer); /* a zero follows, which is not counted */
TMV_API size_t tmv_buffer_size(const tmv_buffer* buffer);
TMV_API void tmv_buffer_free(tmv_buffer* buffer);

TMV_API size_t tmv_messages_count(const tmv_messages* messages);
TMV_API const char* tmv_messages_data(const tmv_messages* messages, size_t index);
TMV_API size_t tmv_messages_size(const tmv_messages* messages, size_t index);
TMV_API void tmv_messages_free(tmv_messages* messages);

/* Bridge. Config: JSON, {"catalogue": {…}, "factors": […], "settle": {"quiet_frames": 16, "max_frames": 1800,
 * "max_ms": 60000}, "queue": 1024}; all but the catalogue may be left out. */
TMV_API tmv_bridge* tmv_bridge_new(const char* config, size_t size, tmv_buffer** error);
TMV_API void tmv_bridge_free(tmv_bridge* bridge);

/* Events. */
TMV_API void tmv_bridge_receive(tmv_bridge* bridge, const char* player, const char* text, size_t size);
TMV_API void tmv_bridge_left(tmv_bridge* bridge, const char* player);
TMV_API void tmv_bridge_backlog(tmv_bridge* bridge, const char* player, uint64_t bytes);
TMV_API void tmv_bridge_frame(tmv_bridge* bridge, const tmv_facts* facts, double now_ms);
TMV_API void tmv_bridge_world_lost(tmv_bridge* bridge);
TMV_API int tmv_bridge_applied(tmv_bridge* bridge, uint64_t request, const char* levels, size_t size,
                               tmv_buffer** error);
TMV_API int tmv_bridge_refused(tmv_bridge* bridge, uint64_t request, const char* reason, size_t size, int again,
                               tmv_buffer** error);
TMV_API int tmv_bridge_captured(tmv_bridge* bridge, uint64_t request, const char* pass, const void* bytes, size_t size,
                                const char* extension, tmv_buffer** error);
TMV_API int tmv_bridge_captured_all(tmv_bridge* bridge, uint64_t request, const char* facts, size_t size,
                                    tmv_buffer** error);

/* Commands. The next one as JSON, or NULL where there is none:
 *   {"command":"respond","player":"1","text":"…"}
 *   {"command":"send_file","player":"1","extension":"r1.rgb.png","mime":"image/png","size":123}
 *   {"command":"apply","request":1,"size":[512,512],"resize":true,"changes":[{"factor":"World_Name","value":"Snow"}, …],
 *    "levels":{…every factor but labels…}}
 *   {"command":"capture","request":1,"size":[512,512],"passes":["rgb"],"format":"png","raw":false,"seed":0,
 *    "picture_seed":123,"samples":0}
 *   {"command":"note","player":"1","text":"…"}
 * The bytes of the file of the last "send_file" are taken with tmv_bridge_file (once; NULL where there is none). */
TMV_API tmv_buffer* tmv_bridge_next(tmv_bridge* bridge);
TMV_API tmv_buffer* tmv_bridge_file(tmv_bridge* bridge);

/* Pure helpers. `factors`: further factors, a JSON list as in the config, or NULL. */
TMV_API tmv_buffer* tmv_sha256(const void* data, size_t size); /* 64 hex digits */
TMV_API tmv_buffer* tmv_canonical_json(const char* text, size_t size, tmv_buffer** error);
TMV_API tmv_buffer* tmv_scene_canonical(const char* levels, size_t size, const char* factors, tmv_buffer** error);
TMV_API tmv_buffer* tmv_scene_id(const char* levels, size_t size, const char* factors, tmv_buffer** error);
/* The message of a text: {"parsed":"message"|"other"|"wrong","error":"…","request":{…}} */
TMV_API tmv_buffer* tmv_read_request(const char* text, size_t size);
/* Messages of the data channel. */
TMV_API tmv_messages* tmv_encode_response(const char* text, size_t size);
TMV_API tmv_messages* tmv_encode_file(const char* extension, const char* mime, const void* data, size_t size);
/* {"name":"UIInteraction","text":"…"} or {"name":"…","payload":"hex digits"} */
TMV_API tmv_buffer* tmv_decode_input(const void* data, size_t size, tmv_buffer** error);

#ifdef __cplusplus
}
#endif
#endif
