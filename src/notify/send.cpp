#include "notify/send.h"

#include <curl/curl.h>

#include <cstring>

namespace sallyport::notify {

namespace {

constexpr long kTimeout = 15'000;

using Curl = std::unique_ptr<CURL, decltype(&curl_easy_cleanup)>;

std::size_t ignore(char*, std::size_t, std::size_t size, void* taken) {
  auto& total = *static_cast<std::size_t*>(taken);
  total += size;
  return total > (64u << 10) ? 0 : size;   // what it answers is of no interest, and bounded
}

struct Reading {
  std::string_view rest;
};
std::size_t read_message(char* into, std::size_t size, std::size_t count, void* from) {
  auto& reading = *static_cast<Reading*>(from);
  const auto take = std::min(size * count, reading.rest.size());
  std::memcpy(into, reading.rest.data(), take);
  reading.rest.remove_prefix(take);
  return take;
}

void common(CURL* c, const Channel& channel, std::size_t& taken, char* error) {
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, kTimeout);
  curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, kTimeout);
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, ignore);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, &taken);
  curl_easy_setopt(c, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!channel.ca_file.empty()) curl_easy_setopt(c, CURLOPT_CAINFO, channel.ca_file.c_str());
}

}  // namespace

Result<void> send_webhook(const Channel& channel, const std::string& id, const std::string& body, std::int64_t wall_ns) {
  auto url = channel.url;
  if (channel.url_secret.set()) {
    TRY(url, channel.url_secret.read());
  }
  const Curl curl(curl_easy_init(), curl_easy_cleanup);
  if (!curl) return fail(ErrorKind::Unavailable, "libcurl cannot start");
  auto* c = curl.get();
  std::size_t taken = 0;
  char error[CURL_ERROR_SIZE] = "";
  common(c, channel, taken, error);
  const auto seconds = wall_ns / 1'000'000'000;
  curl_slist* headers = curl_slist_append(nullptr, "Content-Type: application/json");
  headers = curl_slist_append(headers, ("webhook-id: " + id).c_str());
  headers = curl_slist_append(headers, fmt::format("webhook-timestamp: {}", seconds).c_str());
  if (channel.secret.set()) {
    auto secret = channel.secret.read();
    if (!secret) {
      curl_slist_free_all(headers);
      return std::unexpected(std::move(secret).error());
    }
    headers = curl_slist_append(headers, ("webhook-signature: " + webhook_signature(*secret, id, seconds, body)).c_str());
  }
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> kept(headers, curl_slist_free_all);
  curl_easy_setopt(c, CURLOPT_URL, url.c_str());
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, url.starts_with("http:") ? "http" : "https");
  curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(c, CURLOPT_USERAGENT, "sallyport");
  curl_easy_setopt(c, CURLOPT_POSTFIELDS, body.c_str());
  curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  const auto code = curl_easy_perform(c);
  // The URL may be a secret: it is not in the error.
  if (code != CURLE_OK) return fail(ErrorKind::Unavailable, curl_easy_strerror(code));
  long status = 0;
  curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
  if (status >= 200 && status < 300) return {};
  const bool final = status >= 400 && status < 500 && status != 408 && status != 429;
  return fail(final ? ErrorKind::Denied : ErrorKind::Unavailable, fmt::format("it answered {}", status));
}

Result<void> send_mail(const Channel& channel, const std::string& message) {
  const Curl curl(curl_easy_init(), curl_easy_cleanup);
  if (!curl) return fail(ErrorKind::Unavailable, "libcurl cannot start");
  auto* c = curl.get();
  std::size_t taken = 0;
  char error[CURL_ERROR_SIZE] = "";
  common(c, channel, taken, error);
  curl_slist* to = nullptr;
  for (const auto& one : channel.to) to = curl_slist_append(to, ("<" + one + ">").c_str());
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> kept(to, curl_slist_free_all);
  Reading reading{message};
  curl_easy_setopt(c, CURLOPT_URL, channel.smtp_url.c_str());
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, channel.smtp_url.starts_with("smtps:") ? "smtps" : "smtp");
  // TLS or nothing: a server that does not offer it gets no message.
  curl_easy_setopt(c, CURLOPT_USE_SSL, static_cast<long>(channel.tls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
  curl_easy_setopt(c, CURLOPT_MAIL_FROM, ("<" + channel.from + ">").c_str());
  curl_easy_setopt(c, CURLOPT_MAIL_RCPT, to);
  curl_easy_setopt(c, CURLOPT_READFUNCTION, read_message);
  curl_easy_setopt(c, CURLOPT_READDATA, &reading);
  curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
  if (!channel.user.empty()) {
    TRY(const auto password, channel.password.read());
    curl_easy_setopt(c, CURLOPT_USERNAME, channel.user.c_str());
    curl_easy_setopt(c, CURLOPT_PASSWORD, password.c_str());
  }
  const auto code = curl_easy_perform(c);
  if (code == CURLE_OK) return {};
  long status = 0;
  curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
  return fail(status >= 500 && status < 600 ? ErrorKind::Denied : ErrorKind::Unavailable, *error != '\0' ? error : curl_easy_strerror(code));
}

}  // namespace sallyport::notify
