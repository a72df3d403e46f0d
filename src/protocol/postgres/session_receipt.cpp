// `SHOW sallyport.receipt`: of the session's last statement, from the gateway itself. The target does not hear of it, so everything
// under way is answered first, and its transaction's state stays as it was.
#include "protocol/postgres/session.h"

namespace sallyport::protocol::postgres {

using boost::asio::awaitable;

namespace {

constexpr std::string_view kName = "sallyport.receipt";
constexpr std::uint32_t kText = 25;  // its type: the same bytes in both formats

void put_receipt_description(std::string& out, const std::vector<std::int16_t>& formats) {
  put_row_description(out, {{std::string(kName), 0, 0, kText, 0}}, formats);
}

}  // namespace

bool asks_for_receipt(std::string_view text) {
  constexpr std::string_view kDue = "show sallyport.receipt";
  constexpr std::string_view kBlank = " \t\n\r";
  text = text.substr(0, text.find('\0'));
  const auto first = text.find_first_not_of(kBlank);
  // Most statements are told apart by their second letter.
  if (first == std::string_view::npos || text.size() > 200 || text.size() - first < kDue.size() || (text[first + 1] | 0x20) != 'h') return false;
  std::string plain;
  for (const char c : text) {
    const bool blank = kBlank.contains(c);
    if (blank && (plain.empty() || plain.back() == ' ')) continue;
    plain += blank ? ' ' : c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  }
  while (plain.ends_with(' ')) plain.pop_back();
  if (plain.ends_with(';')) plain.pop_back();
  while (plain.ends_with(' ')) plain.pop_back();
  return plain == kDue;
}

bool ReceiptNames::concerns(char type, std::string_view body) {
  if (failed && type != 'S' && type != 'X') return true;
  switch (type) {
    case 'Q':
      statements.erase("");  // as the unnamed one of the target
      portals.erase("");
      return asks_for_receipt(body);
    case 'P': {
      const auto parsed = read_parse(body);
      if (!parsed) return false;
      if (asks_for_receipt(parsed->text)) return true;
      if (const auto at = statements.find(parsed->name); at != statements.end()) statements.erase(at);
      return false;
    }
    case 'B': {
      if (statements.empty() && portals.empty()) return false;
      const auto bound = read_bind(body);
      if (!bound) return false;
      if (statements.contains(bound->statement)) return true;
      if (const auto at = portals.find(bound->portal); at != portals.end()) portals.erase(at);
      return false;
    }
    case 'E': {
      const auto executed = read_execute(body);
      return executed && portals.contains(executed->portal);
    }
    case 'D':
    case 'C': {
      const auto named = read_named(body);
      return named && (named->kind == 'S' ? statements.contains(named->name) : portals.contains(named->name));
    }
    case 'S':
      failed = false;
      portals.clear();
      return false;
    default: return false;
  }
}

/// A message that is about a receipt, or dropped behind one that failed.
awaitable<bool> Session::receipt_message(char type, std::string body) {
  if (receipts_.failed) co_return true;
  flush_parse();
  if (!expected_.empty() || !outgoing_.empty()) ask_for_answers();
  if (!co_await wait_for([&] { return expected_.empty() && outgoing_.empty() && out_.waiting() == 0; })) co_return false;
  if (skipping_) co_return true;  // the server has refused something before it, and skips it as it does all the rest
  const auto refuse = [&](std::string& out, const char* code, std::string what) {
    put_notice(out, 'E', {"ERROR", code, std::move(what), "", ""});
    receipts_.failed = true;
  };
  std::string out;
  if (status_ == 'E' && type != 'C') {
    refuse(out, "25P02", "current transaction is aborted, commands ignored until end of transaction block");
  } else {
    switch (type) {
      case 'Q': put_receipt_description(out, {}); [[fallthrough]];
      case 'E':
        if (!co_await show_receipt(out)) co_return false;
        break;
      case 'P': {
        const std::string name(read_parse(body)->name);
        if (!name.empty() && prepared_.contains(name)) {
          refuse(out, "42P05", "prepared statement \"" + name + "\" already exists");
          break;
        }
        receipts_.statements.insert(name);
        put_message(out, '1', "");
        break;
      }
      case 'B': {
        const auto bound = read_bind(body);
        if (!bound->values.empty() || bound->result_formats.size() > 1) {
          refuse(out, "08P01", "SHOW sallyport.receipt has no parameters and one column");
          break;
        }
        receipts_.portals.insert_or_assign(std::string(bound->portal), bound->result_formats);
        put_message(out, '2', "");
        break;
      }
      case 'D': {
        const auto named = *read_named(body);
        if (named.kind == 'S') put_message(out, 't', std::string(2, '\0'));
        put_receipt_description(out, named.kind == 'S' ? std::vector<std::int16_t>{} : receipts_.portals.find(named.name)->second);
        break;
      }
      case 'C': {
        const auto named = *read_named(body);
        if (named.kind == 'S') receipts_.statements.erase(std::string(named.name));
        else receipts_.portals.erase(std::string(named.name));
        put_message(out, '3', "");
        break;
      }
      default: break;
    }
  }
  if (type == 'Q') {
    receipts_.failed = false;
    put_message(out, 'Z', std::string(1, status_));
  }
  out_.append(out);
  pump_client();
  co_return true;
}

/// The row and what ends it; an error in place of all that `out` has.
awaitable<bool> Session::show_receipt(std::string& out) {
  const auto receipt = co_await shared_.services.gate.receipts(record_->last_entries);
  if (ended_) co_return false;
  if (!receipt) {
    out.clear();
    put_notice(out, 'E', {"ERROR", "55000", "there is no receipt: " + receipt.error().what, "", "Run a statement first; it takes up to 100 ms until it is under a signed head."});
    receipts_.failed = true;
    co_return true;
  }
  std::string row;
  put_u16(row, 1);
  put_u32(row, static_cast<std::uint32_t>(receipt->size()));
  put_message(out, 'D', row + *receipt);
  put_message(out, 'C', std::string("SHOW") + '\0');
  co_return true;
}

}  // namespace sallyport::protocol::postgres
