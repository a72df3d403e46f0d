#include "verify/timestamps.h"

#include <openssl/ts.h>

#include <memory>

namespace sallyport::verify {

std::optional<std::uint64_t> stamped_at(View stamped, View answer, const std::string& ca_file, std::string& why) {
  const auto* at = answer.data();
  const std::unique_ptr<TS_RESP, decltype(&TS_RESP_free)> response(d2i_TS_RESP(nullptr, &at, static_cast<long>(answer.size())), TS_RESP_free);
  why = "it is no time-stamp response";
  if (!response || at != answer.data() + answer.size()) return std::nullopt;
  const std::unique_ptr<TS_VERIFY_CTX, decltype(&TS_VERIFY_CTX_free)> context(TS_VERIFY_CTX_new(), TS_VERIFY_CTX_free);
  auto* store = X509_STORE_new();
  why = "the certificate " + ca_file + " cannot be read";
  if (!context || store == nullptr || X509_STORE_load_file(store, ca_file.c_str()) != 1) return X509_STORE_free(store), std::nullopt;
  TS_VERIFY_CTX_set_store(context.get(), store);
  auto* data = BIO_new_mem_buf(stamped.data(), static_cast<int>(stamped.size()));
  TS_VERIFY_CTX_set_data(context.get(), data);
  TS_VERIFY_CTX_set_flags(context.get(), TS_VFY_VERSION | TS_VFY_SIGNATURE | TS_VFY_DATA);
  why = "it is not over this head, or does not lead to the authority's certificate";
  if (TS_RESP_verify_response(context.get(), response.get()) != 1) return std::nullopt;
  std::tm parts{};
  const auto* time = TS_TST_INFO_get_time(TS_RESP_get_tst_info(response.get()));
  why = "it names no time";
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return std::nullopt;
  why.clear();
  return static_cast<std::uint64_t>(::timegm(&parts));
}

}  // namespace sallyport::verify
