#pragma once
// Detectors (docs/masking.md): what in a text is an e-mail address, a card number and so on. A prescan finds the few
// places worth a look, a checked recogniser per class judges there; nothing runs over every byte but the prescan.
// On the data path inside enforce/mask. Pure, any thread; the text is hostile, every recogniser looks at a bounded
// stretch around its candidate.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::enforce {

enum class Detector : std::uint8_t { Email, Pan, Iban, Ssn, Phone, Ip, Jwt, AwsKey, PrivateKey };
inline constexpr std::size_t kDetectors = 9;

/// The name in policies: email, pan, iban, ssn, phone, ip, jwt, aws_key, private_key.
std::string_view detector_name(Detector detector);
std::optional<Detector> detector_of(std::string_view name);

class DetectorSet {
 public:
  constexpr DetectorSet() = default;
  static constexpr DetectorSet all() { return DetectorSet((1u << kDetectors) - 1); }
  constexpr void add(Detector d) { bits_ |= 1u << static_cast<unsigned>(d); }
  constexpr bool has(Detector d) const { return bits_ >> static_cast<unsigned>(d) & 1; }
  constexpr bool empty() const { return bits_ == 0; }

 private:
  constexpr explicit DetectorSet(unsigned bits) : bits_(bits) {}
  unsigned bits_ = 0;
};

/// A stretch of the text that must not pass.
struct Hit {
  std::size_t begin = 0, end = 0;
  Detector what = Detector::Email;
  bool whole = true;   // false: hits overlapped without one covering the other; nothing of them may be kept
  std::string clean;   // without zero-width characters, full-width forms as ASCII
};

/// Puts into `hits` what is found, in text order, never overlapping; the longest names an overlap. `key` is the JSON
/// key of the text, where it has one: an AWS secret is known by its name only.
void find_hits(std::string_view text, DetectorSet wanted, std::vector<Hit>& hits, std::string_view key = {});

}  // namespace sallyport::enforce
