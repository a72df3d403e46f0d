#pragma once
// Where the keys of an AWS credential come from: the configuration, or the role of where the gateway runs (IMDSv2, the container's endpoint, or
// STS AssumeRoleWithWebIdentity). Kept until five minutes before their end; one fetch at a time. One a link, on its worker's thread. Errors:
// Unavailable.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <string>

#include "target/catalog.h"
#include "target/sigv4.h"

namespace sallyport::target {

struct RoleKeys {
  AwsKeys keys;
  std::int64_t expires_wall_ns = 0;
};

class AwsKeySource {
 public:
  AwsKeySource(boost::asio::io_context& context, AwsCredential from) : context_(context), from_(std::move(from)) {}

  boost::asio::awaitable<Result<AwsKeys>> keys();
  const AwsCredential& settings() const { return from_; }

 private:
  boost::asio::awaitable<Result<RoleKeys>> fetch();
  boost::asio::awaitable<Result<RoleKeys>> of_instance();
  boost::asio::awaitable<Result<RoleKeys>> of_container();
  boost::asio::awaitable<Result<RoleKeys>> of_web_identity();

  boost::asio::io_context& context_;
  AwsCredential from_;
  RoleKeys known_;
  std::int64_t until_wall_ns_ = 0, pause_until_mono_ns_ = 0;
  Error last_{ErrorKind::Unavailable, ""};
  bool fetching_ = false;
  std::vector<boost::asio::steady_timer*> waiting_;  // cancelled when the fetch that runs is over
};

/// The answer of IMDS and of the container's endpoint. Errors: Malformed.
Result<RoleKeys> read_role_keys(const std::string& body);
/// STS's answer in XML. Errors: Malformed.
Result<RoleKeys> read_sts_keys(std::string_view body);

}  // namespace sallyport::target
