#pragma once
// Notices on their way: rows of the state database until each channel has taken its own, so that a restart loses none and none is sent twice
// but for a crash between sending and noting it (the receiver knows it by its id). Sent by one thread of its own with libcurl; retried for a
// day with growing pauses, then given up with an entry in the log. post() may be called on the store's thread and never blocks.
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/secret.h"
#include "evidence/log.h"
#include "notify/notice.h"
#include "state/store.h"

namespace sallyport::notify {

struct Channel {
  std::string name;
  std::vector<std::string> events;   // "requested", …
  std::vector<std::string> groups;   // only what these decide; empty = all
  // A webhook,
  std::string url, ca_file;
  Form form = Form::Generic;
  SecretRef secret;                  // signs it; none = unsigned (Slack and Teams have a secret in the URL)
  SecretRef url_secret;              // the URL itself, where it is one
  // or mail.
  std::string smtp_url, from;
  std::vector<std::string> to;
  std::string user;
  SecretRef password;
  bool tls = true;                   // off on loopback only

  bool is_mail() const { return !smtp_url.empty(); }
  bool wants(const Notice& notice) const;
};

class Outbox {
 public:
  /// `log` gets an entry for what was given up.
  Outbox(state::Store& store, evidence::Log& log, std::vector<Channel> channels, const Clock& clock = system_clock());
  ~Outbox();  // what waits stays in the database

  void post(Notice notice);
  /// After a reload. Any thread.
  void reconfigure(std::vector<Channel> channels);

  struct Counts {
    std::uint64_t sent = 0, failed = 0, given_up = 0;
  };
  Counts counts() const;

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace sallyport::notify
