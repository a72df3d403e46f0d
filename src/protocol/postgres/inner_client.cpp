#include "protocol/postgres/inner_client.h"

#include <algorithm>

namespace sallyport::protocol::postgres {

using boost::asio::awaitable;

namespace {

constexpr std::size_t kWords = 64u << 10;       // of an error, a notice, a tag
constexpr std::size_t kDescription = 1u << 20;  // 1,600 columns with long names
constexpr std::size_t kNotices = 100;
constexpr std::size_t kRead = 16u << 10;
constexpr std::int64_t kFarewell = 5'000'000'000;

/// What a row costs in memory beside its values.
constexpr std::size_t kPerValue = 8;

DatabaseAnswer::Refusal refusal_of(std::string_view body) {
  const auto fields = read_notice(body);
  if (!fields) return {"XX000", "an error that cannot be read", "", ""};
  return {std::string(field_of(*fields, 'C')), std::string(field_of(*fields, 'M')), std::string(field_of(*fields, 'D')), std::string(field_of(*fields, 'H'))};
}

}  // namespace

awaitable<Result<void>> InnerClient::more(std::size_t bytes) {
  while (in_.size() < bytes) {
    char piece[kRead];
    CO_TRY(const auto n, co_await stream_.read_some(piece, deadline()));
    if (n == 0) co_return fail(ErrorKind::Disconnected, "the session was ended");
    in_.append(piece, n);
  }
  co_return Result<void>{};
}

/// The next message. Of one longer than `most` the beginning, marked as cut; the rest is read and dropped.
awaitable<Result<InnerClient::Incoming>> InnerClient::message(std::size_t most) {
  CO_TRY_VOID(co_await more(kHead));
  CO_TRY(const auto head, back_head(in_));
  Incoming out;
  out.type = head->type;
  in_.erase(0, kHead);
  const std::size_t length = head->length, kept = std::min<std::size_t>(length, most);
  CO_TRY_VOID(co_await more(kept));
  out.body = in_.substr(0, kept);
  in_.erase(0, kept);
  out.cut = kept < length;
  for (std::size_t left = length - kept; left > 0;) {
    CO_TRY_VOID(co_await more(1));
    const auto n = std::min(left, in_.size());
    in_.erase(0, n);
    left -= n;
  }
  co_return out;
}

/// Whoever is let in is so already: what comes is the server's parameters, or a refusal.
awaitable<Result<void>> InnerClient::greet(DatabaseAnswer& out) {
  for (;;) {
    CO_TRY(auto incoming, co_await message(kWords));
    if (incoming.type == 'Z') co_return Result<void>{};
    if (incoming.type != 'E') continue;
    out.refused = refusal_of(incoming.body);
    co_return Result<void>{};
  }
}

std::string InnerClient::statement() const {
  std::string out, parse, bind, execute;
  parse.append(1, '\0').append(call_.text).append(1, '\0');
  put_u16(parse, 0);
  put_message(out, 'P', parse);
  bind.append(2, '\0');
  put_u16(bind, 0);
  put_u16(bind, static_cast<std::uint16_t>(call_.parameters.size()));
  for (const auto& value : call_.parameters) {
    put_u32(bind, value ? static_cast<std::uint32_t>(value->size()) : 0xFFFFFFFFu);
    if (value) bind.append(*value);
  }
  put_u16(bind, 0);
  put_message(out, 'B', bind);
  put_message(out, 'D', std::string("P\0", 2));
  execute.append(1, '\0');
  put_u32(execute, static_cast<std::uint32_t>(call_.max_rows + 1));  // the one too many tells that there are more
  put_message(out, 'E', execute);
  put_message(out, 'S', "");
  return out;
}

Result<void> InnerClient::row(const Incoming& incoming, DatabaseAnswer& out) {
  full_ = full_ || incoming.cut || out.rows.size() >= call_.max_rows || bytes_ + incoming.body.size() > call_.max_bytes;
  if (full_) {
    out.more = true;
    return {};
  }
  Cursor cursor(incoming.body);
  std::vector<std::optional<std::string>> values(static_cast<std::size_t>(std::max<std::int16_t>(cursor.i16(), 0)));
  for (auto& value : values) {
    const auto length = cursor.i32();
    if (length >= 0) value = std::string(cursor.take(static_cast<std::size_t>(length)));
  }
  if (!cursor.done() || values.size() != out.columns.size()) return fail(ErrorKind::Malformed, "a row is not what its description says");
  bytes_ += incoming.body.size() + values.size() * kPerValue;
  out.rows.push_back(std::move(values));
  return {};
}

Result<void> InnerClient::take(Incoming incoming, DatabaseAnswer& out) {
  switch (incoming.type) {
    case 'T': {
      TRY(const auto fields, read_row_description(incoming.body));
      for (const auto& field : fields) {
        out.columns.push_back({field.name, ""});
        types_.push_back(field.type);
      }
      return {};
    }
    case 'D': return row(incoming, out);
    case 'C': out.tag = incoming.body.substr(0, incoming.body.find('\0')); return {};
    case 's': out.more = true; return {};
    case 'E': out.refused = refusal_of(incoming.body); return {};
    case 'N': {
      auto words = refusal_of(incoming.body);
      if (call_.notice) call_.notice(words.message);
      if (out.notices.size() < kNotices) out.notices.push_back(std::move(words.message));
      return {};
    }
    case 'G': case 'H': case 'W': return fail(ErrorKind::Malformed, "the statement wants to copy, which was not expected of it");
    default: return {};  // that a step is complete, and what the server says of itself
  }
}

awaitable<Result<DatabaseAnswer>> InnerClient::run() {
  DatabaseAnswer out;
  CO_TRY_VOID(co_await greet(out));
  if (out.refused) co_return out;
  CO_TRY_VOID(co_await stream_.write(statement(), deadline()));
  for (;;) {
    // What a row may have at most; of words and descriptions as much as any has.
    CO_TRY(auto incoming, co_await message(std::max({kWords, kDescription, call_.max_bytes})));
    if (incoming.type == 'Z') break;
    const bool fatal = incoming.type == 'E' && field_of(read_notice(incoming.body).value_or(NoticeFields{}), 'V') == "FATAL";
    CO_TRY_VOID(take(std::move(incoming), out));
    if (fatal) co_return out;
  }
  // The session closes in the record before its answer is told.
  std::string terminate;
  put_message(terminate, 'X', "");
  if (!co_await stream_.write(terminate, deadline())) co_return out;
  char rest[kRead];
  for (const auto until = net::after(kFarewell);;) {
    const auto n = co_await stream_.read_some(rest, until);
    if (!n || *n == 0) break;
  }
  co_return out;
}

}  // namespace sallyport::protocol::postgres
