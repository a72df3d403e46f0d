#pragma once
// Posts to several servers at once and waits for all, with libcurl, on the calling thread: for witnesses and time-stamping
// authorities. Redirects are not followed; answers over 1 MiB are cut off as failures.
#include <cstdint>
#include <string>
#include <vector>

namespace sallyport::anchor {

struct Post {
  std::string url, type, body;
  // Filled in:
  long status = 0;          // 0: no answer, `failure` says why
  std::string answer, failure;
};
void post_all(std::vector<Post>& posts, std::int64_t timeout_ns);

}  // namespace sallyport::anchor
