#include "target/sigv4.h"

#include <fmt/chrono.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <chrono>

namespace sallyport::target {

namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

Digest hmac(ByteView key, std::string_view text) {
  Digest out;
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data(), &size);
  return out;
}

std::string hash_of(std::string_view text) { return hex(sha256(as_bytes(text))); }

bool is_unreserved(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~'; }

std::string encoded(std::string_view text, bool keep_slash) {
  std::string out;
  for (const char c : text) {
    if (is_unreserved(c) || (keep_slash && c == '/')) out += c;
    else out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = text[i] == '%' && i + 2 < text.size() ? from_hex(text.substr(i + 1, 2)) : Result<Bytes>(Bytes());
    if (byte && byte->size() == 1) out += static_cast<char>((*byte)[0]), i += 2;
    else out += text[i];
  }
  return out;
}

/// RFC 3986 §5.2.4, and no empty segments: what services but S3 sign.
std::string normal_path(std::string_view path) {
  std::vector<std::string_view> kept;
  bool slash_at_end = path.ends_with('/');
  while (!path.empty()) {
    const auto end = std::min(path.find('/'), path.size());
    const auto one = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    if (one == "..") {
      if (!kept.empty()) kept.pop_back();
      slash_at_end = slash_at_end || path.empty();
    } else if (one == ".") {
      slash_at_end = slash_at_end || path.empty();
    } else if (!one.empty()) {
      kept.push_back(one);
    }
  }
  std::string out;
  for (const auto one : kept) out += "/" + std::string(one);
  return out.empty() || slash_at_end ? out + "/" : out;
}

std::string canonical_query(std::string_view query) {
  Pairs pairs;
  while (!query.empty()) {
    const auto one = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(one.size() + 1, query.size()));
    if (one.empty()) continue;
    const auto equals = one.find('=');
    pairs.emplace_back(encoded(decoded(one.substr(0, equals)), false), equals == one.npos ? "" : encoded(decoded(one.substr(equals + 1)), false));
  }
  std::ranges::sort(pairs);
  std::string out;
  for (const auto& [name, value] : pairs) out += (out.empty() ? "" : "&") + name + "=" + value;
  return out;
}

/// Spaces at the ends go, several become one.
std::string trimmed(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == ' ' && (out.empty() || out.back() == ' ')) continue;
    out += c;
  }
  while (out.ends_with(' ')) out.pop_back();
  return out;
}

std::string time_text(std::int64_t wall_ns) {
  return fmt::format("{:%Y%m%dT%H%M%SZ}", fmt::gmtime(static_cast<std::time_t>(wall_ns / 1'000'000'000)));
}

std::string names_of(const Pairs& headers) {
  std::string out;
  for (const auto& [name, value] : headers) out += (out.empty() ? "" : ";") + name;
  return out;
}

std::string scope_of(const SigningInput& input) { return fmt::format("{}/{}/{}/aws4_request", time_text(input.wall_ns).substr(0, 8), input.region, input.service); }

}  // namespace

std::string canonical_request(const SigningInput& input, const Pairs& headers) {
  const std::string_view target = input.target;
  const auto mark = std::min(target.find('?'), target.size());
  const auto path = target.substr(0, mark), query = mark < target.size() ? target.substr(mark + 1) : std::string_view();
  std::string out = input.method + "\n";
  out += (input.service == "s3" ? std::string(path) : encoded(normal_path(path), true)) + "\n" + canonical_query(query) + "\n";
  for (const auto& [name, value] : headers) out += name + ":" + trimmed(value) + "\n";
  return out + "\n" + names_of(headers) + "\n" + hash_of(input.body);
}

std::string string_to_sign(const SigningInput& input, std::string_view canonical) {
  return "AWS4-HMAC-SHA256\n" + time_text(input.wall_ns) + "\n" + scope_of(input) + "\n" + hash_of(canonical);
}

Pairs sign_v4(const AwsKeys& keys, const SigningInput& input) {
  Pairs out = {{"X-Amz-Date", time_text(input.wall_ns)}};
  auto headers = input.headers;
  headers.emplace_back("host", input.host);
  headers.emplace_back("x-amz-date", out[0].second);
  if (input.body_hash_header) {
    out.emplace_back("X-Amz-Content-Sha256", hash_of(input.body));
    headers.emplace_back("x-amz-content-sha256", out.back().second);
  }
  if (!keys.session_token.empty()) {
    out.emplace_back("X-Amz-Security-Token", keys.session_token);
    headers.emplace_back("x-amz-security-token", keys.session_token);
  }
  std::ranges::sort(headers);
  const auto text = string_to_sign(input, canonical_request(input, headers));
  const auto day = hmac(as_bytes("AWS4" + keys.secret_key), time_text(input.wall_ns).substr(0, 8));
  const auto signing = hmac(hmac(hmac(day, input.region), input.service), "aws4_request");
  out.emplace_back("Authorization", fmt::format("AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}", keys.access_key, scope_of(input), names_of(headers), hex(hmac(signing, text))));
  return out;
}

}  // namespace sallyport::target
