// The prescan leaves out nothing that a recogniser would accept, and its two ways give one answer.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "enforce/detect.h"
#include "enforce/detect_recognise.h"
#include "enforce/detect_scan.h"

namespace sallyport::enforce {
namespace {

/// Noise of bytes that patterns are made of, with pieces of real ones in it.
class Texts {
 public:
  explicit Texts(unsigned seed) : random_(seed) {}
  std::string next(std::size_t length) {
    static const std::vector<std::string> kAlphabets = {"0123456789abcdef", "0123456789 -.", "01 -.aZ", "ey@J%40:\\Asecr-B", "AKIASIA0123", "\xEF\xBC\x91\xC2\xAD" "1 ", "DEGBFR0123456789 "};
    static const std::vector<std::string> kPieces = {"4111111111111111", "4111 1111 1111 1111", "3782-822463-10005", "4222222222222", "DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19", "219-09-9999", "219 09 9999",
                                                     "10.0.0.1", "192.168.100.200", "a@example.com", "a%40example.com", "eyJ", "AKIA", "ASIA", "SeCret", "-----BEGIN", "::1", "::", "fe80::1", "%40", "\\", "\xE2\x80\x8B"};
    const auto& alphabet = kAlphabets[random_() % kAlphabets.size()];
    std::string out;
    while (out.size() < length) {
      if (random_() % 24 == 0) out += kPieces[random_() % kPieces.size()];
      else out += alphabet[random_() % alphabet.size()];
    }
    out.resize(length);
    return out;
  }
  unsigned number() { return static_cast<unsigned>(random_()); }

 private:
  std::mt19937 random_;
};

TEST(Scan, BothWaysFindTheSameInEveryLengthAndPlace) {
  if (!scan::has_avx2()) GTEST_SKIP() << "this CPU has one way only";
  Texts texts(7);
  std::size_t found = 0;
  for (int round = 0; round < 4000; ++round) {
    const auto text = texts.next(texts.number() % 260);
    const unsigned kinds = round % 3 == 0 ? 0x1FFFu : texts.number() & 0x1FFFu;
    for (std::size_t from = 0; from <= text.size(); ++from) {
      const auto one = scan::next_scalar(text, from, kinds), other = scan::next_avx2(text, from, kinds);
      ASSERT_TRUE(one == other) << text << "\nfrom " << from << " kinds " << kinds << ": " << one.at << '/' << one.kind << " and " << other.at << '/' << other.kind;
      if (one.kind == scan::kNone) break;
      ++found;
      from = one.at;
    }
  }
  EXPECT_GT(found, 50'000u);
}

TEST(Scan, WhatARecogniserAcceptsAtARunOfDigitsIsFound) {
  DetectorSet wanted;
  for (const auto d : {Detector::Pan, Detector::Iban, Detector::Ssn, Detector::Ip}) wanted.add(d);
  Texts texts(11);
  std::vector<Hit> hits;
  std::size_t accepted = 0;
  for (int round = 0; round < 60'000; ++round) {
    const auto text = texts.next(texts.number() % 300);
    if (text.find_first_of("\\\xC2\xE2\xEF") != std::string::npos) continue;  // would be folded first
    find_hits(text, wanted, hits);
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (!recognise::is_digit(text[i]) || (i > 0 && recognise::is_digit(text[i - 1]))) continue;
      for (const auto span : {recognise::pan(text, i), recognise::iban(text, i), recognise::ssn(text, i), recognise::ipv4(text, i)}) {
        if (!span) continue;
        ++accepted;
        ASSERT_TRUE(std::ranges::any_of(hits, [&](const Hit& hit) { return hit.begin <= span.begin && hit.end >= span.end; })) << text << " at " << span.begin;
      }
    }
  }
  EXPECT_GT(accepted, 5'000u);
}

}  // namespace
}  // namespace sallyport::enforce
