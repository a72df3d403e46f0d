#include "protocol/postgres/wire.h"

#include <simdjson.h>

#include <charconv>

namespace sallyport::protocol::postgres {
namespace {

std::uint32_t u32_at(std::string_view bytes) {
  const auto* b = reinterpret_cast<const unsigned char*>(bytes.data());
  return std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 | std::uint32_t{b[2]} << 8 | b[3];
}

constexpr std::uint32_t kSmall = 10'000;  // what the server takes of a message that holds no data

/// The longest message of that type, 0 for a type that does not exist.
std::uint32_t longest_front(char type) {
  switch (type) {
    case 'Q': case 'P': case 'B': case 'F': case 'd': return kMaxLength;
    case 'p': return 65'535;  // a token may be long
    case 'C': case 'D': case 'E': case 'f': case 'H': case 'S': case 'X': case 'c': return kSmall;
    default: return 0;
  }
}

bool is_back(char type) {
  switch (type) {
    case 'R': case 'K': case '2': case '3': case 'C': case 'd': case 'c': case 'G': case 'H': case 'W': case 'D': case 'I': case 'E':
    case 'V': case 'v': case 'n': case 'N': case 'A': case 't': case 'S': case '1': case 's': case 'Z': case 'T': return true;
    default: return false;
  }
}

std::string type_name(char type) {
  return type > 0x20 && type < 0x7F ? fmt::format("'{}'", type) : fmt::format("0x{:02X}", static_cast<unsigned char>(type));
}

std::unexpected<Error> malformed(std::string what) { return fail(ErrorKind::Malformed, std::move(what)); }

}  // namespace

Result<std::optional<Head>> front_head(std::string_view bytes) {
  if (bytes.empty()) return std::nullopt;
  const auto most = longest_front(bytes[0]);
  if (most == 0) return malformed("invalid frontend message type " + type_name(bytes[0]));
  if (bytes.size() < kHead) return std::nullopt;
  const auto length = u32_at(bytes.substr(1));
  if (length < 4 || length > most) return malformed(fmt::format("invalid length {} of message {}", length, type_name(bytes[0])));
  return Head{bytes[0], length - 4};
}

Result<std::optional<Head>> back_head(std::string_view bytes) {
  if (bytes.empty()) return std::nullopt;
  if (!is_back(bytes[0])) return malformed("the server sent a message of the unknown type " + type_name(bytes[0]));
  if (bytes.size() < kHead) return std::nullopt;
  const auto length = u32_at(bytes.substr(1));
  if (length < 4 || length > kMaxLength + 4) return malformed(fmt::format("the server sent a message {} of length {}", type_name(bytes[0]), length));
  return Head{bytes[0], length - 4};
}

std::string_view Cursor::take(std::size_t n) {
  if (!ok_ || bytes_.size() < n) {
    ok_ = false;
    bytes_ = {};
    return {};
  }
  const auto out = bytes_.substr(0, n);
  bytes_.remove_prefix(n);
  return out;
}

std::uint8_t Cursor::u8() {
  const auto at = take(1);
  return at.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(at[0]);
}

std::int16_t Cursor::i16() {
  const auto at = take(2);
  return at.empty() ? std::int16_t{0} : static_cast<std::int16_t>(static_cast<unsigned char>(at[0]) << 8 | static_cast<unsigned char>(at[1]));
}

std::uint32_t Cursor::u32() {
  const auto at = take(4);
  return at.empty() ? 0 : u32_at(at);
}

std::string_view Cursor::text() {
  const auto end = ok_ ? bytes_.find('\0') : std::string_view::npos;
  if (end == std::string_view::npos) {
    ok_ = false;
    bytes_ = {};
    return {};
  }
  const auto out = bytes_.substr(0, end);
  bytes_.remove_prefix(end + 1);
  return out;
}

void put_u16(std::string& out, std::uint16_t value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value);
}

void put_u32(std::string& out, std::uint32_t value) {
  const char bytes[4] = {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8), static_cast<char>(value)};
  out.append(bytes, 4);
}

void put_message(std::string& out, char type, std::string_view body) {
  out += type;
  put_u32(out, static_cast<std::uint32_t>(body.size() + 4));
  out.append(body);
}

std::size_t begin_message(std::string& out, char type) {
  out += type;
  out.append(4, '\0');
  return out.size() - 4;
}

void end_message(std::string& out, std::size_t begun) {
  const auto length = static_cast<std::uint32_t>(out.size() - begun);
  for (int i = 0; i < 4; ++i) out[begun + static_cast<std::size_t>(i)] = static_cast<char>(length >> (24 - 8 * i));
}

std::string_view Startup::get(std::string_view name) const {
  for (const auto& [key, value] : parameters)
    if (key == name) return value;
  return {};
}

Result<Startup> read_startup(std::string_view body) {
  Cursor cursor(body);
  Startup out;
  out.version = cursor.u32();
  while (cursor.ok()) {
    const auto name = cursor.text();
    if (!cursor.ok()) break;
    if (name.empty()) {
      if (!cursor.done()) return malformed("invalid startup packet layout: bytes follow its end");
      return out;
    }
    const auto value = cursor.text();
    if (!is_utf8(name) || !is_utf8(value)) return malformed("a parameter of the startup packet is not valid UTF-8");
    for (const auto& [key, kept] : out.parameters)
      if (key == name) return malformed("the startup packet has the parameter \"" + key + "\" twice");
    out.parameters.emplace_back(name, value);
  }
  return malformed("invalid startup packet layout: expected a terminator as its last byte");
}

std::string write_startup(const std::vector<std::pair<std::string, std::string>>& parameters) {
  std::string body;
  put_u32(body, kVersion30);
  for (const auto& [name, value] : parameters) body.append(name).append(1, '\0').append(value).append(1, '\0');
  body += '\0';
  std::string out;
  put_u32(out, static_cast<std::uint32_t>(body.size() + 4));
  return out + body;
}

void put_notice_fields(std::string& out, char type, const std::vector<std::pair<char, std::string>>& fields) {
  const auto begun = begin_message(out, type);
  for (const auto& [code, text] : fields) {
    out += code;
    out.append(text.substr(0, text.find('\0')));
    out += '\0';
  }
  out += '\0';
  end_message(out, begun);
}

void put_notice(std::string& out, char type, const Notice& notice) {
  std::vector<std::pair<char, std::string>> fields = {{'S', notice.severity}, {'V', notice.severity}, {'C', notice.code}, {'M', notice.message}};
  if (!notice.detail.empty()) fields.emplace_back('D', notice.detail);
  if (!notice.hint.empty()) fields.emplace_back('H', notice.hint);
  put_notice_fields(out, type, fields);
}

Result<NoticeFields> read_notice(std::string_view body) {
  NoticeFields out;
  Cursor cursor(body);
  while (cursor.ok()) {
    const char code = static_cast<char>(cursor.u8());
    if (!cursor.ok()) break;
    if (code == 0) {
      if (cursor.done()) return out;
      break;
    }
    const auto text = cursor.text();
    out.emplace_back(code, text);
  }
  return malformed("the server sent a notice or error that has no end");
}

std::string_view field_of(const NoticeFields& fields, char code) {
  for (const auto& [key, text] : fields)
    if (key == code) return text;
  return {};
}

Result<std::vector<Field>> read_row_description(std::string_view body) {
  Cursor cursor(body);
  std::vector<Field> out(static_cast<std::uint16_t>(cursor.i16()));
  for (auto& field : out) {
    field.name = cursor.text();
    field.table = cursor.u32();
    field.number = cursor.i16();
    field.type = cursor.u32();
    cursor.take(6);
    field.format = cursor.i16();
    if (!cursor.ok()) break;
  }
  if (!cursor.done()) return malformed("the server sent a RowDescription of another length than its columns have");
  return out;
}

void put_row_description(std::string& out, const std::vector<Field>& fields, const std::vector<std::int16_t>& formats) {
  const auto begun = begin_message(out, 'T');
  put_u16(out, static_cast<std::uint16_t>(fields.size()));
  for (std::size_t i = 0; i < fields.size(); ++i) {
    out.append(fields[i].name).append(1, '\0');
    put_u32(out, fields[i].table);
    put_u16(out, static_cast<std::uint16_t>(fields[i].number));
    put_u32(out, fields[i].type);
    put_u16(out, 0xFFFF);
    put_u32(out, 0xFFFFFFFF);
    put_u16(out, static_cast<std::uint16_t>(Bind::format(formats, i)));
  }
  end_message(out, begun);
}

Result<Parse> read_parse(std::string_view body) {
  Cursor cursor(body);
  Parse out;
  out.name = cursor.text();
  out.text = cursor.text();
  const auto count = static_cast<std::uint16_t>(cursor.i16());
  for (unsigned i = 0; i < count && cursor.ok(); ++i) out.types.push_back(cursor.u32());
  if (!cursor.done()) return malformed("invalid message format: Parse");
  return out;
}

Result<Bind> read_bind(std::string_view body) {
  Cursor cursor(body);
  Bind out;
  out.portal = cursor.text();
  out.statement = cursor.text();
  const auto formats = [&](std::vector<std::int16_t>& into) {
    const auto count = static_cast<std::uint16_t>(cursor.i16());
    for (unsigned i = 0; i < count && cursor.ok(); ++i) {
      into.push_back(cursor.i16());
      if (into.back() != 0 && into.back() != 1) return false;
    }
    return true;
  };
  if (!formats(out.formats)) return malformed("invalid message format: Bind with an unknown parameter format");
  const auto values = static_cast<std::uint16_t>(cursor.i16());
  for (unsigned i = 0; i < values && cursor.ok(); ++i) {
    const auto length = cursor.i32();
    if (length == -1) out.values.emplace_back();
    else if (length < 0) return malformed("invalid message format: Bind with a negative length");
    else out.values.emplace_back(cursor.take(static_cast<std::size_t>(length)));
  }
  if (!formats(out.result_formats)) return malformed("invalid message format: Bind with an unknown result format");
  if (!cursor.done()) return malformed("invalid message format: Bind");
  if (out.formats.size() > 1 && out.formats.size() != out.values.size()) return malformed("bind message has a different number of formats and parameters");
  return out;
}

Result<Named> read_named(std::string_view body) {
  Cursor cursor(body);
  Named out;
  out.kind = static_cast<char>(cursor.u8());
  out.name = cursor.text();
  if (!cursor.done() || (out.kind != 'S' && out.kind != 'P')) return malformed("invalid message format: Describe or Close");
  return out;
}

Result<Execute> read_execute(std::string_view body) {
  Cursor cursor(body);
  Execute out;
  out.portal = cursor.text();
  out.limit = cursor.i32();
  if (!cursor.done()) return malformed("invalid message format: Execute");
  return out;
}

Result<CopyStart> read_copy_start(std::string_view body) {
  Cursor cursor(body);
  CopyStart out;
  out.binary = cursor.u8() != 0;
  out.columns = static_cast<std::uint16_t>(cursor.i16());
  cursor.take(out.columns * 2);
  if (!cursor.done()) return malformed("the server sent a malformed CopyResponse");
  return out;
}

std::uint64_t rows_of_tag(std::string_view tag) {
  const auto space = tag.rfind(' ');
  if (space == std::string_view::npos) return 0;
  std::uint64_t rows = 0;
  const auto number = tag.substr(space + 1);
  const auto [end, failed] = std::from_chars(number.data(), number.data() + number.size(), rows);
  return failed == std::errc() && end == number.data() + number.size() ? rows : 0;
}

bool is_utf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

}  // namespace sallyport::protocol::postgres
