#pragma once
// Whether an address is one of the public internet's: what a URL that somebody else chose may lead to (server-side request forgery). Private,
// loopback, link-local, shared, documentation, multicast and tunnelled addresses are not (RFC 6890, RFC 8190). Pure, any thread.
#include <sys/socket.h>

namespace sallyport::net {

bool is_public(const sockaddr* address);

}  // namespace sallyport::net
