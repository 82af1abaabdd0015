// A small test harness: TEST registers, CHECK and CHECK_EQUAL report and go on.
#pragma once

#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace check {

struct Test {
  const char* name;
  void (*run)();
};
std::vector<Test>& tests();
void failed(const char* file, int line, const std::string& what);
// Where the message vectors are.
const std::string& vectors();

struct Register {
  Register(const char* name, void (*run)()) { tests().push_back({name, run}); }
};

inline std::string shown(const std::string& text) { return text; }
inline std::string shown(std::string_view text) { return std::string(text); }
inline std::string shown(const char* text) { return text; }
inline std::string shown(bool value) { return value ? "true" : "false"; }
template <class T>
std::string shown(const T& value) {
  return std::to_string(value);
}

template <class A, class B>
bool equal(const A& a, const B& b, const char* file, int line, const char* text) {
  if (a == b) return true;
  failed(file, line, std::string(text) + "\n    is       " + shown(a) + "\n    expected " + shown(b));
  return false;
}

}  // namespace check

#define TEST(name)                                            \
  static void name();                                         \
  static const check::Register register_##name(#name, &name); \
  static void name()
#define CHECK(what)                                          \
  do {                                                       \
    if (!(what)) check::failed(__FILE__, __LINE__, #what);   \
  } while (false)
#define CHECK_EQUAL(a, b) check::equal((a), (b), __FILE__, __LINE__, #a)
