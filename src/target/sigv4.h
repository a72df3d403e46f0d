#pragma once
// AWS Signature Version 4 of one request, in the Authorization header (AWS "Signature Version 4 signing process"). Pure: time and keys are
// arguments. Paths are encoded twice, as every service but S3 wants it; S3's path is taken as it is.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace sallyport::target {

struct AwsKeys {
  std::string access_key, secret_key, session_token;  // session_token may be ""
};

struct SigningInput {
  std::string method, host, target;    // target: path and query as they are sent
  std::string service, region;
  std::vector<std::pair<std::string, std::string>> headers;  // further ones to sign, lower-case names
  std::string_view body;
  std::int64_t wall_ns = 0;
  bool body_hash_header = true;        // x-amz-content-sha256 is sent and signed
};

/// The headers to add: X-Amz-Date, X-Amz-Content-Sha256, X-Amz-Security-Token, Authorization.
std::vector<std::pair<std::string, std::string>> sign_v4(const AwsKeys& keys, const SigningInput& input);

/// The steps of it, for comparison with AWS's own examples.
std::string canonical_request(const SigningInput& input, const std::vector<std::pair<std::string, std::string>>& signed_headers);
std::string string_to_sign(const SigningInput& input, std::string_view canonical);

}  // namespace sallyport::target
