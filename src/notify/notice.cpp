#include "notify/notice.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/json.h"

namespace sallyport::notify {

namespace {

constexpr std::size_t kMaxText = 1500;   // of a command in a message: the whole stands at the gateway

std::string cut(std::string_view text, std::size_t most) {
  if (text.size() <= most) return std::string(text);
  // Not within a character.
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
  return std::string(text.substr(0, most)) + "…";
}

/// Slack's mrkdwn: these three are all that must be escaped, and a command then neither links nor mentions anybody.
std::string slack_text(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : std::string(1, c == '`' ? '\'' : c);
  return out;
}

std::string joined(const std::vector<std::string>& list) {
  std::string out;
  for (const auto& one : list) out += (out.empty() ? "" : ", ") + one;
  return out;
}

std::string list_json(const std::vector<std::string>& list) {
  std::string out;
  for (const auto& one : list) out += (out.empty() ? "" : ",") + json::quote(one);
  return "[" + out + "]";
}

std::string verb(const Notice& notice) {
  if (notice.event == "requested") return notice.kind == "access" ? "asks for access" : notice.kind == "review" ? "used break-glass access that waits for review" : "asks";
  if (notice.event == "break-glass") return "BREAKS GLASS";
  if (notice.event == "review-overdue") return "has a break-glass access whose review is overdue";
  if (notice.event == "tools-quarantined") return "offers tools that wait for a review";
  return "request " + notice.event;
}

struct Fact {
  const char* name;
  std::string value;
};
std::vector<Fact> facts(const Notice& notice) {
  std::vector<Fact> out;
  const auto add = [&](const char* name, std::string value) {
    if (!value.empty()) out.push_back({name, std::move(value)});
  };
  add("Who", notice.who);
  add("Target", notice.target);
  add("Reason", cut(notice.reason, 500));
  add("Effect", cut(notice.effect, 500));
  add("Rule", joined(notice.rules));
  add("Decided by", joined(notice.groups));
  if (notice.expires_wall_ns != 0) add("Until", utc_text(notice.expires_wall_ns));
  add("Request", notice.request);
  return out;
}

std::string slack_body(const Notice& notice) {
  std::string fields;
  for (const auto& fact : facts(notice))
    fields += fmt::format(R"({}{{"type":"mrkdwn","text":{}}})", fields.empty() ? "" : ",", json::quote("*" + std::string(fact.name) + "*\n" + slack_text(fact.value)));
  const auto command = json::quote("```" + slack_text(cut(notice.summary, kMaxText)) + "```");
  return fmt::format(R"({{"text":{},"blocks":[{{"type":"section","text":{{"type":"mrkdwn","text":{}}}}},{{"type":"section","fields":[{}]}},)"
                     R"({{"type":"actions","elements":[{{"type":"button","text":{{"type":"plain_text","text":"Open the request"}},"url":{}}}]}}]}})",
                     json::quote(slack_text(headline(notice))), command, fields, json::quote(notice.link));
}

/// An adaptive card, as Teams' workflows take it.
std::string teams_body(const Notice& notice) {
  std::string fields;
  for (const auto& fact : facts(notice)) fields += fmt::format(R"({}{{"title":{},"value":{}}})", fields.empty() ? "" : ",", json::quote(fact.name), json::quote(fact.value));
  return fmt::format(R"({{"type":"message","attachments":[{{"contentType":"application/vnd.microsoft.card.adaptive","content":{{"$schema":"http://adaptivecards.io/schemas/adaptive-card.json",)"
                     R"("type":"AdaptiveCard","version":"1.4","body":[{{"type":"TextBlock","weight":"bolder","wrap":true,"text":{}}},{{"type":"TextBlock","fontType":"monospace","wrap":true,"text":{}}},)"
                     R"({{"type":"FactSet","facts":[{}]}}],"actions":[{{"type":"Action.OpenUrl","title":"Open the request","url":{}}}]}}}}]}})",
                     json::quote(headline(notice)), json::quote(cut(notice.summary, kMaxText)), fields, json::quote(notice.link));
}

std::string generic_body(const Notice& notice) {
  return fmt::format(R"({{"type":"sallyport.request.{}","request":{},"kind":{},"who":{},"target":{},"summary":{},"effect":{},"reason":{},"rules":{},"groups":{},"expires":{},"at":{},"link":{}}})",
                     notice.event, json::quote(notice.request), json::quote(notice.kind), json::quote(notice.who), json::quote(notice.target), json::quote(notice.summary),
                     notice.effect.empty() ? "null" : notice.effect, json::quote(notice.reason), list_json(notice.rules), list_json(notice.groups),
                     notice.expires_wall_ns == 0 ? "null" : json::quote(utc_text(notice.expires_wall_ns)), json::quote(utc_text(notice.at_wall_ns)), json::quote(notice.link));
}

/// RFC 2045 §6.7, lines of at most 76.
std::string quoted_printable(std::string_view text) {
  std::string out;
  std::size_t column = 0;
  const auto put = [&](const std::string& piece) {
    if (column + piece.size() > 73) {
      out += "=\r\n";
      column = 0;
    }
    out += piece;
    column += piece.size();
  };
  for (const char c : text) {
    if (c == '\n') {
      out += "\r\n";
      column = 0;
    } else if (c >= 33 && c <= 126 && c != '=') {
      put(std::string(1, c));
    } else {
      put(fmt::format("={:02X}", static_cast<unsigned char>(c)));
    }
  }
  return out;
}

/// RFC 2047: nothing of it can end the header.
std::string encoded_word(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    auto end = std::min(at + 39, text.size());
    while (end < text.size() && end > at && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    out += (out.empty() ? "=?utf-8?B?" : "\r\n =?utf-8?B?") + base64(as_bytes(text.substr(at, end - at))) + "?=";
    at = end;
  }
  return out;
}

}  // namespace

std::string headline(const Notice& notice) {
  return fmt::format("{} {}{}", cut(notice.who, 100), verb(notice), notice.target.empty() ? "" : ": " + cut(notice.target, 100));
}

std::string webhook_body(const Notice& notice, Form form) {
  switch (form) {
    case Form::Slack: return slack_body(notice);
    case Form::Teams: return teams_body(notice);
    case Form::Generic: break;
  }
  return generic_body(notice);
}

std::string mail_message(const Notice& notice, const std::string& id, const std::string& from, const std::vector<std::string>& to) {
  const std::time_t seconds = notice.at_wall_ns / 1'000'000'000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char date[64];
  std::strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", &parts);
  std::string text = headline(notice) + "\n\n    " + cut(notice.summary, kMaxText) + "\n\n";
  for (const auto& fact : facts(notice)) text += fmt::format("{}: {}\n", fact.name, fact.value);
  text += "\n" + notice.link + "\n\nThis message cannot answer the request, and answers to it are not read.\n";
  return fmt::format("From: Sallyport <{}>\r\nTo: {}\r\nSubject: {}\r\nDate: {}\r\nMessage-ID: <{}@sallyport>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                     "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{}",
                     from, joined(to), encoded_word("[Sallyport] " + headline(notice)), date, id, quoted_printable(text));
}

std::string webhook_signature(std::string_view secret, std::string_view id, std::int64_t unix_seconds, std::string_view body) {
  const auto text = fmt::format("{}.{}.{}", id, unix_seconds, body);
  Digest mac;
  unsigned length = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac.data(), &length);
  return "v1," + base64(mac);
}

}  // namespace sallyport::notify
