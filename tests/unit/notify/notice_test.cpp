// The forms of a notice, and that nothing in it can leave its form.
#include "notify/notice.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/json.h"

namespace sallyport::notify {
namespace {

Notice notice() {
  Notice out;
  out.event = "requested";
  out.request = "apr_1";
  out.kind = "command";
  out.who = "agent bot on behalf of alice";
  out.target = "shop";
  out.summary = "DELETE FROM t WHERE a = '<!channel>' -- ``` \"x\"\r\nBcc: all@example.com";
  out.effect = R"({"verb":"delete"})";
  out.reason = "cleaning <https://evil.example|here>";
  out.rules = {"deletes"};
  out.groups = {"leads"};
  out.expires_wall_ns = 1'700'000'600'000'000'000;
  out.at_wall_ns = 1'700'000'000'000'000'000;
  out.link = "https://gw.example/requests/apr_1";
  return out;
}

TEST(Notice, SignsAsTheFormatsPageSays) {
  EXPECT_EQ(webhook_signature("whsec", "msg_1", 1'700'000'000, "{}"), "v1,vbFFc3QX/TkJ6OkSz+55j2TlaP/DJj7pT+OGcDeJB/8=");
}

TEST(Notice, IsJsonInEveryForm) {
  for (const auto form : {Form::Generic, Form::Slack, Form::Teams}) {
    const auto body = webhook_body(notice(), form);
    const auto document = json::Document::parse(body);
    ASSERT_TRUE(document.has_value()) << document.error().what << "\n" << body;
    EXPECT_NE(body.find("https://gw.example/requests/apr_1"), std::string::npos);
  }
  const auto document = json::Document::parse(webhook_body(notice(), Form::Generic));
  EXPECT_EQ(document->root()["type"].as_string(), "sallyport.request.requested");
  EXPECT_EQ(document->root()["summary"].as_string(), notice().summary);
  EXPECT_EQ(document->root()["effect"]["verb"].as_string(), "delete");
}

TEST(Notice, MentionsNobodyAndLinksNowhereInSlackBecauseACommandSaysSo) {
  const auto body = webhook_body(notice(), Form::Slack);
  EXPECT_EQ(body.find("<!channel>"), std::string::npos);
  EXPECT_EQ(body.find("<https://evil"), std::string::npos);
  // The code block has two ends: ours.
  std::size_t ticks = 0;
  for (auto at = body.find("```"); at != std::string::npos; at = body.find("```", at + 3)) ++ticks;
  EXPECT_EQ(ticks, 2u);
}

TEST(Notice, AMessageHasTheHeadersThatWeWroteAndNoOther) {
  auto hostile = notice();
  hostile.who = "alice\r\nBcc: all@example.com\r\n\r\nbody";
  hostile.target = std::string(200, 'x') + "\xc3\xa9\xc3\xa9";
  const auto message = mail_message(hostile, "msg_1", "gw@example.com", {"a@example.com", "b@example.com"});
  const auto head = message.substr(0, message.find("\r\n\r\n"));
  EXPECT_EQ(head.find("Bcc"), std::string::npos) << head;
  std::size_t names = 0;
  for (std::size_t at = 0; at != std::string::npos; at = head.find("\r\n", at)) {
    if (at != 0) at += 2;
    if (head[at] != ' ') ++names;
    if (at == 0) ++at;
  }
  EXPECT_EQ(names, 9u) << head;  // From, To, Subject, Date, Message-ID, Auto-Submitted, MIME-Version, Content-Type, Content-Transfer-Encoding
  for (std::size_t begin = 0, end = 0; end != std::string::npos; begin = end + 2) {
    end = message.find("\r\n", begin);
    EXPECT_LE((end == std::string::npos ? message.size() : end) - begin, 998u);
  }
  for (const char c : message) EXPECT_TRUE(c == '\r' || c == '\n' || (c >= 32 && c <= 126)) << static_cast<int>(c);
}

TEST(Notice, CutsALongCommandBetweenCharacters) {
  auto big = notice();
  big.summary = std::string(1499, 'a') + "\xc3\xa9" + std::string(5000, 'b');
  const auto document = json::Document::parse(webhook_body(big, Form::Teams));
  ASSERT_TRUE(document.has_value()) << document.error().what;
}

}  // namespace
}  // namespace sallyport::notify
