#pragma once
// RFC 3161 time stamps over heads (docs/formats/checkpoint.md, `timestamps`), for a verifier that was given the authority's certificate.
// With OpenSSL, so in the program only. One thread.
#include <optional>
#include <string>

#include "verify/bytes.h"

namespace sallyport::verify {

/// The time, in seconds since 1970, at which the authority saw `stamped`; nullopt with words in `why` when the answer is not one over it
/// that leads to a certificate of the PEM file.
std::optional<std::uint64_t> stamped_at(View stamped, View answer, const std::string& ca_file, std::string& why);

}  // namespace sallyport::verify
