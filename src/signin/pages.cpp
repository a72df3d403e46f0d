#include "signin/pages.h"

#include "base/bytes.h"
#include "base/text.h"

namespace sallyport::signin {

namespace {

constexpr std::string_view kStyle =
    "body{font:16px/1.5 system-ui,sans-serif;margin:0;background:#f4f5f7;color:#16202c}main{max-width:26rem;margin:12vh auto;padding:2rem;background:#fff;"
    "border:1px solid #d8dde3;border-radius:8px}h1{font-size:1.25rem;margin:0 0 1rem}a.go,button{display:block;width:100%;box-sizing:border-box;padding:.6rem;"
    "margin:.5rem 0;text-align:center;border:1px solid #1d4f91;border-radius:6px;background:#1d4f91;color:#fff;font:inherit;text-decoration:none;cursor:pointer}"
    "button.no{background:#fff;color:#16202c;border-color:#8b96a3}label{display:block;margin:.6rem 0 0}input{width:100%;box-sizing:border-box;padding:.5rem;font:inherit}"
    ".bad{color:#a11a1a}code{font-size:1.1em}";

admin::Answer page(std::string_view title, std::string_view body, unsigned status, std::string_view head = "") {
  static const std::string style_hash = "'sha256-" + base64(sha256(as_bytes(kStyle))) + "'";
  auto text = fmt::format("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"
                          "<title>{} · Sallyport</title>{}<style>{}</style></head><body><main><h1>{}</h1>{}</main></body></html>",
                          markup_escaped(title), head, kStyle, markup_escaped(title), body);
  return admin::html_answer(std::move(text), status, style_hash);
}

std::string bad(std::string_view message) { return message.empty() ? "" : fmt::format("<p class=\"bad\" role=\"alert\">{}</p>", markup_escaped(message)); }

}  // namespace

admin::Answer choice_page(const std::vector<ProviderChoice>& providers, bool local, std::string_view message, unsigned status) {
  std::string body = bad(message);
  for (const auto& one : providers) body += fmt::format("<a class=\"go\" href=\"{}\">Continue with {}</a>", markup_escaped(one.path), markup_escaped(one.name));
  if (local)
    body += "<form method=\"post\" action=\"/auth/password\"><label>User<input name=\"user\" autocomplete=\"username\" required></label>"
            "<label>Password<input name=\"password\" type=\"password\" autocomplete=\"current-password\" required></label>"
            "<label>One-time code, if you have one<input name=\"code\" inputmode=\"numeric\" autocomplete=\"one-time-code\"></label><button>Sign in</button></form>";
  return page("Sign in", body, status);
}

admin::Answer device_page(std::string_view message, unsigned status) {
  return page("Sign in a device",
              bad(message) + "<p>Type the code that the device shows. Do it only when you began this yourself: who gave you a code may want your access.</p>"
                             "<form method=\"post\" action=\"/device\"><label>Code<input name=\"user_code\" autocomplete=\"off\" autocapitalize=\"characters\" required></label><button>Go on</button></form>",
              status);
}

admin::Answer confirm_page(std::string_view who, std::string_view about, std::string_view token) {
  const auto form = [&](std::string_view word, std::string_view label, std::string_view look) {
    return fmt::format("<form method=\"post\" action=\"/auth/confirm\"><input type=\"hidden\" name=\"token\" value=\"{}\"><input type=\"hidden\" name=\"answer\" value=\"{}\">"
                       "<button{}>{}</button></form>", markup_escaped(token), word, look, label);
  };
  return page("Is this you?", fmt::format("<p>You came as <strong>{}</strong>.</p><p>{}</p>{}{}", markup_escaped(who), markup_escaped(about), form("yes", "Yes, go on", ""),
                                          form("no", "No", " class=\"no\"")), 200);
}

admin::Answer consent_page(const ConsentQuestion& q) {
  const auto form = [&](std::string_view word, std::string_view label, std::string_view look) {
    return fmt::format("<form method=\"post\" action=\"/auth/confirm\"><input type=\"hidden\" name=\"token\" value=\"{}\"><input type=\"hidden\" name=\"answer\" value=\"{}\">"
                       "<button{}>{}</button></form>", markup_escaped(q.token), word, look, label);
  };
  const auto row = [](std::string_view name, std::string_view text) { return fmt::format("<p>{}: <strong>{}</strong></p>", name, markup_escaped(text)); };
  std::string body = fmt::format("<p>You came as <strong>{}</strong>.</p><p><strong>{}</strong> wants to act as you.</p>", markup_escaped(q.who), markup_escaped(q.program));
  body += row("Program", q.id) + row("You will be sent back to", q.back_to) + row("It may reach", q.resource) + row("Scopes", q.scopes);
  if (!q.vouched) body += "<p class=\"bad\">Nobody here has looked at this program. Its name is what it calls itself.</p>";
  body += "<p>Go on only if you began this yourself, in that program.</p>";
  return page("May this program act as you?", body + form("yes", "Allow", "") + form("no", "No", " class=\"no\""), 200);
}

admin::Answer message_page(std::string_view title, std::string_view text, unsigned status, std::string_view leads_to) {
  // A refresh, not a redirect: form-action would forbid a redirect after a form to an address that is not ours.
  const auto head = leads_to.empty() ? "" : fmt::format("<meta http-equiv=\"refresh\" content=\"0;url={}\">", markup_escaped(leads_to));
  const auto link = leads_to.empty() ? "" : fmt::format("<p><a href=\"{}\">Go on</a> if nothing happens.</p>", markup_escaped(leads_to));
  return page(title, fmt::format("<p>{}</p>{}", markup_escaped(text), link), status, head);
}

}  // namespace sallyport::signin
