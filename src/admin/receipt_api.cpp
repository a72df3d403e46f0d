#include "admin/receipt_api.h"

namespace sallyport::admin {

using boost::asio::awaitable;

namespace {

/// Whoever knows a request's id was told it: the requester, by the answer or the error. A receipt shows who asked and what for.
awaitable<Answer> receipt(const AdminServices& services, Call call) {
  const auto& id = call.param("id");
  auto text = co_await services.reading.receipts(id);
  const auto absent = [&] { return problem(404, "not found", "there is no request " + id.substr(0, 64) + " for you", call.request_id); };
  if (!text) co_return text.error().kind == ErrorKind::Denied ? absent() : problem_of(text.error(), call.request_id);
  const auto own = co_await services.reading.receipt_is_of(*text, call.who->subject);
  if (!own) co_return problem_of(own.error(), call.request_id);
  if (!*own && !call.powers.has(Permission::EvidenceRead)) co_return absent();
  if (!*own)
    if (auto written = co_await services.readings->note(call, "receipt", id); !written) co_return problem_of(written.error(), call.request_id);
  co_return text_answer(std::move(*text));
}

}  // namespace

Routes receipt_routes(const AdminServices& services) {
  Routes out;
  out.push_back({.method = "GET", .pattern = "/api/receipts/{id}", .need = Permission::OwnRequests, .summary = "The receipts of a command and its outcome.", .gives = "text/plain",
                 .handler = Handler([&services](Call call) { return receipt(services, std::move(call)); })});
  return out;
}

}  // namespace sallyport::admin
