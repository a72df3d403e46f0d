#include "identity/saml_redirect.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/bytes.h"

namespace sallyport::identity::saml {
namespace {

constexpr std::string_view kRsaSha256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
constexpr std::size_t kMaxReturned = 1024;  // of a RelayState that goes back into a URL

struct Algorithm {
  std::string_view name;
  const EVP_MD* (*digest)();
};
constexpr std::array<Algorithm, 3> kAlgorithms = {{{kRsaSha256, EVP_sha256},
                                                   {"http://www.w3.org/2001/04/xmldsig-more#rsa-sha384", EVP_sha384},
                                                   {"http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", EVP_sha512}}};

struct Free {
  void operator()(EVP_MD_CTX* p) const { EVP_MD_CTX_free(p); }
};
using Digesting = std::unique_ptr<EVP_MD_CTX, Free>;

std::string percent(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) out += c;
    else out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

SamlJudged<std::string> unpercent(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return refuse(Reason::Malformed, "a broken percent escape");
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

Result<std::string> deflated(std::string_view text) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK) return fail(ErrorKind::Internal, "deflate does not start");
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int code = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (code != Z_STREAM_END) return fail(ErrorKind::Internal, "deflate failed");
  return out;
}

/// At most kMaxMessage, whatever the stream promises.
SamlJudged<std::string> inflated(ByteView bytes) {
  z_stream stream{};
  if (inflateInit2(&stream, -15) != Z_OK) return refuse(Reason::Malformed, "inflate does not start");
  std::string out(kMaxMessage, '\0');
  stream.next_in = const_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int code = inflate(&stream, Z_FINISH);
  const bool whole = code == Z_STREAM_END && stream.avail_in == 0;
  out.resize(stream.total_out);
  inflateEnd(&stream);
  if (!whole) return refuse(Reason::Malformed, "no deflated message, or a large one");
  return out;
}

Result<Bytes> sign(EVP_PKEY* key, std::string_view text) {
  const Digesting context(EVP_MD_CTX_new());
  Bytes out(static_cast<std::size_t>(EVP_PKEY_get_size(key)));
  std::size_t size = out.size();
  const bool good = context && EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
                    EVP_DigestSign(context.get(), out.data(), &size, as_bytes(text).data(), text.size()) == 1;
  ERR_clear_error();
  if (!good) return fail(ErrorKind::Internal, "a request cannot be signed with the configured key");
  out.resize(size);
  return out;
}

bool verifies(const Key& key, const EVP_MD* digest, std::string_view text, ByteView signature) {
  if (EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA) return false;
  const Digesting context(EVP_MD_CTX_new());
  const bool good = context && EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key.get()) == 1 &&
                    EVP_DigestVerify(context.get(), signature.data(), signature.size(), as_bytes(text).data(), text.size()) == 1;
  ERR_clear_error();
  return good;
}

using Parameters = std::map<std::string_view, std::string_view>;

/// Raw values by name; a name twice is refused, for two readers could take two of them.
SamlJudged<Parameters> parameters(std::string_view query) {
  Parameters out;
  while (!query.empty()) {
    const auto end = std::min(query.find('&'), query.size());
    const auto pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const auto equals = pair.find('=');
    if (equals == pair.npos || !out.emplace(pair.substr(0, equals), pair.substr(equals + 1)).second) {
      return refuse(Reason::Malformed, "a query parameter without value, or twice");
    }
  }
  return out;
}

SamlJudged<void> check_signature(const Parameters& raw, std::string_view message, const std::vector<Key>& keys) {
  if (!raw.contains("SigAlg") || !raw.contains("Signature")) return refuse(Reason::NotSigned, "a redirected message without signature");
  const auto name = unpercent(raw.at("SigAlg"));
  if (!name) return std::unexpected(name.error());
  const auto* algorithm = std::ranges::find(kAlgorithms, *name, &Algorithm::name);
  if (algorithm == kAlgorithms.end()) return refuse(Reason::AlgorithmNotAllowed, "signature " + clean(*name));
  const auto text = unpercent(raw.at("Signature"));
  const auto signature = text ? from_form(*text) : text;
  if (!signature) return std::unexpected(signature.error());
  auto signed_text = fmt::format("{}={}", message, raw.at(message));
  if (raw.contains("RelayState")) signed_text += fmt::format("&RelayState={}", raw.at("RelayState"));
  signed_text += fmt::format("&SigAlg={}", raw.at("SigAlg"));
  for (const auto& key : keys)
    if (verifies(key, algorithm->digest(), signed_text, as_bytes(*signature))) return {};
  return refuse(Reason::BadSignature, "no configured key made this signature");
}

}  // namespace

Result<std::string> redirect_url(const std::string& location, std::string_view parameter, std::string_view xml,
                                 std::string_view relay_state, EVP_PKEY* signer) {
  TRY(const auto packed, deflated(xml));
  auto query = fmt::format("{}={}", parameter, percent(base64(as_bytes(packed))));
  if (!relay_state.empty()) query += "&RelayState=" + percent(relay_state);
  if (signer) {
    query += "&SigAlg=" + percent(kRsaSha256);
    TRY(const auto signature, sign(signer, query));
    query += "&Signature=" + percent(base64(signature));
  }
  return location + (location.contains('?') ? '&' : '?') + query;
}

SamlJudged<RedirectMessage> read_redirect(std::string_view query, const std::vector<Key>& keys) {
  if (query.size() > kMaxMessage) return refuse(Reason::ForbiddenMarkup, "larger than is accepted");
  const auto raw = parameters(query);
  if (!raw) return std::unexpected(raw.error());
  if (raw->contains("SAMLRequest") == raw->contains("SAMLResponse")) return refuse(Reason::Malformed, "not one of SAMLRequest and SAMLResponse");
  RedirectMessage out;
  out.response = raw->contains("SAMLResponse");
  const std::string_view name = out.response ? "SAMLResponse" : "SAMLRequest";
  if (raw->contains("SAMLEncoding")) return refuse(Reason::Malformed, "an encoding other than DEFLATE is not read");
  if (auto good = check_signature(*raw, name, keys); !good) return std::unexpected(good.error());
  const auto text = unpercent(raw->at(name));
  const auto packed = text ? from_form(*text) : text;
  if (!packed) return std::unexpected(packed.error());
  auto xml = inflated(as_bytes(*packed));
  if (!xml) return std::unexpected(xml.error());
  out.xml = std::move(*xml);
  if (raw->contains("RelayState")) {
    auto state = unpercent(raw->at("RelayState"));
    if (!state) return std::unexpected(state.error());
    if (state->size() > kMaxReturned) return refuse(Reason::Malformed, "a RelayState of over 1 KiB");
    out.relay_state = std::move(*state);
  }
  return out;
}

SamlJudged<std::string> from_form(std::string_view value) {
  if (value.size() > kMaxMessage * 3 / 2) return refuse(Reason::ForbiddenMarkup, "larger than is accepted");
  std::string text(value);
  std::erase_if(text, [](char c) { return c == '\r' || c == '\n'; });
  const auto bytes = from_base64(text);
  if (!bytes || bytes->empty()) return refuse(Reason::Malformed, "no base64");
  return std::string(as_text(*bytes));
}

}  // namespace sallyport::identity::saml
