#pragma once
// A log over HTTP (C2SP tlog-tiles, as a gateway serves it at /log): its signed head, and every entry below it. Fetched by the program
// `curl`, so that the verifier itself speaks no network; a bearer token goes to it on standard input, never on its command line. Payloads
// and chunks are not served, so what is recorded of them is not judged. One thread.
#include "verify/check.h"

namespace sallyport::verify {

struct LiveSettings {
  std::string url;         // https://gateway:9443/log
  std::string token;       // "" = none
  std::string ca_file;     // "" = the system's
  NoteKey key;
  std::vector<NoteKey> witnesses;
  std::size_t quorum = 0;
};

/// nullopt with words in `why` when the log cannot be fetched: no verdict.
std::optional<Report> check_live(const LiveSettings& settings, std::string& why);

}  // namespace sallyport::verify
