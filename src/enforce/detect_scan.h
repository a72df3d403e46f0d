#pragma once
// The prescan: where in a text a detector could begin to look. AVX2 where the CPU has it, the same answer byte by byte
// where not. Pure, any thread, never allocates.
#include <cstddef>
#include <string_view>

namespace sallyport::enforce::scan {

enum Kind : unsigned {
  kNone = 0,
  kAt = 1,        // '@' or "%40"
  kDigit = 2,     // the first digit of a run, of the kinds below
  kColon = 4,     // ':' before ':' or a hexadecimal digit
  kJwt = 8,       // "eyJ": a base64 '{"'
  kAws = 16,      // "AKIA", "ASIA"
  kSecret = 32,   // "secr" in any case
  kPem = 64,      // "-----B"
  kDisguise = 128, // a backslash, or a character that detect_fold would read as another or as none
  // Which runs of digits are wanted: candidates of these say kDigit. What is no candidate its recogniser would refuse.
  kPan = 256,     // four digits, then nine digits or separators
  kIban = 512,    // two digits behind a word of two letters
  kSsn = 1024,    // 3-2-4 digits and two separators that begin a word
  kIpv4 = 2048,   // up to three digits, a point and a digit
  kAnyDigits = 4096
};

struct Candidate {
  std::size_t at = 0;
  Kind kind = kNone;  // kNone: there is no more
  friend bool operator==(const Candidate&, const Candidate&) = default;
};

/// The first candidate of the wanted kinds (a set of bits) at or after `from`.
Candidate next(std::string_view text, std::size_t from, unsigned kinds);

/// The two ways to the same answer, for tests and measurements.
Candidate next_scalar(std::string_view text, std::size_t from, unsigned kinds);
Candidate next_avx2(std::string_view text, std::size_t from, unsigned kinds);
bool has_avx2();

}  // namespace sallyport::enforce::scan
