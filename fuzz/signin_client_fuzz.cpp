// What a stranger's program says of itself: no crash, and nothing is accepted that would send a code to an address in clear or twice.
#include <cstdint>
#include <cstdlib>

#include "signin/client_metadata.h"

using namespace sallyport::signin;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const auto& client : {read_registration(text), read_client_document(text, "https://app.example/client.json")}) {
    if (!client) continue;
    for (const auto& uri : client->redirect_uris)
      if (!is_redirect_uri(uri) || (!uri.starts_with("https://") && !uri.starts_with("http://127.0.0.1") && !uri.starts_with("http://localhost") && !uri.starts_with("http://[::1]"))) std::abort();
    const auto again = read_registration(registration_text(*client, "", 0));
    if (!again || again->redirect_uris != client->redirect_uris || again->name != client->name) std::abort();
  }
  if (document_id_problem(text).empty() && !text.starts_with("https://")) std::abort();
  if (redirect_fits("https://app.example/cb", text) && text != "https://app.example/cb") std::abort();
  if (redirect_fits("http://127.0.0.1/cb", text) && !text.starts_with("http://127.0.0.1")) std::abort();
  return 0;
}
