#pragma once
// Time-based one-time passwords of local users (RFC 6238: SHA-1, six digits, 30 s), one step early or late. A code works once: whoever
// calls remembers the step. Pure, any thread.
#include <cstdint>
#include <optional>
#include <string_view>

namespace sallyport::identity {

/// The step that `code` is of, when it is after `last_step`; nullopt when it is wrong, or the secret is no base32 of 16 bytes and more.
std::optional<std::int64_t> check_totp(std::string_view base32_secret, std::string_view code, std::int64_t last_step, std::int64_t wall_ns);

}  // namespace sallyport::identity
