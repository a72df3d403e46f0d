#include "anchor/http_post.h"

#include <curl/curl.h>

#include <memory>

namespace sallyport::anchor {
namespace {

constexpr std::size_t kMost = 1u << 20;

std::size_t collect(char* data, std::size_t size, std::size_t count, void* into) {
  auto& out = *static_cast<std::string*>(into);
  if (out.size() + size * count > kMost) return 0;
  out.append(data, size * count);
  return size * count;
}

}  // namespace

void post_all(std::vector<Post>& posts, std::int64_t timeout_ns) {
  static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  const std::unique_ptr<CURLM, decltype(&curl_multi_cleanup)> multi(curl_multi_init(), curl_multi_cleanup);
  std::vector<CURL*> handles;
  std::vector<curl_slist*> headers;
  for (auto& post : posts) {
    auto* handle = handles.emplace_back(curl_easy_init());
    headers.push_back(curl_slist_append(nullptr, ("Content-Type: " + post.type).c_str()));
    curl_easy_setopt(handle, CURLOPT_URL, post.url.c_str());
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_ns / 1'000'000));
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.back());
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(post.body.size()));
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, post.body.data());
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, &post.answer);
    curl_easy_setopt(handle, CURLOPT_PRIVATE, &post);
    curl_multi_add_handle(multi.get(), handle);
    post.failure = ready ? "no answer" : "libcurl does not start";
  }
  for (int running = 1; running > 0;) {
    if (curl_multi_perform(multi.get(), &running) != CURLM_OK) break;
    if (running > 0) curl_multi_poll(multi.get(), nullptr, 0, 1000, nullptr);
    int left = 0;
    while (const auto* message = curl_multi_info_read(multi.get(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      Post* post = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &post);
      if (message->data.result == CURLE_OK) {
        curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &post->status);
        post->failure.clear();
      } else {
        post->failure = curl_easy_strerror(message->data.result);
      }
    }
  }
  for (std::size_t i = 0; i < handles.size(); ++i) {
    curl_multi_remove_handle(multi.get(), handles[i]);
    curl_easy_cleanup(handles[i]);
    curl_slist_free_all(headers[i]);
  }
}

}  // namespace sallyport::anchor
