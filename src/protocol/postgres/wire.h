#pragma once
// PostgreSQL's frontend/backend protocol, 3.0 and 3.2 (PostgreSQL documentation, chapter "Frontend/Backend Protocol"):
// frames, the startup packet and the message bodies that the gateway reads or writes. A codec: pure, any thread; views
// point into the bytes they were read from. Everything that is read is hostile: what does not fit is Malformed.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace sallyport::protocol::postgres {

inline constexpr std::uint32_t kVersion30 = 3u << 16, kVersion32 = (3u << 16) | 2;
inline constexpr std::uint32_t kCancelRequest = 80877102, kSslRequest = 80877103, kGssRequest = 80877104;
inline constexpr std::size_t kMaxStartup = 10'000;
inline constexpr std::uint32_t kMaxLength = 0x3FFFFFFF;  // of a message: the server's own limit
inline constexpr std::size_t kHead = 5;                  // type and length

/// The head of a message; `length` is that of the body.
struct Head {
  char type = 0;
  std::uint32_t length = 0;
};
/// nullopt: not yet five bytes. Errors: Malformed (a type or length that no client, or no server, may send).
Result<std::optional<Head>> front_head(std::string_view bytes);
Result<std::optional<Head>> back_head(std::string_view bytes);

/// Reads a body from its beginning; once something does not fit, ok() is false and everything read is empty.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : bytes_(bytes) {}
  std::uint8_t u8();
  std::int16_t i16();
  std::uint32_t u32();
  std::int32_t i32() { return static_cast<std::int32_t>(u32()); }
  std::string_view text();              // up to a NUL
  std::string_view take(std::size_t n);
  std::string_view rest() const { return bytes_; }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && bytes_.empty(); }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

// Writing: each appends one whole message.
void put_u16(std::string& out, std::uint16_t value);
void put_u32(std::string& out, std::uint32_t value);
void put_message(std::string& out, char type, std::string_view body);
/// Begins a message whose length is not known yet; end_message sets it.
std::size_t begin_message(std::string& out, char type);
void end_message(std::string& out, std::size_t begun);

struct Startup {
  std::uint32_t version = 0;
  std::vector<std::pair<std::string, std::string>> parameters;
  std::string_view get(std::string_view name) const;
};
/// The body behind the length of the first packet of a connection, with its version 3.x. Errors: Malformed.
Result<Startup> read_startup(std::string_view body);
std::string write_startup(const std::vector<std::pair<std::string, std::string>>& parameters);

/// ErrorResponse and NoticeResponse. The severity is written twice, as servers since 9.6 do.
struct Notice {
  std::string severity, code, message, detail, hint;
};
void put_notice(std::string& out, char type, const Notice& notice);
using NoticeFields = std::vector<std::pair<char, std::string_view>>;
Result<NoticeFields> read_notice(std::string_view body);
std::string_view field_of(const NoticeFields& fields, char code);
void put_notice_fields(std::string& out, char type, const std::vector<std::pair<char, std::string>>& fields);

struct Field {
  std::string name;
  std::uint32_t table = 0;
  std::int16_t number = 0;
  std::uint32_t type = 0;
  std::int16_t format = 0;
};
Result<std::vector<Field>> read_row_description(std::string_view body);
/// With the formats that Bind asked for; sizes and modifiers are left at -1.
void put_row_description(std::string& out, const std::vector<Field>& fields, const std::vector<std::int16_t>& formats);

struct Parse {
  std::string_view name, text;
  std::vector<std::uint32_t> types;
};
Result<Parse> read_parse(std::string_view body);

struct Bind {
  std::string_view portal, statement;
  std::vector<std::int16_t> formats;
  std::vector<std::optional<std::string_view>> values;
  std::vector<std::int16_t> result_formats;
  /// Format of value or column i; one format stands for all, none for text.
  static std::int16_t format(const std::vector<std::int16_t>& formats, std::size_t i) {
    return formats.empty() ? std::int16_t{0} : formats.size() == 1 ? formats[0] : i < formats.size() ? formats[i] : std::int16_t{0};
  }
};
Result<Bind> read_bind(std::string_view body);

/// Name of Describe, Close ('S' or 'P' before it) or the portal and row limit of Execute.
struct Named {
  char kind = 0;
  std::string_view name;
};
Result<Named> read_named(std::string_view body);
struct Execute {
  std::string_view portal;
  std::int32_t limit = 0;
};
Result<Execute> read_execute(std::string_view body);

/// The first bytes of a CopyInResponse, CopyOutResponse: overall format and the columns' formats.
struct CopyStart {
  bool binary = false;
  std::size_t columns = 0;
};
Result<CopyStart> read_copy_start(std::string_view body);

/// The number at the end of a command tag: rows of "SELECT 5", "INSERT 0 5", "COPY 5"; 0 without one.
std::uint64_t rows_of_tag(std::string_view tag);

bool is_utf8(std::string_view text);

}  // namespace sallyport::protocol::postgres
