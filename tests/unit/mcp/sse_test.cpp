// Server-sent events, both ways, split at every byte.
#include "protocol/mcp/sse.h"

#include <gtest/gtest.h>

namespace sallyport::protocol::mcp {
namespace {

std::string show(const std::vector<SseEvent>& events) {
  std::string out;
  for (const auto& event : events)
    out += "[" + event.event + "|" + event.data + "|" + event.id.value_or("-") + "|" + event.retry.value_or("-") + "]";
  return out;
}

std::string parse(std::string_view text) {
  SseParser parser(1u << 20);
  std::vector<SseEvent> events;
  EXPECT_TRUE(parser.feed(text, events));
  return show(events);
}

TEST(Sse, AStreamReadsTheSameSplitAtEveryByte) {
  const std::string stream =
      "\xEF\xBB\xBF: hello\n\nid: 1\nretry: 500\ndata:\n\nevent: message\r\nid: 2\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\n"
      "data:x\rdata: y\r\rdata: \xF0\x9F\x98\x80\n\nid\n\nevent: only\n\ndata: never ended";
  const std::string whole = parse(stream);
  EXPECT_EQ(whole, "[||1|500][message|{\"a\":\n1}|2|-][|x\ny|-|-][|\xF0\x9F\x98\x80|-|-][|||-]");
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    SseParser parser(1u << 20);
    std::vector<SseEvent> events;
    ASSERT_TRUE(parser.feed(std::string_view(stream).substr(0, cut), events));
    ASSERT_TRUE(parser.feed(std::string_view(stream).substr(cut), events));
    EXPECT_EQ(show(events), whole) << cut;
  }
  SseParser parser(1u << 20);
  std::vector<SseEvent> events;
  for (const char c : stream) ASSERT_TRUE(parser.feed(std::string_view(&c, 1), events));
  EXPECT_EQ(show(events), whole);
}

TEST(Sse, WhatIsEncodedReadsBack) {
  for (const std::string data : {"", "x", "a\nb", "a\r\nb\rc", "\n", "x\n", ": no comment", " leading"}) {
    SseEvent event;
    event.event = "message";
    event.id = "7";
    event.data = data;
    std::string lines = data;
    for (auto at = lines.find("\r\n"); at != std::string::npos; at = lines.find("\r\n")) lines.replace(at, 2, "\n");
    for (auto& c : lines) c = c == '\r' ? '\n' : c;
    EXPECT_EQ(parse(encode(event)), "[message|" + lines + "|7|-]") << data;
  }
}

TEST(Sse, GoldenBytes) {
  SseEvent event;
  event.event = "message";
  event.id = "e1";
  event.retry = "250";
  event.data = "{}";
  EXPECT_EQ(encode(event), "event: message\nid: e1\nretry: 250\ndata: {}\n\n");
}

TEST(Sse, AnEventOverTheLimitIsAnErrorHoweverItIsCut) {
  for (const std::size_t piece : {1u, 7u, 64u}) {
    SseParser parser(64);
    std::vector<SseEvent> events;
    const std::string line = "data: " + std::string(100, 'x');
    bool failed = false;
    for (std::size_t at = 0; at < line.size() && !failed; at += piece) failed = !parser.feed(std::string_view(line).substr(at, piece), events);
    EXPECT_TRUE(failed) << piece;
  }
  SseParser parser(64);
  std::vector<SseEvent> events;
  bool failed = false;
  for (int i = 0; i < 20 && !failed; ++i) failed = !parser.feed("data: 12345678\n", events);
  EXPECT_TRUE(failed) << "many short lines make one long event";
}

TEST(Sse, AnIdWithANulAndARetryThatIsNoNumberAreIgnored) {
  EXPECT_EQ(parse(std::string("id: a\0b\ndata: x\n\n", 17)), "[|x|-|-]");
  EXPECT_EQ(parse("retry: 1s\ndata: x\n\n"), "[|x|-|-]");
}

}  // namespace
}  // namespace sallyport::protocol::mcp
