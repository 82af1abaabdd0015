#include "text.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace tmv::text {
namespace {

// Code points from `first` to `last`.
struct Span {
  std::uint32_t first, last;
};
// Code points from `first` to `last`, each `step`-th of which becomes another, `shift` from it.
struct Shift {
  std::uint32_t first, last, step;
  std::int32_t shift;
};
// A code point that becomes several (zeros at the end are none).
struct Several {
  std::uint32_t code, to[3];
};

#include "unicode.inc"

template <class T, std::size_t N>
const T* span_of(const T (&table)[N], char32_t code) {
  const auto* found = std::upper_bound(std::begin(table), std::end(table), static_cast<std::uint32_t>(code),
                                       [](std::uint32_t one, const T& other) { return one < other.first; });
  if (found == std::begin(table)) return nullptr;
  --found;
  return code <= found->last ? found : nullptr;
}

template <std::size_t N, std::size_t M>
std::string mapped(std::string_view text, const Shift (&shifts)[N], const Several (&several)[M]) {
  std::string out;
  out.reserve(text.size());
  char32_t code = 0;
  for (std::size_t at = 0; next(text, at, code);) {
    if (code < 128) {
      out += static_cast<char>(code >= 'A' && code <= 'Z' ? code + 32 : code);
      continue;
    }
    const auto* many = std::find_if(std::begin(several), std::end(several),
                                    [code](const Several& one) { return one.code == code; });
    if (many != std::end(several)) {
      for (const std::uint32_t one : many->to) {
        if (one != 0) append(out, one);
      }
      continue;
    }
    const Shift* shift = span_of(shifts, code);
    if (shift != nullptr && (code - shift->first) % shift->step == 0) {
      code = static_cast<char32_t>(static_cast<std::int32_t>(code) + shift->shift);
    }
    append(out, code);
  }
  return out;
}

}  // namespace

bool next(std::string_view text, std::size_t& at, char32_t& out) {
  if (at >= text.size()) return false;
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(at);
  if (first < 0x80) {
    out = first;
    ++at;
    return true;
  }
  const std::size_t more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
  if (first < 0xC2 || first > 0xF4 || text.size() - at <= more) return false;
  char32_t code = first & (more == 3 ? 0x07u : more == 2 ? 0x0Fu : 0x1Fu);
  for (std::size_t i = 1; i <= more; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return false;
    code = code << 6 | (byte(at + i) & 0x3Fu);
  }
  if ((more == 2 && code < 0x800) || (more == 3 && (code < 0x10000 || code > 0x10FFFF))) return false;
  out = code;
  at += more + 1;
  return true;
}

bool valid(std::string_view text) {
  std::size_t at = 0;
  char32_t code = 0;
  while (next(text, at, code)) {
  }
  return at == text.size();
}

void append(std::string& text, char32_t code) {
  const auto put = [&](char32_t byte) { text += static_cast<char>(static_cast<std::uint8_t>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

std::u32string wide(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  char32_t code = 0;
  for (std::size_t at = 0; next(text, at, code);) out += code;
  return out;
}

std::string narrow(std::u32string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char32_t code : text) append(out, code);
  return out;
}

std::size_t length(std::string_view text) {
  std::size_t count = 0;
  for (const char one : text) count += (static_cast<std::uint8_t>(one) & 0xC0) != 0x80;
  return count;
}

std::string head(std::string_view text, std::size_t count) {
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    if ((static_cast<std::uint8_t>(text[at]) & 0xC0) != 0x80 && count-- == 0) break;
  }
  return std::string(text.substr(0, at));
}

std::string utf16(std::string_view text) {
  std::string out;
  out.reserve(text.size() * 2);
  const auto put = [&](char32_t unit) {
    out += static_cast<char>(static_cast<std::uint8_t>(unit & 0xFF));
    out += static_cast<char>(static_cast<std::uint8_t>(unit >> 8));
  };
  char32_t code = 0;
  for (std::size_t at = 0; next(text, at, code);) {
    if (code >= 0x10000) {
      put(0xD800 + ((code - 0x10000) >> 10));
      put(0xDC00 + ((code - 0x10000) & 0x3FF));
    } else {
      put(code);
    }
  }
  return out;
}

bool from_utf16(std::string_view bytes, std::string& out) {
  out.clear();
  if (bytes.size() % 2 != 0) return false;
  out.reserve(bytes.size());
  const auto unit = [&](std::size_t at) {
    return static_cast<char32_t>(static_cast<std::uint8_t>(bytes[at]) | static_cast<std::uint8_t>(bytes[at + 1]) << 8);
  };
  for (std::size_t at = 0; at < bytes.size(); at += 2) {
    char32_t code = unit(at);
    if (code >= 0xD800 && code < 0xDC00 && at + 2 < bytes.size()) {
      const char32_t low = unit(at + 2);
      if (low >= 0xDC00 && low < 0xE000) {
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        at += 2;
      }
    }
    append(out, code);
  }
  return true;
}

std::size_t utf16_units(std::string_view text) {
  std::size_t count = 0;
  for (const char one : text) {
    const auto byte = static_cast<std::uint8_t>(one);
    count += (byte & 0xC0) != 0x80;
    count += byte >= 0xF0;
  }
  return count;
}

std::string hex(std::string_view bytes) {
  static const char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char one : bytes) {
    const auto byte = static_cast<std::uint8_t>(one);
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  return out;
}

bool is_space(char32_t code) { return span_of(kSpace, code) != nullptr; }
bool is_printable(char32_t code) {
  return code < 127 ? code >= 32 : span_of(kPrintable, code) != nullptr;
}
bool is_word(char32_t code) { return code == '_' || span_of(kAlnum, code) != nullptr; }

int decimal(char32_t code) {
  if (code < 128) return code >= '0' && code <= '9' ? static_cast<int>(code - '0') : -1;
  const Span* found = span_of(kDecimal, code);
  return found == nullptr ? -1 : static_cast<int>((code - found->first) % 10);
}

std::string casefold(std::string_view text) { return mapped(text, kFold, kFoldSeveral); }
std::string lower(std::string_view text) { return mapped(text, kLower, kLowerSeveral); }

bool blank(std::string_view text) {
  char32_t code = 0;
  for (std::size_t at = 0; next(text, at, code);) {
    if (!is_space(code)) return false;
  }
  return true;
}

std::string repr(std::string_view text) {
  const bool single = text.find('\'') != std::string_view::npos;
  const char quote = single && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  const auto escaped = [&](char letter, char32_t code, int digits) {
    out += '\\';
    out += letter;
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out += "0123456789abcdef"[code >> shift & 15];
  };
  char32_t code = 0;
  for (std::size_t at = 0; next(text, at, code);) {
    if (code == static_cast<char32_t>(quote) || code == '\\') {
      out += '\\';
      out += static_cast<char>(code);
    } else if (code == '\t' || code == '\n' || code == '\r') {
      out += '\\';
      out += code == '\t' ? 't' : code == '\n' ? 'n' : 'r';
    } else if (is_printable(code)) {
      append(out, code);
    } else if (code < 0x100) {
      escaped('x', code, 2);
    } else if (code < 0x10000) {
      escaped('u', code, 4);
    } else {
      escaped('U', code, 8);
    }
  }
  return out + quote;
}

}  // namespace tmv::text
