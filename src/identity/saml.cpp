#include "identity/saml.h"

#include <chrono>

namespace sallyport::identity::saml {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

/// `count` digits at `at`, moving it; -1 when they are not there.
int digits(std::string_view text, std::size_t& at, int count) {
  int value = 0;
  for (int i = 0; i < count; ++i, ++at) {
    if (at >= text.size() || text[at] < '0' || text[at] > '9') return -1;
    value = value * 10 + (text[at] - '0');
  }
  return value;
}

bool literal(std::string_view text, std::size_t& at, char c) { return at < text.size() && text[at++] == c; }

}  // namespace

std::string clean(std::string_view text) {
  std::string out(text.substr(0, 200));
  for (auto& c : out)
    if (c < 0x20 || c > 0x7e) c = '?';
  return out;
}

std::unexpected<SamlRefusal> refuse(Reason reason, std::string detail) { return std::unexpected(SamlRefusal{reason, std::move(detail)}); }

SamlJudged<std::int64_t> time_of(std::string_view text) {
  const auto bad = [&] { return refuse(Reason::BadTime, "no time in UTC: " + clean(text)); };
  std::size_t at = 0;
  const int year = digits(text, at, 4);
  if (year < 1970 || year > 2200 || !literal(text, at, '-')) return bad();
  const int month = digits(text, at, 2);
  if (!literal(text, at, '-')) return bad();
  const int day = digits(text, at, 2);
  if (month < 0 || day < 0 || !literal(text, at, 'T')) return bad();
  const int hour = digits(text, at, 2);
  if (hour < 0 || hour > 23 || !literal(text, at, ':')) return bad();
  const int minute = digits(text, at, 2);
  if (minute < 0 || minute > 59 || !literal(text, at, ':')) return bad();
  const int second = digits(text, at, 2);
  if (second < 0 || second > 59) return bad();
  std::int64_t fraction = 0;
  if (at < text.size() && text[at] == '.') {
    const auto begin = ++at;
    for (std::int64_t unit = kSecond / 10; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, unit /= 10) fraction += unit * (text[at] - '0');
    if (at == begin || at - begin > 18) return bad();
  }
  if (text.substr(at) != "Z") return bad();
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)), std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return bad();
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return (((days * 24 + hour) * 60 + minute) * 60 + second) * kSecond + fraction;
}

}  // namespace sallyport::identity::saml
