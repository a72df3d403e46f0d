#include "enforce/detect.h"

#include <algorithm>

#include "enforce/detect_fold.h"
#include "enforce/detect_recognise.h"
#include "enforce/detect_scan.h"

namespace sallyport::enforce {
namespace {

constexpr std::array<std::string_view, kDetectors> kNames = {"email", "pan", "iban",    "ssn",        "phone",
                                                             "ip",    "jwt", "aws_key", "private_key"};

unsigned kinds_for(DetectorSet wanted) {
  unsigned kinds = 0;
  if (wanted.has(Detector::Email)) kinds |= scan::kAt;
  if (wanted.has(Detector::Pan)) kinds |= scan::kPan;
  if (wanted.has(Detector::Iban)) kinds |= scan::kIban;
  if (wanted.has(Detector::Ssn)) kinds |= scan::kSsn;
  if (wanted.has(Detector::Phone)) kinds |= scan::kAnyDigits;
  if (wanted.has(Detector::Ip)) kinds |= scan::kIpv4 | scan::kColon;
  if (wanted.has(Detector::Jwt)) kinds |= scan::kJwt;
  if (wanted.has(Detector::AwsKey)) kinds |= scan::kAws | scan::kSecret;
  if (wanted.has(Detector::PrivateKey)) kinds |= scan::kPem;
  return kinds;
}

// One pass over one text.
class Finder {
 public:
  Finder(std::string_view text, DetectorSet wanted, std::vector<Hit>& hits) : text_(text), wanted_(wanted), hits_(hits) {}

  /// False when a disguised character was met: the text must be folded and read again.
  bool run(unsigned kinds) {
    for (std::size_t from = 0;; ++from) {
      const scan::Candidate candidate = scan::next(text_, from, kinds);
      from = candidate.at;
      switch (candidate.kind) {
        case scan::kNone: return true;
        case scan::kDisguise: return false;
        case scan::kAt: add(Detector::Email, recognise::email(text_, from)); break;
        case scan::kDigit: digits(from); break;
        case scan::kColon:
          if (from >= colons_judged_) add(Detector::Ip, recognise::ipv6(text_, from, colons_judged_));
          break;
        case scan::kJwt: token(from); break;
        case scan::kAws: key_id(from); break;
        case scan::kSecret: add(Detector::AwsKey, recognise::aws_secret_after_name(text_, from)); break;
        case scan::kPem:
          if (add(Detector::PrivateKey, recognise::private_key(text_, from))) from = hits_.back().end - 1;
          break;
        default: break;  // sets of kinds, not kinds
      }
    }
  }

 private:
  bool add(Detector what, recognise::Span span) {
    if (span) hits_.push_back({span.begin, span.end, what, true, {}});
    return static_cast<bool>(span);
  }

  void digits(std::size_t digit) {
    if (wanted_.has(Detector::Iban)) add(Detector::Iban, recognise::iban(text_, digit));
    if (wanted_.has(Detector::Pan)) add(Detector::Pan, recognise::pan(text_, digit));
    if (wanted_.has(Detector::Ssn)) add(Detector::Ssn, recognise::ssn(text_, digit));
    if (wanted_.has(Detector::Phone)) add(Detector::Phone, recognise::phone(text_, digit));
    if (wanted_.has(Detector::Ip)) add(Detector::Ip, recognise::ipv4(text_, digit));
  }

  // Decoding at every "eyJ" of one long run would be quadratic: the first few of a run are tried.
  void token(std::size_t start) {
    constexpr int kTries = 4;
    if (start >= run_end_) {
      run_end_ = start;
      while (run_end_ < text_.size() && recognise::is_base64url(text_[run_end_])) ++run_end_;
      tries_ = 0;
    }
    if (tries_++ < kTries) add(Detector::Jwt, recognise::jwt(text_, start, run_end_));
  }

  void key_id(std::size_t start) {
    const recognise::Span id = recognise::aws_key_id(text_, start);
    if (!add(Detector::AwsKey, id)) return;
    add(Detector::AwsKey, recognise::aws_secret_after_id(text_, id.end));
  }

  std::string_view text_;
  DetectorSet wanted_;
  std::vector<Hit>& hits_;
  std::size_t colons_judged_ = 0, run_end_ = 0;
  int tries_ = 0;
};

// Overlapping hits become one: the union of their places, named by the longest.
void settle(std::vector<Hit>& hits) {
  if (hits.size() < 2) return;
  std::sort(hits.begin(), hits.end(), [](const Hit& a, const Hit& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end != b.end ? a.end > b.end : a.what < b.what;
  });
  std::size_t kept = 0, longest = hits[0].end - hits[0].begin;
  for (std::size_t i = 1; i < hits.size(); ++i) {
    Hit& last = hits[kept];
    const std::size_t length = hits[i].end - hits[i].begin;
    if (hits[i].begin >= last.end) {
      hits[++kept] = hits[i];
      longest = length;
      continue;
    }
    if (length > longest) {
      longest = length;
      last.what = hits[i].what;
    }
    last.end = std::max(last.end, hits[i].end);
    last.whole = longest == last.end - last.begin;
  }
  hits.resize(kept + 1);
}

}  // namespace

std::string_view detector_name(Detector detector) { return kNames[static_cast<std::size_t>(detector)]; }

std::optional<Detector> detector_of(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<Detector>(found - kNames.begin());
}

void find_hits(std::string_view text, DetectorSet wanted, std::vector<Hit>& hits, std::string_view key) {
  hits.clear();
  const unsigned kinds = kinds_for(wanted);
  if (kinds == 0) return;
  const auto judge_by_name = [&](std::string_view value) {
    if (wanted.has(Detector::AwsKey) && !key.empty() && recognise::is_aws_secret(value) && recognise::names_aws_secret(key))
      hits.push_back({0, value.size(), Detector::AwsKey, true, {}});
  };
  if (Finder(text, wanted, hits).run(kinds | scan::kDisguise)) {
    judge_by_name(text);
    settle(hits);
    for (Hit& hit : hits) hit.clean = text.substr(hit.begin, hit.end - hit.begin);
    return;
  }
  hits.clear();
  const Folded folded = fold(text);
  Finder(folded.text, wanted, hits).run(kinds);
  judge_by_name(folded.text);
  settle(hits);
  for (Hit& hit : hits) {
    hit.clean = folded.text.substr(hit.begin, hit.end - hit.begin);
    hit.begin = folded.from[hit.begin];
    hit.end = folded.from[hit.end];
  }
}

}  // namespace sallyport::enforce
