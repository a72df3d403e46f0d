// Answers of a time-stamping authority, of any bytes, over one head. Only what it signed is a time.
#include <sys/mman.h>
#include <unistd.h>

#include "verify/timestamps.h"

namespace {
using namespace sallyport::verify;

/// An authority's certificate, to its end in 2126, in a file without a name.
const std::string& certificate() {
  static const std::string path = [] {
    constexpr std::string_view kText =
        "-----BEGIN CERTIFICATE-----\n"
        "MIIBjDCCATGgAwIBAgIUeONMzrZKRJ73eGssW7gZ6lTuyj8wCgYIKoZIzj0EAwIw\n"
        "DjEMMAoGA1UEAwwDdHNhMCAXDTI2MTEyMTE0MzUwM1oYDzIxMjYxMDI4MTQzNTAz\n"
        "WjAOMQwwCgYDVQQDDAN0c2EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATak8OR\n"
        "88hriinDjxmKX0Qu/djawA9lM+KkCq+eOwq41SV2QAG9omlxG1Dx+AINEKLc0ugL\n"
        "+QZlPDhMZNvObEYro2swaTAdBgNVHQ4EFgQUNqEUi7YmfSYvnqoIv9AP+3RG6xMw\n"
        "HwYDVR0jBBgwFoAUNqEUi7YmfSYvnqoIv9AP+3RG6xMwDwYDVR0TAQH/BAUwAwEB\n"
        "/zAWBgNVHSUBAf8EDDAKBggrBgEFBQcDCDAKBggqhkjOPQQDAgNJADBGAiEAiaYj\n"
        "ITbcwDzIFdZFGIo78G/rvVtfdpNCbOsV0LVHw+wCIQC0l6RKxufcK1aCjODXskTZ\n"
        "ix+nS7pjjWshzhKqjOH2RQ==\n"
        "-----END CERTIFICATE-----\n";
    const int fd = ::memfd_create("ca", 0);
    if (::write(fd, kText.data(), kText.size()) != static_cast<ssize_t>(kText.size())) __builtin_trap();
    return "/proc/self/fd/" + std::to_string(fd);
  }();
  return path;
}
constexpr std::string_view kNote = "log\n1\nLgsCdgOLuQDsmeqsvGhBYct0IjMiC8RHLEojR4hglhk=\n\n";
constexpr std::uint64_t kWhen = 1795271703;
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string why;
  const View note(reinterpret_cast<const std::uint8_t*>(kNote.data()), kNote.size());
  const auto at = stamped_at(note, View(data, size), certificate(), why);
  if (at ? *at != kWhen || !why.empty() : why.empty()) __builtin_trap();
  return 0;
}
