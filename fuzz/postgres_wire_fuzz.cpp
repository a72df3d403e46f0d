// Both directions of the wire, the startup packet, its options, and both sides of SCRAM: hostile bytes are an error, never more.
#include <cstdint>

#include "protocol/postgres/login.h"
#include "protocol/postgres/scram.h"
#include "protocol/postgres/wire.h"

using namespace sallyport;
using namespace sallyport::protocol::postgres;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)read_startup(bytes);
  (void)read_options(bytes);
  (void)names_of(bytes, bytes);
  auto rest = bytes;
  while (const auto head = front_head(rest)) {
    if (!*head || rest.size() < kHead + (*head)->length) break;
    const auto body = rest.substr(kHead, (*head)->length);
    (void)read_parse(body);
    (void)read_bind(body);
    (void)read_named(body);
    (void)read_execute(body);
    rest.remove_prefix(kHead + (*head)->length);
  }
  rest = bytes;
  while (const auto head = back_head(rest)) {
    if (!*head || rest.size() < kHead + (*head)->length) break;
    const auto body = rest.substr(kHead, (*head)->length);
    if (const auto fields = read_row_description(body)) {
      // Written again, it is read as the same.
      std::string out;
      put_row_description(out, *fields, {});
      if (!read_row_description(std::string_view(out).substr(kHead))) __builtin_trap();
    }
    (void)read_notice(body);
    (void)read_copy_start(body);
    (void)rows_of_tag(body);
    rest.remove_prefix(kHead + (*head)->length);
  }
  ScramServer server("salt", 1, "binding");
  if (server.first("SCRAM-SHA-256-PLUS", bytes)) (void)server.final(bytes, {{}});
  ScramServer bare("salt", 1, "");
  if (bare.first("SCRAM-SHA-256", "n,,n=,r=abc")) (void)bare.final(bytes, {{}});
  return 0;
}
