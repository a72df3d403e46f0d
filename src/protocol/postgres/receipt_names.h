#pragma once
// Which of a session's statements and portals are `SHOW sallyport.receipt`: the target has never heard of them, so what names one
// of them is the gateway's to answer (session_receipt.cpp). Names are as in the protocol, "" for the unnamed. One worker's thread.
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::protocol::postgres {

struct ReceiptNames {
  std::set<std::string, std::less<>> statements;
  std::map<std::string, std::vector<std::int16_t>, std::less<>> portals;   // and the formats that were asked for; up to the next Sync
  /// The gateway has answered with an error of its own: what follows up to the next Sync is dropped, as a server does.
  bool failed = false;

  /// Whether the message is the gateway's to answer. Also takes note of names that are the target's from now on.
  bool concerns(char type, std::string_view body);
};

/// Case, white space and one semicolon do not count.
bool asks_for_receipt(std::string_view text);

}  // namespace sallyport::protocol::postgres
