#pragma once
// One attempt to deliver a notice; blocks. Redirects are not followed, TLS is verified. Errors: Unavailable (try again), Denied (the
// receiver will not take it: 4xx but 408 and 429).
#include "notify/outbox.h"

namespace sallyport::notify {

Result<void> send_webhook(const Channel& channel, const std::string& id, const std::string& body, std::int64_t wall_ns);
Result<void> send_mail(const Channel& channel, const std::string& message);

}  // namespace sallyport::notify
