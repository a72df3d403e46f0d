#pragma once
// That somebody reads evidence is evidence: an entry evidence.read, durable before anything is shown. Reading on within a minute (the same
// person, action and object) is part of the entry before, or the log would grow as fast as it is read. The admin worker's thread.
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <string>

#include "admin/route.h"
#include "evidence/log.h"

namespace sallyport::admin {

class ReadingRecord {
 public:
  explicit ReadingRecord(evidence::Port& port) : port_(port) {}
  /// `once`: one entry a minute whatever the object ("log": its tiles). Errors: Unavailable; nothing may be shown then.
  boost::asio::awaitable<Result<void>> note(const Call& call, std::string action, std::string object, bool once = false);

 private:
  struct Reading {
    std::int64_t since = 0;                               // mono; 0 = its entry is being written
    std::shared_ptr<boost::asio::steady_timer> waiting;   // cancelled when it is written, or is not
  };
  void forget_old(std::int64_t now);
  evidence::Port& port_;
  std::map<std::string, Reading> readings_;
};

}  // namespace sallyport::admin
