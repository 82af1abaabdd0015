#include "number.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace tmv::number {
namespace {

// A natural number of any size.
class Big {
 public:
  Big() = default;
  explicit Big(std::uint64_t value) {
    for (; value != 0; value >>= 32) parts_.push_back(static_cast<std::uint32_t>(value));
  }
  static Big of_digits(std::string_view digits) {
    Big out;
    for (std::size_t at = 0; at < digits.size();) {
      std::uint32_t part = 0, scale = 1;
      for (int i = 0; i < 9 && at < digits.size(); ++i, ++at, scale *= 10) {
        part = part * 10 + static_cast<std::uint32_t>(digits[at] - '0');
      }
      out.multiply(scale, part);
    }
    return out;
  }

  bool zero() const { return parts_.empty(); }

  void multiply(std::uint32_t factor, std::uint32_t carry = 0) {
    std::uint64_t more = carry;
    for (auto& part : parts_) {
      more += static_cast<std::uint64_t>(part) * factor;
      part = static_cast<std::uint32_t>(more);
      more >>= 32;
    }
    if (more != 0) parts_.push_back(static_cast<std::uint32_t>(more));
    trim();
  }
  void times_power_of_ten(int exponent) {
    for (; exponent >= 9; exponent -= 9) multiply(1000000000u);
    std::uint32_t rest = 1;
    for (; exponent > 0; --exponent) rest *= 10;
    if (rest != 1) multiply(rest);
  }
  void shift(int bits) {
    if (zero()) return;
    const int small = bits % 32;
    if (small != 0) multiply(1u << small);
    parts_.insert(parts_.begin(), static_cast<std::size_t>(bits / 32), 0u);
  }
  std::uint32_t divide(std::uint32_t by) {  // leaves the quotient, returns the rest
    std::uint64_t rest = 0;
    for (std::size_t i = parts_.size(); i-- > 0;) {
      rest = rest << 32 | parts_[i];
      parts_[i] = static_cast<std::uint32_t>(rest / by);
      rest %= by;
    }
    trim();
    return static_cast<std::uint32_t>(rest);
  }
  void add(const Big& other) {
    parts_.resize(std::max(parts_.size(), other.parts_.size()), 0u);
    std::uint64_t carry = 0;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      carry += static_cast<std::uint64_t>(parts_[i]) + (i < other.parts_.size() ? other.parts_[i] : 0u);
      parts_[i] = static_cast<std::uint32_t>(carry);
      carry >>= 32;
    }
    if (carry != 0) parts_.push_back(static_cast<std::uint32_t>(carry));
  }
  void subtract(const Big& other) {  // which is not larger
    std::int64_t borrow = 0;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      std::int64_t part = static_cast<std::int64_t>(parts_[i]) + borrow;
      if (i < other.parts_.size()) part -= static_cast<std::int64_t>(other.parts_[i]);
      borrow = part < 0 ? -1 : 0;
      parts_[i] = static_cast<std::uint32_t>(part);
    }
    trim();
  }
  int compare(const Big& other) const {
    if (parts_.size() != other.parts_.size()) return parts_.size() < other.parts_.size() ? -1 : 1;
    for (std::size_t i = parts_.size(); i-- > 0;) {
      if (parts_[i] != other.parts_[i]) return parts_[i] < other.parts_[i] ? -1 : 1;
    }
    return 0;
  }
  std::string digits() const {
    if (zero()) return "0";
    Big rest = *this;
    std::string out;
    while (!rest.zero()) {
      std::uint32_t part = rest.divide(1000000000u);
      for (int i = 0; i < 9 && (part != 0 || !rest.zero()); ++i, part /= 10) {
        out += static_cast<char>('0' + part % 10);
      }
    }
    std::reverse(out.begin(), out.end());
    return out;
  }

 private:
  void trim() {
    while (!parts_.empty() && parts_.back() == 0) parts_.pop_back();
  }
  std::vector<std::uint32_t> parts_;  // least first
};

constexpr int kLeast = -1074;  // exponent of the smallest double
constexpr std::uint64_t kTop = 1ull << 52;

std::uint64_t bits_of(double value) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
double of_bits(std::uint64_t bits) {
  double value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// A finite double above or at zero as whole × 2^exponent.
struct Binary {
  std::uint64_t whole;
  int exponent;
  explicit Binary(double value) {
    const std::uint64_t bits = bits_of(value);
    const int field = static_cast<int>(bits >> 52 & 0x7FF);
    whole = (bits & (kTop - 1)) | (field == 0 ? 0 : kTop);
    exponent = field == 0 ? kLeast : field - 1075;
  }
};

// A decimal number without its sign: digits × 10^exponent; no zeros at either end of the digits.
struct Decimal {
  std::string digits;
  int exponent = 0;
};

constexpr int kFar = 100000;  // an exponent beyond every double, whatever the digits

Decimal decimal(std::string_view text) {
  Decimal out;
  std::size_t at = 0;
  long long shift = 0;
  bool point = false;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '.') {
      point = true;
    } else if (c >= '0' && c <= '9') {
      if (!(out.digits.empty() && c == '0')) out.digits += c;
      shift -= point;
    } else {
      break;
    }
  }
  long long exponent = 0;
  if (at < text.size()) {  // e
    ++at;
    const bool minus = at < text.size() && text[at] == '-';
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    for (; at < text.size(); ++at) exponent = std::min(exponent * 10 + (text[at] - '0'), 1000000000000LL);
    if (minus) exponent = -exponent;
  }
  exponent += shift;
  while (!out.digits.empty() && out.digits.back() == '0') {
    out.digits.pop_back();
    ++exponent;
  }
  constexpr std::size_t kEnough = 800;  // a double has at most 767; a further one says that there were more
  if (out.digits.size() > kEnough) {
    exponent += static_cast<long long>(out.digits.size() - kEnough - 1);
    out.digits.resize(kEnough);
    out.digits += '1';
  }
  out.exponent = static_cast<int>(std::max(-5LL * kFar, std::min(5LL * kFar, exponent)));
  return out;
}

// Compares digits × 10^tens with whole × 2^twos.
int compare_scaled(const Big& digits, int tens, std::uint64_t whole, int twos) {
  Big left = digits, right(whole);
  (tens >= 0 ? left : right).times_power_of_ten(std::abs(tens));
  (twos >= 0 ? right : left).shift(std::abs(twos));
  return left.compare(right);
}

double guess(const Decimal& of) {
  double value = 0;
  const std::size_t taken = std::min<std::size_t>(of.digits.size(), 17);
  for (std::size_t i = 0; i < taken; ++i) value = value * 10 + (of.digits[i] - '0');
  int tens = of.exponent + static_cast<int>(of.digits.size() - taken);
  for (; tens >= 22; tens -= 22) value *= 1e22;
  for (; tens <= -22; tens += 22) value /= 1e22;
  for (; tens > 0; --tens) value *= 10;
  for (; tens < 0; ++tens) value /= 10;
  return std::min(value, std::numeric_limits<double>::max());
}

double nearest(const Decimal& of) {
  if (of.digits.empty()) return 0;
  const int magnitude = static_cast<int>(of.digits.size()) + of.exponent;
  if (magnitude > 310) return std::numeric_limits<double>::infinity();
  if (magnitude < -330) return 0;
  if (of.digits.size() <= 15 && of.exponent >= -22 && of.exponent <= 22) {  // both are exact, and so is one rounding
    double whole = 0, scale = 1;
    for (const char c : of.digits) whole = whole * 10 + (c - '0');
    for (int i = std::abs(of.exponent); i > 0; --i) scale *= 10;
    return of.exponent < 0 ? whole / scale : whole * scale;
  }
  const Big digits = Big::of_digits(of.digits);
  std::uint64_t bits = bits_of(guess(of));
  while (std::isfinite(of_bits(bits))) {
    const Binary at(of_bits(bits));
    const int above = compare_scaled(digits, of.exponent, 2 * at.whole + 1, at.exponent - 1);
    if (above > 0 || (above == 0 && (at.whole & 1) != 0)) {
      ++bits;
      if (above == 0) break;
      continue;
    }
    if (bits == 0) break;
    const bool edge = at.whole == kTop && at.exponent > kLeast;  // the one below is nearer
    const int below = edge ? compare_scaled(digits, of.exponent, 4 * at.whole - 1, at.exponent - 2)
                           : compare_scaled(digits, of.exponent, 2 * at.whole - 1, at.exponent - 1);
    if (below < 0 || (below == 0 && (at.whole & 1) != 0)) {
      --bits;
      if (below == 0) break;
      continue;
    }
    break;
  }
  return of_bits(bits);
}

// Digits of a number as 0.digits × 10^point.
struct Digits {
  std::string text;
  int point = 0;
};

void round_up(Digits& out) {
  for (std::size_t i = out.text.size(); i-- > 0;) {
    if (out.text[i] != '9') {
      ++out.text[i];
      return;
    }
    out.text.pop_back();
  }
  out.text = "1";
  ++out.point;
}

// value / scale = rest / scale is below 10 × scale: takes out one digit.
int take_digit(Big& rest, const Big& scale) {
  int digit = 0;
  while (rest.compare(scale) >= 0) {
    rest.subtract(scale);
    ++digit;
  }
  return digit;
}

// Digits of a finite double above zero: the shortest that read back as it (Steele and White, with the intervals of
// Burger and Dybvig), or `count` of them, exactly rounded, halves to even.
Digits digits_of(double value, int count) {
  const Binary at(value);
  const bool edge = at.whole == kTop && at.exponent > kLeast;  // the gap below is half of that above
  const bool even = (at.whole & 1) == 0;
  Big rest(at.whole), scale(1), up(1), down(1);
  rest.shift(edge ? 2 : 1);
  scale.shift(edge ? 2 : 1);
  up.shift(edge ? 1 : 0);
  if (at.exponent >= 0) {
    rest.shift(at.exponent);
    up.shift(at.exponent);
    down.shift(at.exponent);
  } else {
    scale.shift(-at.exponent);
  }
  Digits out;
  out.point = static_cast<int>(std::floor(std::log10(value))) - 1;  // one too low rather than too high
  if (out.point >= 0) {
    scale.times_power_of_ten(out.point);
  } else {
    for (Big* one : {&rest, &up, &down}) one->times_power_of_ten(-out.point);
  }
  const auto too_large = [&] {
    Big high = rest;
    if (count == 0) high.add(up);
    const int found = high.compare(scale);
    return found > 0 || (found == 0 && (count != 0 || even));
  };
  for (; too_large(); ++out.point) scale.multiply(10);
  while (true) {
    rest.multiply(10);
    up.multiply(10);
    down.multiply(10);
    const int digit = take_digit(rest, scale);
    out.text += static_cast<char>('0' + digit);
    if (count != 0) {
      if (static_cast<int>(out.text.size()) < count) continue;
    } else {
      Big high = rest;
      high.add(up);
      const int low_end = rest.compare(down), high_end = high.compare(scale);
      const bool low = low_end < 0 || (low_end == 0 && even), above = high_end > 0 || (high_end == 0 && even);
      if (!low && !above) continue;
      if (low && !above) break;
      if (!low) {
        round_up(out);
        break;
      }
    }
    Big twice = rest;
    twice.multiply(2);
    const int half = twice.compare(scale);
    if (half > 0 || (half == 0 && digit % 2 != 0)) round_up(out);
    break;
  }
  while (out.text.size() > 1 && out.text.back() == '0') out.text.pop_back();
  return out;
}

std::string exponent_form(const Digits& of) {
  std::string out(1, of.text[0]);
  if (of.text.size() > 1) out += "." + of.text.substr(1);
  const int exponent = of.point - 1;
  const std::string size = std::to_string(std::abs(exponent));
  return out + (exponent < 0 ? "e-" : "e+") + (size.size() < 2 ? "0" : "") + size;
}

std::string fixed_form(const Digits& of) {
  if (of.point <= 0) return "0." + std::string(static_cast<std::size_t>(-of.point), '0') + of.text;
  const auto point = static_cast<std::size_t>(of.point);
  if (of.text.size() <= point) return of.text + std::string(point - of.text.size(), '0');
  return of.text.substr(0, point) + "." + of.text.substr(point);
}

// A finite number as a sign and whole × 2^exponent.
struct Exact {
  bool minus = false;
  Big whole;
  int exponent = 0;
  explicit Exact(const Value& value) {
    if (value.is(Value::Kind::Integer)) {
      std::string_view digits = value.text();
      minus = digits.front() == '-';
      if (minus) digits.remove_prefix(1);
      whole = Big::of_digits(digits);
    } else {
      const Binary at(std::fabs(value.as_double()));
      minus = value.as_double() < 0;
      whole = Big(at.whole);
      exponent = at.exponent;
    }
  }
};

}  // namespace

double parse(std::string_view text) {
  const bool minus = !text.empty() && text.front() == '-';
  if (!text.empty() && (minus || text.front() == '+')) text.remove_prefix(1);
  const double value = nearest(decimal(text));
  return minus ? -value : value;
}

std::string repr(double value) {
  if (std::isnan(value)) return "nan";
  const std::string sign = std::signbit(value) ? "-" : "";
  if (std::isinf(value)) return sign + "inf";
  if (value == 0) return sign + "0.0";
  const Digits digits = digits_of(std::fabs(value), 0);
  if (digits.point <= -4 || digits.point > 16) return sign + exponent_form(digits);
  const std::string text = fixed_form(digits);
  return sign + text + (text.find('.') == std::string::npos ? ".0" : "");
}

std::string general(double value, int precision) {
  if (std::isnan(value)) return "nan";
  const std::string sign = std::signbit(value) ? "-" : "";
  if (std::isinf(value)) return sign + "inf";
  if (value == 0) return sign + "0";
  const Digits digits = digits_of(std::fabs(value), precision);
  return sign + (digits.point <= -4 || digits.point > precision ? exponent_form(digits) : fixed_form(digits));
}

std::string integer(double value) {
  const Binary at(std::fabs(value));
  Big whole(at.exponent < 0 ? (at.exponent <= -64 ? 0 : at.whole >> -at.exponent) : at.whole);
  if (at.exponent > 0) whole.shift(at.exponent);
  const std::string digits = whole.digits();
  return value < 0 && digits != "0" ? "-" + digits : digits;
}

int compare(const Value& a, const Value& b) {
  Exact left(a), right(b);
  if (left.whole.zero() && right.whole.zero()) return 0;
  if (left.whole.zero()) return right.minus ? 1 : -1;
  if (right.whole.zero()) return left.minus ? -1 : 1;
  if (left.minus != right.minus) return left.minus ? -1 : 1;
  const int least = std::min(left.exponent, right.exponent);
  left.whole.shift(left.exponent - least);
  right.whole.shift(right.exponent - least);
  const int found = left.whole.compare(right.whole);
  return left.minus ? -found : found;
}

Value modulo(const Value& a, const Value& b) {
  std::int64_t by = 0;
  if (a.is(Value::Kind::Integer) && b.as_int64(by) && by > 0 && by <= 0xFFFFFFFFll) {
    Exact of(a);
    auto rest = static_cast<std::int64_t>(of.whole.divide(static_cast<std::uint32_t>(by)));
    if (of.minus && rest != 0) rest = by - rest;
    return Value::integer(rest);
  }
  const double divisor = b.as_double();
  double rest = std::fmod(a.as_double(), divisor);
  if (rest != 0) {
    if (rest < 0) rest += divisor;
  } else {
    rest = 0;  // minus zero is zero
  }
  return Value::number(rest);
}

}  // namespace tmv::number
